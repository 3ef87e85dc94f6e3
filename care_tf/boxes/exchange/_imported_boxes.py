"""The boxes that images take from their annotations, and what was done to them on the way."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from care_tf.box_geometry import clip_boxes, scale_boxes, validate_boxes
from care_tf.boxes.exchange._image_frame import boxes_in_image
from care_tf.boxes.formats.annotated_image import AnnotatedImage
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.file_work import map_files
from care_tf.images.header import ImageHeader, read_image_header
from care_tf.problems import raise_problems

_ROUNDING_PX = 0.01  # boxes that overshoot by less were rounded, not drawn outside
_SAME_BOX_PX = 0.01  # boxes that differ by less are not "other boxes"

Record = defaultdict[str, list[str]]
"""The lists of an `ImportSummary` while they grow."""


class ImportRules(NamedTuple):
    """What an import does with boxes; see `import_boxes`."""

    scale: float
    exif: str
    outside: str
    existing: str


def taken_boxes(
    matched: Sequence[tuple[int, AnnotatedImage]], manifest: Manifest, rules: ImportRules
) -> tuple[dict[int, np.ndarray], Record]:
    """Row -> the boxes float32 (k,4) of every image that gets what its annotations say, and what was done.

    Args:
      matched: Rows of the manifest, each with its annotated image.
      manifest: The images; their headers are read.
      rules: What to do with boxes.

    Raises:
      InputError: An image is missing, has another shape than stated, has other boxes, or a box outside.
    """
    headers = map_files(read_image_header, [manifest.image_paths[row] for row, _ in matched])
    record, problems = Record(list), []
    taken: dict[int, np.ndarray] = {}
    for (row, annotated), header in zip(matched, headers, strict=True):
        try:
            if isinstance(header, InputError):
                raise header
            if _is_left_alone(manifest, row, annotated, rules.existing, record):
                continue
            new = _boxes_of(annotated, header, rules, record)
            _check_existing(manifest, row, new, rules.existing, annotated.name, record)
            taken[row] = new
        except InputError as error:
            problems.append(str(error))
    raise_problems("the annotation file", problems)
    return taken, record


def _boxes_of(annotated: AnnotatedImage, header: ImageHeader, rules: ImportRules, record: Record) -> np.ndarray:
    """The image's boxes as the manifest wants them, float32 (k,4)."""
    framed = boxes_in_image(annotated, header, exif=rules.exif)
    inside, is_inside = clip_boxes(framed.boxes, header.width, header.height)
    is_clipped = np.abs(inside - framed.boxes[is_inside]).max(axis=1, initial=0) > _ROUNDING_PX
    where = annotated.where or annotated.name
    size = f"the image of {header.width} x {header.height} px"
    texts = [f"[{', '.join(f'{edge:g}' for edge in box)}] of {where}" for box in framed.boxes]
    dropped = list(itertools.compress(texts, ~is_inside))
    if dropped and rules.outside == "refuse":
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
    boxes = distinct if rules.scale == 1 else scale_boxes(distinct, rules.scale, header.width, header.height)
    return validate_boxes(boxes, header.width, header.height, where)


def _is_left_alone(manifest: Manifest, row: int, annotated: AnnotatedImage, existing: str, record: Record) -> bool:
    """Whether the image stays as it is, whatever its new boxes would be; notes why."""
    others = [*annotated.ignored, *([f"{len(annotated.bad)} bad"] if annotated.bad else [])]
    if others and not len(annotated.boxes):
        record["untouched"].append(f"{annotated.name} ({', '.join(others)})")
        return True
    if existing == "keep" and (len(manifest.boxes[row]) or manifest.mask_paths[row]):
        record["kept"].append(annotated.name)
        return True
    return False


def _check_existing(manifest: Manifest, row: int, new: np.ndarray, existing: str, name: str, record: Record) -> None:
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
