"""Boxes of an annotation file into a manifest."""

import dataclasses
import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from care_tf.box_geometry import clip_boxes, scale_boxes, validate_boxes
from care_tf.boxes.exchange._image_frame import EXIF_FRAMES, boxes_in_image
from care_tf.boxes.exchange._image_names import common_folder, match_image_names
from care_tf.boxes.exchange._import_summary import ImportSummary
from care_tf.boxes.formats.annotated_image import AnnotatedImage
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.file_work import map_files
from care_tf.images.header import ImageHeader, read_image_header
from care_tf.problems import raise_problems

EXISTING = ("refuse", "keep", "replace")
OUTSIDE = ("refuse", "drop")
_ROUNDING_PX = 0.01  # boxes that overshoot by less were rounded, not drawn outside
_SAME_BOX_PX = 0.01  # boxes that differ by less are not "other boxes"


_Record = defaultdict[str, list[str]]
"""The lists of an `ImportSummary` while they grow."""


def import_boxes(
    manifest: Manifest,
    annotations: Sequence[AnnotatedImage],
    *,
    source: str = "imported",
    existing: str = "refuse",
    labels: Sequence[str] | None = None,
    scale: float = 1.0,
    exif: str = "auto",
    outside: str = "refuse",
    image_root: str | os.PathLike | None = None,
) -> tuple[Manifest, ImportSummary]:
    """Puts the boxes of annotated images into a manifest.

    Copies of one image, as Roboflow exports them, must have the same boxes, and count once. Every box is brought to the
    EXIF-oriented image's pixels, clipped to the image and scaled about its center. An image that the annotations list
    without any shape has no box; one that has shapes but none that is a box is left alone, as is one that the
    annotations do not list.

    Args:
      manifest: The images; their headers are read.
      annotations: As a reader of `care_tf.boxes.formats` returns them. Names are matched by `match_image_names`,
        relative to the folder of the manifest, that of all images, or `image_root`.
      source: Goes to `box_sources` of the images that get boxes.
      existing: What to do where an image has other boxes or a mask: "refuse", "keep" those it has, or "replace" them,
        by no box where the annotations say so.
      labels: Takes boxes of these labels only; None takes all.
      scale: New side / old side of every box, > 0.
      exif: Whether the boxes are about the "oriented" or the "stored" image; "auto" goes by the stated sizes.
      outside: What to do with a box outside of its image: "refuse", or "drop" it and list it.
      image_root: A further folder that the annotations' names may be relative to.

    Returns:
      The new manifest, same images in the same order, and what was done.

    Raises:
      InputError: An option is out of range; nothing matches, or not uniquely; an image is missing, has another shape
        than stated, has other boxes, or a box outside: up to 20 problems are listed.

    Source: Zhuang et al. 2023, Fig. 11 varies the scale from 0.7 to 1.1.
    """
    _check_options(existing, exif, outside, source, scale)
    annotations = list(annotations)
    if not annotations:
        raise InputError("The annotations hold no images; export them again.")
    rows = _rows_of(annotations, manifest, image_root)
    copies = _check_copies(annotations, rows)
    annotations, other_labels = _with_labels(annotations, labels)
    first_of = {row: place for place, row in reversed(list(enumerate(rows)))}
    matched = [
        (row, annotated)
        for place, (row, annotated) in enumerate(zip(rows, annotations, strict=True))
        if row is not None and place == first_of[row]
    ]
    headers = map_files(read_image_header, [manifest.image_paths[row] for row, _ in matched])
    record, problems = _Record(list), []
    taken: dict[int, np.ndarray] = {}
    for (row, annotated), header in zip(matched, headers, strict=True):
        try:
            if isinstance(header, InputError):
                raise header
            if _is_left_alone(manifest, row, annotated, existing, record):
                continue
            new = _boxes_of(annotated, header, scale, exif, outside, record)
            _check_existing(manifest, row, new, existing, annotated.name, record)
            taken[row] = new
        except InputError as error:
            problems.append(str(error))
    raise_problems("the annotation file", problems)
    if not any(len(annotated.boxes) for annotated in annotations):
        kinds = ", ".join(sorted({kind for annotated in annotations for kind in annotated.ignored})[:5])
        num_bad = sum(len(annotated.bad) for annotated in annotations)
        kinds += f"{', ' if kinds else ''}{num_bad} bad entries" if num_bad else ""
        raise InputError(
            f"The annotations hold no box, so nothing is changed. Received {len(annotations)} images"
            f"{f' with {kinds}' if kinds else ''}. Check that the file has the format it was read as, or name another."
        )
    summary = ImportSummary(
        num_annotated=len(annotations),
        num_matched=sum(row is not None for row in rows),
        num_images=sum(len(new) > 0 for new in taken.values()),
        num_boxes=sum(len(new) for new in taken.values()),
        num_without_box=sum(len(new) == 0 for new in taken.values()),
        num_images_left=len(manifest) - len(matched),
        unmatched=tuple(image.name for row, image in zip(rows, annotations, strict=True) if row is None),
        bad=tuple(problem for annotated in annotations for problem in annotated.bad),
        copies=copies,
        ignored=Counter(kind for _, annotated in matched for kind in annotated.ignored),
        other_labels=other_labels,
        num_repeated=len(record.pop("repeated", [])),
        **{name: tuple(entries) for name, entries in record.items()},
    )
    everything = range(len(manifest))
    imported = dataclasses.replace(
        manifest,
        boxes=tuple(taken.get(row, manifest.boxes[row]) for row in everything),
        mask_paths=tuple("" if row in taken else manifest.mask_paths[row] for row in everything),
        box_sources=tuple(
            (source if len(taken[row]) else "") if row in taken else manifest.box_sources[row] for row in everything
        ),
    )
    return imported, summary


def _check_options(existing: str, exif: str, outside: str, source: str, scale: float) -> None:
    choices = (("existing", existing, EXISTING), ("exif", exif, EXIF_FRAMES), ("outside", outside, OUTSIDE))
    for what, value, known in choices:
        if value not in known:
            raise InputError(f"{what} must be one of {', '.join(known)}. Received {value!r}.")
    if not source.strip():
        raise InputError("The boxes need a source, which says who drew them. Received an empty one.")
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(f"The box scale must be a positive number. Received {scale}.")


def _rows_of(
    annotations: list[AnnotatedImage], manifest: Manifest, image_root: str | os.PathLike | None
) -> list[int | None]:
    """The manifest's row of every annotated image, None where there is none; at least one."""
    folder = Path(manifest.source)
    roots = [str(folder.parent if folder.suffix else folder)] if manifest.source else []
    roots += [common_folder(manifest.image_paths), str(image_root or "")]
    names = [annotated.name for annotated in annotations]
    rows = match_image_names(names, manifest.image_paths, roots=[root for root in roots if root])
    if all(row is None for row in rows):
        there = f"{Path(manifest.image_paths[0]).name}, ..." if len(manifest) else "no image"
        raise InputError(
            f"None of the {len(names)} annotated images ({names[0]}, ...) is in the manifest, which has {there}."
        )
    return rows


def _check_copies(annotations: list[AnnotatedImage], rows: list[int | None]) -> tuple[str, ...]:
    """The names of images with several copies, which must agree: turned or cropped ones do not show the image."""
    copies_of: dict[int, list[AnnotatedImage]] = defaultdict(list)
    for row, annotated in zip(rows, annotations, strict=True):
        if row is not None:
            copies_of[row].append(annotated)
    several = [copies for copies in copies_of.values() if len(copies) > 1]
    problems = [
        f"{', '.join(copy.name for copy in copies)} are copies of one image with other boxes each; export the images "
        "without augmentation"
        for copies in several
        if any(_content(copy) != _content(copies[0]) for copy in copies)
    ]
    raise_problems("the annotation file", problems)
    return tuple(f"{copies[0].name} ({len(copies)} copies)" for copies in several)


def _content(image: AnnotatedImage) -> tuple:
    boxes = sorted(zip(image.labels, image.boxes.tolist(), strict=True))
    return boxes, image.unit, image.width, image.height, sorted(image.ignored), len(image.bad)


def _with_labels(
    annotations: list[AnnotatedImage], labels: Sequence[str] | None
) -> tuple[list[AnnotatedImage], Counter[str]]:
    """The images with the boxes of some labels only, and how many boxes others have."""
    if labels is None:
        return annotations, Counter()
    counts = Counter(label for annotated in annotations for label in annotated.labels)
    unknown = sorted(set(labels) - set(counts))
    if unknown:
        known = ", ".join(name or "(no label)" for name in sorted(counts)) or "none"
        raise InputError(f"No box is labeled {', '.join(unknown)}; the labels there are: {known}.")
    result = []
    for annotated in annotations:
        wanted = [label in labels for label in annotated.labels]
        names = tuple(label for label in annotated.labels if label in labels)
        result.append(dataclasses.replace(annotated, boxes=annotated.boxes[np.array(wanted, bool)], labels=names))
    return result, Counter({label: count for label, count in counts.items() if label not in labels})


def _boxes_of(
    annotated: AnnotatedImage, header: ImageHeader, scale: float, exif: str, outside: str, record: _Record
) -> np.ndarray:
    """The image's boxes as the manifest wants them, float32 (k,4)."""
    framed = boxes_in_image(annotated, header, exif=exif)
    inside, is_inside = clip_boxes(framed.boxes, header.width, header.height)
    is_clipped = np.abs(inside - framed.boxes[is_inside]).max(axis=1, initial=0) > _ROUNDING_PX
    where = annotated.where or annotated.name
    size = f"the image of {header.width} x {header.height} px"
    texts = [f"[{', '.join(f'{edge:g}' for edge in box)}] of {where}" for box in framed.boxes]
    dropped = list(itertools.compress(texts, ~is_inside))
    if dropped and outside == "refuse":
        raise InputError(
            f"Box {' and '.join(dropped)} lies outside of {size}; correct it there, or have such boxes dropped."
        )
    record["outside"] += dropped
    record["clipped"] += itertools.compress(itertools.compress(texts, is_inside), is_clipped)
    if len(framed.boxes):
        record["scaled"] += [f"{annotated.name} from {framed.scaled}"] if framed.scaled else []
        record["turned"] += [f"{annotated.name} ({framed.turned})"] if framed.turned else []
        record["untold"] += [annotated.name] if framed.untold else []
    distinct = inside[np.sort(np.unique(inside, axis=0, return_index=True)[1])] if len(inside) else inside
    record["repeated"] += [where] * (len(inside) - len(distinct))
    boxes = distinct if scale == 1 else scale_boxes(distinct, scale, header.width, header.height)
    return validate_boxes(boxes, header.width, header.height, where)


def _is_left_alone(manifest: Manifest, row: int, annotated: AnnotatedImage, existing: str, record: _Record) -> bool:
    """Whether the image stays as it is, whatever its new boxes would be; notes why."""
    others = [*annotated.ignored, *([f"{len(annotated.bad)} bad"] if annotated.bad else [])]
    if others and not len(annotated.boxes):
        record["untouched"].append(f"{annotated.name} ({', '.join(others)})")
        return True
    if existing == "keep" and (len(manifest.boxes[row]) or manifest.mask_paths[row]):
        record["kept"].append(annotated.name)
        return True
    return False


def _check_existing(manifest: Manifest, row: int, new: np.ndarray, existing: str, name: str, record: _Record) -> None:
    """Refuses or notes that the image has other boxes or a mask."""
    old, mask, source = manifest.boxes[row], manifest.mask_paths[row], manifest.box_sources[row]
    if not mask and (not len(old) or _same_boxes(old, new)):
        return
    if existing == "refuse":
        there = "a mask" if mask else f"{len(old)} other boxes" if len(old) > 1 else "another box"
        there += f" from {source}" if source else ""
        raise InputError(f"{name} has {there} in the manifest already; say whether to keep or to replace.")
    record["replaced"].append(name)


def _same_boxes(old: np.ndarray, new: np.ndarray) -> bool:
    if old.shape != new.shape:
        return False
    old, new = (boxes[np.lexsort(boxes.T[::-1])] for boxes in (old, new))
    return bool(np.abs(old - new).max(initial=0) <= _SAME_BOX_PX)
