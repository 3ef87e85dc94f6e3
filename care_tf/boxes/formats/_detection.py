"""Which annotation format a file or folder is of: said only when nothing else fits."""

import os
from pathlib import Path
from typing import Any

from care_tf.boxes.formats._isic_masks import SUFFIX as MASK_SUFFIX
from care_tf.boxes.formats._xml_files import read_xml
from care_tf.boxes.formats._yolo import CLASS_FILES
from care_tf.boxes.formats.file_names import files_with_suffix
from care_tf.datasets.rsna_tables import LABELS_FILE
from care_tf.errors import InputError
from care_tf.text_files import parse_json, read_text

_ROOT_TAGS = {"annotation": "voc", "annotations": "cvat"}


def detect_format(path: str | os.PathLike) -> str:
    """The format's name, by suffix and content; in a folder by its first file of each kind.

    Args:
      path: A file or a folder.

    Returns:
      A name of `known_formats.FORMATS`.

    Raises:
      InputError: No format fits, or several do.
    """
    path = Path(path)
    found = _formats_in_folder(path) if path.is_dir() else {_format_of_file(path)} - {""}
    if len(found) == 1:
        return found.pop()
    if found:
        raise InputError(f"{path} fits several annotation formats: {', '.join(sorted(found))}; say which one to read.")
    raise InputError(f"{path} fits no known annotation format; say which one to read.")


def _formats_in_folder(folder: Path) -> set[str]:
    found = set()
    for suffix in (".xml", ".json"):
        for file in files_with_suffix(folder, (suffix,)):
            name = _format_of_file(file)
            if name in ("coco", "label-studio") or (name == "cvat" and file != folder / "annotations.xml"):
                raise InputError(f"{file} is a file of the format {name}; give the file rather than its folder.")
            if name:
                found.add(name)
                break
    if files_with_suffix(folder, (MASK_SUFFIX,)):
        found.add("isic-masks")
    if (folder / LABELS_FILE).is_file():
        found.add("rsna")
    if any((folder / name).is_file() for name in CLASS_FILES) or files_with_suffix(folder, (".txt",)):
        found.add("yolo")
    return found


def _format_of_file(path: Path) -> str:
    """The name, or "" where no format fits."""
    suffix = path.suffix.lower()
    if suffix == ".xml":
        return _ROOT_TAGS.get(read_xml(path).tag, "")
    if suffix == ".json":
        return _format_of_json(parse_json(read_text(path), str(path)))
    if suffix in (".yaml", ".yml"):
        return "yolo"
    if suffix == ".csv":
        first_line = read_text(path).partition("\n")[0]
        columns = {name.strip() for name in first_line.split(",")}
        return "rsna" if {"patientId", "Target"} <= columns else "csv" if {"image", "x0"} <= columns else ""
    return ""


def _format_of_json(document: Any) -> str:
    if isinstance(document, list):
        return "label-studio" if document and isinstance(document[0], dict) and "bbox" not in document[0] else ""
    if not isinstance(document, dict):
        return ""
    if "shapes" in document:
        return "labelme"
    return "coco" if "images" in document and ("annotations" in document or "categories" in document) else ""
