"""Folders of classes and the boxes of an annotation tool, as one manifest."""

import dataclasses
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from care_tf.boxes.exchange._import_summary import ImportSummary
from care_tf.data.manifest import Manifest
from care_tf.datasets.class_folders import read_class_folders
from care_tf.images.resize_choice import STRETCH

PathOrPaths = str | os.PathLike | Sequence[str | os.PathLike]


def manifest_from_folders(
    root: str | os.PathLike,
    boxes: PathOrPaths = (),
    *,
    annotation_format: str | None = None,
    labels: Sequence[str] | None = None,
    group_pattern: str | None = None,
    max_pixel_value: int | None = None,
    resize: str = STRETCH,
) -> Manifest:
    """A manifest of folders of classes, with the boxes of annotation files; nothing is written.

    `ROOT/CLASS/**/IMAGE`, or `ROOT/SPLIT/CLASS/**/IMAGE` with splits called train, val (valid, validation) and test,
    which `Manifest.select` takes as "train", "validation" and "test".

    Args:
      root: The folder of the class or split folders; see `care_tf.datasets.class_folders`.
      boxes: Annotation files, or folders of them, of any format that `care_tf.boxes.formats` reads: COCO, Pascal VOC,
        YOLO, CVAT, a table, ... None by default.
      annotation_format: Its name in `care_tf.boxes.formats.FORMATS`; None detects it.
      labels: Takes boxes of these labels only; None takes all.
      group_pattern: Regular expression that finds the patient or lesion in an image's path below `root`, such as
        `(patient\\d+)_`; None: every image is one of its own.
      max_pixel_value, resize: As of `Manifest`.

    Returns:
      The manifest, sorted by path, classes sorted.

    Raises:
      InputError: The folders, the annotations or the boxes are bad: see `read_class_folders`, `read_annotations` and
        `import_boxes`.

    Example:
      images = manifest_from_folders("images", boxes="coco.json")
      train, validation = images.select("train"), images.select("validation")
    """
    manifest, summary = read_folders(root, boxes, annotation_format, labels, group_pattern)
    if summary is not None and summary.is_doubtful:
        warnings.warn(f"Not all boxes came in as they are.\n{summary.text()}", UserWarning, stacklevel=2)
    return dataclasses.replace(manifest, max_pixel_value=max_pixel_value, resize=resize)


def read_folders(
    root: str | os.PathLike,
    boxes: PathOrPaths,
    annotation_format: str | None,
    labels: Sequence[str] | None,
    group_pattern: str | None,
) -> tuple[Manifest, ImportSummary | None]:
    """`manifest_from_folders` without its warning, and what the import did; None without boxes."""
    files = [boxes] if isinstance(boxes, str | os.PathLike) else list(boxes)
    if not files:
        return read_class_folders(root, group_pattern), None
    from care_tf.boxes.exchange.importing import import_boxes
    from care_tf.boxes.formats import detect_format, read_annotations

    formats = [annotation_format or detect_format(path) for path in files]
    annotated = [image for path, name in zip(files, formats, strict=True) for image in read_annotations(path, name)]
    manifest = read_class_folders(root, group_pattern)
    source = f"imported:{'+'.join(dict.fromkeys(formats))}"
    return import_boxes(manifest, annotated, source=source, labels=labels, image_root=Path(root))
