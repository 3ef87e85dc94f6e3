"""The annotation formats by name, and which of them a path holds."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from care_tf.boxes.formats._box_csv import read_csv_table, write_csv_table
from care_tf.boxes.formats._coco import read_coco, write_coco
from care_tf.boxes.formats._cvat import read_cvat, write_cvat
from care_tf.boxes.formats._detection import detect_format
from care_tf.boxes.formats._isic_masks import read_isic_masks, write_isic_masks
from care_tf.boxes.formats._label_studio import read_label_studio, write_label_studio
from care_tf.boxes.formats._labelme import read_labelme, write_labelme
from care_tf.boxes.formats._rsna_labels import read_rsna, write_rsna
from care_tf.boxes.formats._voc import read_voc, write_voc
from care_tf.boxes.formats._yolo import read_yolo, write_yolo
from care_tf.boxes.formats.annotated_image import AnnotatedImage
from care_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class AnnotationFormat:
    """One format.

    Args:
      name: Its name in options.
      read: `read(path, **options)` to a list of images.
      write: `write(images, path, **options)`.
      folder_files: Endings of the files it writes into a folder; () where it writes one file.
      read_options: Names of the options of `read`.
      write_options: Names of the options of `write`.
      lost: What does not survive writing and reading back.
    """

    name: str
    read: Callable[..., list[AnnotatedImage]]
    write: Callable[..., None]
    folder_files: tuple[str, ...] = ()
    read_options: tuple[str, ...] = ()
    write_options: tuple[str, ...] = ()
    lost: str = ""


FORMATS = {
    entry.name: entry
    for entry in (
        AnnotationFormat("coco", read_coco, write_coco),
        AnnotationFormat(
            "voc",
            read_voc,
            write_voc,
            (".xml",),
            ("pixel_origin",),
            ("pixel_origin",),
            lost="positions are rounded to whole pixels",
        ),
        AnnotationFormat(
            "yolo",
            read_yolo,
            write_yolo,
            (".txt", ".yaml"),
            ("class_file",),
            lost="the images' sizes and suffixes are not in the files",
        ),
        AnnotationFormat("labelme", read_labelme, write_labelme, (".json",)),
        AnnotationFormat("label-studio", read_label_studio, write_label_studio, write_options=("url_prefix",)),
        AnnotationFormat("cvat", read_cvat, write_cvat),
        AnnotationFormat(
            "rsna",
            read_rsna,
            write_rsna,
            read_options=("class_file", "image_size"),
            write_options=("class_file", "image_size"),
            lost="labels, the images' folders, suffixes and sizes are not in the table",
        ),
        AnnotationFormat(
            "isic-masks",
            read_isic_masks,
            write_isic_masks,
            ("_segmentation.png",),
            lost="positions are rounded to whole pixels, several boxes become one, labels become lesion, "
            "a box of the whole frame is not read back",
        ),
        AnnotationFormat("csv", read_csv_table, write_csv_table, read_options=("image_size",)),
    )
}


def get_format(name: str) -> AnnotationFormat:
    """A format by its name.

    Raises:
      InputError: There is none of that name.
    """
    if name not in FORMATS:
        raise InputError(f"annotation format {name!r} is not one of {', '.join(FORMATS)}.")
    return FORMATS[name]


def read_annotations(path: str | os.PathLike, format_name: str | None = None, **options: Any) -> list[AnnotatedImage]:
    """Reads annotations of any known format.

    Args:
      path: A file or a folder, as the format has it.
      format_name: A name of `FORMATS`; None detects it.
      **options: The format's own.

    Raises:
      InputError: The format is unknown or not evident, an option is not the format's, or the files are bad.
    """
    if not Path(path).exists():
        raise InputError(f"there is no file or folder {path}.")
    entry = get_format(format_name or detect_format(path))
    _check_options(options, entry.read_options, f"reading the format {entry.name}")
    return entry.read(path, **options)


def write_annotations(
    images: Sequence[AnnotatedImage], path: str | os.PathLike, format_name: str, **options: Any
) -> None:
    """Writes annotations in any known format, whole or not at all.

    Args:
      images: What to write.
      path: A file, or the folder of a format with one file per image; what is there is replaced.
      format_name: A name of `FORMATS`.
      **options: The format's own.

    Raises:
      InputError: The format is unknown, an option is not the format's, or the format cannot hold the images.
    """
    entry = get_format(format_name)
    _check_options(options, entry.write_options, f"writing the format {entry.name}")
    entry.write(images, path, **options)


def _check_options(options: dict[str, Any], known: tuple[str, ...], what: str) -> None:
    foreign = sorted(set(options) - set(known))
    if foreign:
        there = f"it has {', '.join(known)}" if known else "it has none"
        raise InputError(f"{what} takes no option {', '.join(foreign)}; {there}.")
