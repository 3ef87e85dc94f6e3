"""The annotation formats by name, and which of them a path holds."""

import dataclasses
import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from care_tf.boxes.formats import _box_csv, _nih_boxes
from care_tf.boxes.formats._box_csv import read_csv_table, write_csv_table
from care_tf.boxes.formats._coco import read_coco, write_coco
from care_tf.boxes.formats._createml import is_createml, read_createml, write_createml
from care_tf.boxes.formats._cvat import read_cvat, write_cvat
from care_tf.boxes.formats._isic_masks import SUFFIX as MASK_SUFFIX
from care_tf.boxes.formats._isic_masks import read_isic_masks, write_isic_masks
from care_tf.boxes.formats._label_studio import is_label_studio, read_label_studio, write_label_studio
from care_tf.boxes.formats._labelme import read_labelme, write_labelme
from care_tf.boxes.formats._nih_boxes import read_nih, write_nih
from care_tf.boxes.formats._roboflow_notes import warn_of_moved_boxes
from care_tf.boxes.formats._rsna_labels import read_rsna, write_rsna
from care_tf.boxes.formats._voc import read_voc, write_voc
from care_tf.boxes.formats._xml_files import read_xml
from care_tf.boxes.formats._yolo import CLASS_FILES, read_yolo, text_files_of, write_yolo
from care_tf.boxes.formats.annotated_image import BAD, AnnotatedImage, refuse_bad
from care_tf.boxes.formats.file_names import files_with_suffix
from care_tf.csv_files import first_line, has_columns
from care_tf.datasets.rsna_tables import LABELS_FILE
from care_tf.errors import InputError
from care_tf.text_files import read_json, read_text

_CSV_COLUMNS = (
    (("patientId", "Target"), "rsna"),
    (_nih_boxes.COLUMNS, "nih"),
    (_box_csv.COLUMNS, "csv"),
    (_box_csv.TENSORFLOW_COLUMNS, "csv"),
)
_ROOT_TAGS = {"annotation": "voc", "annotations": "cvat"}


@dataclasses.dataclass(frozen=True)
class AnnotationFormat:
    """One format.

    Args:
      name: Its name in options.
      read: `read(path, **options)` to a list of images.
      write: `write(images, path, **options)`.
      folder_files: Endings of the files it writes into a folder; () where it writes one file.
      lost: What does not survive writing and reading back.
    """

    name: str
    read: Callable[..., list[AnnotatedImage]]
    write: Callable[..., None]
    folder_files: tuple[str, ...] = ()
    lost: str = ""


_ROUNDED = "positions are rounded to whole pixels"
_NO_SIZES = "the images' sizes and suffixes are not in the files"
_NO_NAMES = "labels, the images' folders, suffixes and sizes are not in the table"
_ONE_BOX = f"{_ROUNDED}, several boxes become one, labels become lesion, a box of the whole frame is not read back"
FORMATS = {
    entry.name: entry
    for entry in (
        AnnotationFormat("coco", read_coco, write_coco),
        AnnotationFormat("voc", read_voc, write_voc, (".xml",), _ROUNDED),
        AnnotationFormat("yolo", read_yolo, write_yolo, (".txt", ".yaml"), _NO_SIZES),
        AnnotationFormat("labelme", read_labelme, write_labelme, (".json",)),
        AnnotationFormat("createml", read_createml, write_createml, lost="the images' sizes are not in the file"),
        AnnotationFormat("label-studio", read_label_studio, write_label_studio),
        AnnotationFormat("cvat", read_cvat, write_cvat),
        AnnotationFormat("rsna", read_rsna, write_rsna, lost=_NO_NAMES),
        AnnotationFormat("nih", read_nih, write_nih, lost="images without a box and the images' sizes"),
        AnnotationFormat("isic-masks", read_isic_masks, write_isic_masks, (MASK_SUFFIX,), _ONE_BOX),
        AnnotationFormat("csv", read_csv_table, write_csv_table),
    )
}
"""Name -> annotation format that boxes come in from and go out to."""


def get_format(name: str) -> AnnotationFormat:
    """A format by its name."""
    if name not in FORMATS:
        raise InputError(f"Annotation format {name!r} is not one of {', '.join(FORMATS)}.")
    return FORMATS[name]


def read_annotations(
    path: str | os.PathLike, format_name: str | None = None, *, bad: str = "refuse", **options: Any
) -> list[AnnotatedImage]:
    """Reads annotations of any known format.

    Args:
      path: A file or a folder, as the format has it.
      format_name: A name of `FORMATS`; None detects it.
      bad: What to do with an entry that should be a box and is none, such as one without an area: "refuse" them all in
        one message, or "drop" them and list them in the images' `bad`.
      **options: The format's own.

    Raises:
      InputError: The format is unknown or not evident, an option is not the format's, or the files are bad.
    """
    if bad not in BAD:
        raise InputError(f"bad must be one of {', '.join(BAD)}. Received {bad!r}.")
    if not Path(path).exists():
        raise InputError(f"There is no file or folder {path}.")
    entry = get_format(format_name or detect_format(path))
    _check_options(options, entry.read, f"reading the format {entry.name}")
    warn_of_moved_boxes(path)
    images = entry.read(path, **options)
    return images if bad == "drop" else refuse_bad(images)


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
    _check_options(options, entry.write, f"writing the format {entry.name}")
    entry.write(images, path, **options)


def detect_format(path: str | os.PathLike) -> str:
    """The format's name, by suffix and content; in a folder by its first file of each kind.

    Args:
      path: A file or a folder.

    Returns:
      A name of `FORMATS`.

    Raises:
      InputError: No format fits, or several do.
    """
    path = Path(path)
    found = _formats_in_folder(path) if path.is_dir() else {_format_of_file(path)} - {""}
    if len(found) == 1:
        return found.pop()
    if found:
        raise InputError(f"{path} fits several annotation formats: {', '.join(sorted(found))}; say which one to read.")
    is_table = path.suffix.lower() == ".csv"
    shown = (
        f"; its first line, by commas, semicolons or tabs, is {first_line(read_text(path))!r:.200}" if is_table else ""
    )
    raise InputError(f"{path} fits no known annotation format; say which one to read{shown}.")


def _check_options(options: dict[str, Any], function: Callable, what: str) -> None:
    """A format's options are the keyword-only arguments of its functions."""
    parameters = inspect.signature(function).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    foreign = sorted(set(options) - set(known))
    if foreign:
        there = f"it has {', '.join(known)}" if known else "it has none"
        raise InputError(f"{what} takes no option {', '.join(foreign)}; {there}.")


def _formats_in_folder(folder: Path) -> set[str]:
    found = set()
    for suffix in (".xml", ".json"):
        for file in files_with_suffix(folder, (suffix,)):
            name = _format_of_file(file)
            if name in ("coco", "createml", "label-studio") or (name == "cvat" and file != folder / "annotations.xml"):
                raise InputError(f"{file} is a file of the format {name}; give the file rather than its folder.")
            if name:
                found.add(name)
                break
    if files_with_suffix(folder, (MASK_SUFFIX,)):
        found.add("isic-masks")
    if (folder / LABELS_FILE).is_file():
        found.add("rsna")
    if any((folder / name).is_file() for name in CLASS_FILES) or text_files_of(folder)[0]:
        found.add("yolo")
    return found


def _format_of_file(path: Path) -> str:
    """The name, or "" where no format fits."""
    suffix = path.suffix.lower()
    if suffix == ".xml":
        return _ROOT_TAGS.get(read_xml(path).tag, "")
    if suffix == ".json":
        return _format_of_json(read_json(path, finite=False))
    if suffix in (".yaml", ".yml"):
        return "yolo"
    if suffix == ".csv":
        text = read_text(path)
        return next((name for columns, name in _CSV_COLUMNS if has_columns(text, columns)), "")
    return ""


def _format_of_json(document: Any) -> str:
    if isinstance(document, list):
        return "createml" if is_createml(document) else "label-studio" if is_label_studio(document) else ""
    if not isinstance(document, dict):
        return ""
    if "shapes" in document:
        return "labelme"
    return "coco" if "images" in document and ("annotations" in document or "categories" in document) else ""
