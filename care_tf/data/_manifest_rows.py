"""Parsing and checking the rows of a manifest CSV: all problems are collected, then reported together."""

import dataclasses
import json
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from care_tf.box_geometry import as_boxes
from care_tf.csv_files import table_rows
from care_tf.data._annotation import annotation_problems
from care_tf.errors import InputError
from care_tf.file_work import map_files
from care_tf.images.header import ImageHeader, read_image_header
from care_tf.problems import raise_problems

COLUMNS = ("image", "label", "boxes", "mask", "group", "split", "fold", "box_source")
MAX_ASPECT_RATIO_DIFFERENCE = 0.02  # a mask of another size must still show the same frame


@dataclasses.dataclass
class ManifestRow:
    """One row with absolute paths; `boxes` is float32 (k,4)."""

    line: int
    image: str
    label: str
    mask: str
    group: str
    split: str
    fold: str
    box_source: str
    boxes: np.ndarray
    problems: list[str]


def parse_rows(path: Path, *, class_names: Sequence[str] | None, check_images: bool) -> list[ManifestRow]:
    """Reads all rows of a manifest.

    Args:
      path: The CSV file.
      class_names: The allowed labels; None allows all.
      check_images: Opens the headers of images and masks.

    Returns:
      The rows in file order, all valid.

    Raises:
      InputError: As in `read_manifest`.
    """
    check_class_names(class_names)
    problems: list[str] = []
    table = list(table_rows(path, ("image", "label"), problems=problems, kind="manifest"))
    _warn_of_unknown_columns(path, table)
    rows = [_parse_row(line, cells, path.absolute().parent) for line, cells in table]
    for row in rows:
        if row.label and class_names is not None and row.label not in class_names:
            row.problems.append(f"label {row.label!r} is not in the class list {', '.join(class_names)}")
    _find_duplicates(rows)
    headers = map_files(_check_image_files, rows) if check_images else [None] * len(rows)
    # Without a header the image's size is unknown, and only its upper and left border are.
    sizes = [(h.width, h.height) if isinstance(h, ImageHeader) else (math.inf, math.inf) for h in headers]
    widths, heights = zip(*sizes, strict=True) if sizes else ((), ())
    found = annotation_problems([row.boxes for row in rows], [row.mask for row in rows], widths, heights)
    for i, texts in found.items():
        rows[i].problems += [f"{Path(rows[i].image).name}: {text}" for text in texts]
    problems += [f"line {row.line}: {problem}" for row in rows for problem in row.problems]
    raise_problems(str(path), problems)
    if not rows:
        raise InputError(f"{path} has a header but no rows; a manifest needs one row per image.")
    return rows


def check_class_names(class_names: Sequence[str] | None) -> None:
    """Refuses what is no list of different names; None is allowed."""
    if class_names is None:
        return
    if isinstance(class_names, str) or not class_names or len(set(class_names)) != len(class_names):
        raise InputError(f"class_names must be a list of different names. Received {class_names!r}.")


def _warn_of_unknown_columns(path: Path, table: Sequence[tuple[int, dict[str, str]]]) -> None:
    unknown = [name for name in table[0][1] if name not in COLUMNS] if table else []
    if unknown:
        warnings.warn(
            f"{path}: the columns {', '.join(unknown)} are ignored; known are {', '.join(COLUMNS)}", stacklevel=4
        )


def _parse_row(line: int, cells: dict[str, str], folder: Path) -> ManifestRow:
    text = {name: cells.get(name, "") for name in COLUMNS}
    problems = []
    if not text["image"]:
        problems.append("the image is empty")
    if not text["label"]:
        problems.append("the label is empty")
    boxes = as_boxes([], "")
    try:
        boxes = as_boxes(json.loads(text["boxes"] or "[]"), Path(text["image"]).name)
    except json.JSONDecodeError:
        problems.append(f"boxes {text['boxes']!r} are not a JSON list of [x0, y0, x1, y1]")
    except InputError as error:
        problems.append(str(error))
    return ManifestRow(
        line=line,
        image=_absolute(text["image"], folder) if text["image"] else "",
        label=text["label"],
        mask=_absolute(text["mask"], folder) if text["mask"] else "",
        group=text["group"],
        split=text["split"],
        fold=text["fold"],
        box_source=text["box_source"],
        boxes=boxes,
        problems=problems,
    )


def _absolute(path: str, folder: Path) -> str:
    return os.path.normpath(folder / path)


def _find_duplicates(rows: list[ManifestRow]) -> None:
    first_line: dict[str, int] = {}
    for row in rows:
        line = first_line.setdefault(row.image, row.line)
        if line != row.line and row.image:
            row.problems.append(f"image {Path(row.image).name} is already on line {line}")


def _check_image_files(row: ManifestRow) -> ImageHeader | None:
    """Reads the headers of the row's image and mask; returns the image's."""
    image = _header_or_problem(row, row.image, "image") if row.image else None
    mask = _header_or_problem(row, row.mask, "mask") if row.mask else None
    if mask is not None:
        if mask.format != "PNG":
            row.problems.append(f"mask {row.mask} is a {mask.format} file; masks must be PNG, which is lossless")
        elif image is not None and not _same_frame(image, mask):
            row.problems.append(
                f"mask {row.mask} is {mask.width} x {mask.height} px and the image {image.width} x {image.height} px; "
                "the sizes may differ but not the aspect ratio"
            )
    return image


def _header_or_problem(row: ManifestRow, path: str, kind: str) -> ImageHeader | None:
    try:
        return read_image_header(path)
    except InputError as error:
        row.problems.append(f"{kind} {error}")
        return None


def _same_frame(image: ImageHeader, mask: ImageHeader) -> bool:
    ratio = (image.width / image.height) / (mask.width / mask.height)
    return 1 / (1 + MAX_ASPECT_RATIO_DIFFERENCE) <= ratio <= 1 + MAX_ASPECT_RATIO_DIFFERENCE
