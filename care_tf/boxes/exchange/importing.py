"""Boxes of an annotation file into a manifest."""

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from care_tf.boxes.exchange._image_frame import EXIF_FRAMES
from care_tf.boxes.exchange._import_summary import ImportSummary
from care_tf.boxes.exchange._imported_boxes import ImportRules, taken_boxes
from care_tf.boxes.exchange._matched_annotations import check_any_box, check_copies, first_copies, rows_of, with_labels
from care_tf.boxes.formats.annotated_image import AnnotatedImage
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError

EXISTING = ("refuse", "keep", "replace")
OUTSIDE = ("refuse", "drop")


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
    rows = rows_of(annotations, manifest, image_root)
    copies = check_copies(annotations, rows)
    annotations, other_labels = with_labels(annotations, labels)
    matched = first_copies(annotations, rows)
    taken, record = taken_boxes(matched, manifest, ImportRules(scale, exif, outside, existing))
    check_any_box(annotations)
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
    return _with_boxes(manifest, taken, source), summary


def _check_options(existing: str, exif: str, outside: str, source: str, scale: float) -> None:
    choices = (("existing", existing, EXISTING), ("exif", exif, EXIF_FRAMES), ("outside", outside, OUTSIDE))
    for what, value, known in choices:
        if value not in known:
            raise InputError(f"{what} must be one of {', '.join(known)}. Received {value!r}.")
    if not source.strip():
        raise InputError("The boxes need a source, which says who drew them. Received an empty one.")
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(f"The box scale must be a positive number. Received {scale}.")


def _with_boxes(manifest: Manifest, taken: Mapping[int, np.ndarray], source: str) -> Manifest:
    """The manifest with the boxes taken in place of those, or the masks, that the images had."""
    everything = range(len(manifest))
    return dataclasses.replace(
        manifest,
        boxes=tuple(taken.get(row, manifest.boxes[row]) for row in everything),
        mask_paths=tuple("" if row in taken else manifest.mask_paths[row] for row in everything),
        box_sources=tuple(
            (source if len(taken[row]) else "") if row in taken else manifest.box_sources[row] for row in everything
        ),
    )
