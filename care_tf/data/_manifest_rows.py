"""Parsing and checking the rows of a manifest: all problems are collected, then reported together."""

import dataclasses
import json
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from care_tf.box_geometry import as_boxes
from care_tf.csv_files import composed, listed_path
from care_tf.data._annotation import annotation_problems
from care_tf.errors import InputError
from care_tf.file_work import map_files
from care_tf.images.header import ImageHeader, read_image_header
from care_tf.problems import raise_problems

COLUMNS = ("image", "label", "boxes", "mask", "group", "split", "fold", "box_source")
MAX_ASPECT_RATIO_DIFFERENCE = 0.02  # a mask of another size must still show the same frame


@dataclasses.dataclass
class ManifestRow:
    """One row: the text of its `COLUMNS` and further inputs, with absolute paths, and its boxes, float32 (k,4)."""

    place: str
    cells: dict[str, str]
    boxes: np.ndarray
    problems: list[str]


@dataclasses.dataclass
class ManifestTable:
    """Rows as they were given: where they are from, the folder that paths are relative to, and (place, cells)."""

    where: str
    folder: Path
    rows: list[tuple[str, dict[str, str]]]
    problems: list[str] = dataclasses.field(default_factory=list)


def table_in_memory(rows: Any, folder: Path, columns: Sequence[str]) -> ManifestTable:
    """A pandas frame, or mappings, as the rows of a CSV: texts, "" for what is missing, boxes as JSON.

    Raises:
      InputError: A row lacks one of the columns.
    """
    records = rows.to_dict("records") if hasattr(rows, "to_dict") else list(rows)
    table = ManifestTable("The table", folder, [])
    for number, record in enumerate(records):
        missing = [name for name in columns if name not in record]
        if missing:
            raise InputError(
                f"Every row needs {', '.join(columns)}. Received row {number} without {', '.join(missing)}, with "
                f"{', '.join(map(str, record))}."
            )
        table.rows.append((f"row {number}", {str(name): _as_text(value) for name, value in record.items()}))
    return table


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list | tuple | np.ndarray):
        return json.dumps(value, default=lambda part: part.tolist())
    if isinstance(value, float) and value.is_integer():  # pandas makes whole numbers floats where one is missing
        return str(int(value))
    return "" if value is None or str(value) in ("nan", "<NA>", "NaT") else str(value)


def parse_rows(
    table: ManifestTable, *, class_names: Sequence[str] | None, check_images: bool, inputs: Sequence[str]
) -> list[ManifestRow]:
    """All rows in order, all valid; arguments and errors are those of `read_manifest`."""
    check_class_names(class_names)
    problems = table.problems
    _warn_of_unknown_columns(table, inputs)
    rows = [_parse_row(place, cells, table.folder, inputs) for place, cells in table.rows]
    known = {composed(name): name for name in class_names or ()}
    for row in rows:
        label = row.cells["label"]
        row.cells["label"] = known.get(label, label)
        if label and known and label not in known:
            row.problems.append(f"label {label!r} is not in the class list {', '.join(known)}")
    _find_duplicates(rows)
    headers = map_files(_check_image_files, rows) if check_images else [None] * len(rows)
    # Without a header the image's size is unknown, and only its upper and left border are.
    sizes = [(h.width, h.height) if isinstance(h, ImageHeader) else (math.inf, math.inf) for h in headers]
    widths, heights = zip(*sizes, strict=True) if sizes else ((), ())
    found = annotation_problems([row.boxes for row in rows], [row.cells["mask"] for row in rows], widths, heights)
    for i, texts in found.items():
        rows[i].problems += [f"{Path(rows[i].cells['image']).name}: {text}" for text in texts]
    problems += [f"{row.place}: {problem}" for row in rows for problem in row.problems]
    raise_problems(table.where, problems)
    if not rows:
        raise InputError(f"{table.where} has no rows. A manifest needs one row per image.")
    return rows


def check_class_names(class_names: Sequence[str] | None) -> None:
    """Refuses what is no list of different names; None is allowed."""
    if class_names is None:
        return
    if isinstance(class_names, str) or not class_names or len(set(class_names)) != len(class_names):
        raise InputError(f"class_names must be a list of different names. Received {class_names!r}.")


def _warn_of_unknown_columns(table: ManifestTable, inputs: Sequence[str]) -> None:
    unknown = [name for name in table.rows[0][1] if name not in (*COLUMNS, *inputs)] if table.rows else []
    if unknown:
        warnings.warn(
            f"{table.where}: the columns {', '.join(unknown)} are ignored; known are {', '.join(COLUMNS)}", stacklevel=5
        )


def _parse_row(place: str, given: dict[str, str], folder: Path, inputs: Sequence[str]) -> ManifestRow:
    cells = {name: given.get(name, "") for name in (*COLUMNS, *inputs)}
    problems = [f"the {name} is empty" for name in ("image", "label") if not cells[name]]
    boxes = as_boxes([], "")
    try:
        boxes = as_boxes(json.loads(cells["boxes"] or "[]"), Path(cells["image"]).name)
    except json.JSONDecodeError:
        problems.append(f"boxes {cells['boxes']!r} are not a JSON list of [x0, y0, x1, y1]")
    except InputError as error:
        problems.append(str(error))
    paths = {name: listed_path(cells[name], folder) for name in ("image", "mask") if cells[name]}
    return ManifestRow(place, {name: composed(text) for name, text in cells.items()} | paths, boxes, problems)


def _find_duplicates(rows: list[ManifestRow]) -> None:
    first_place: dict[str, str] = {}
    for row in rows:
        image = row.cells["image"]
        place = first_place.setdefault(image, row.place)
        if place != row.place and image:
            row.problems.append(f"image {Path(image).name} is already on {place}")


def _check_image_files(row: ManifestRow) -> ImageHeader | None:
    """Reads the headers of the row's image and mask; returns the image's."""
    image, mask = _header_or_problem(row, "image"), _header_or_problem(row, "mask")
    path = row.cells["mask"]
    if mask is not None:
        if mask.format != "PNG":
            row.problems.append(
                f"mask {row.cells['mask']} is a {mask.format} file; masks must be PNG, which is lossless"
            )
        elif image is not None and not _same_frame(image, mask):
            row.problems.append(
                f"mask {path} is {mask.width} x {mask.height} px and the image {image.width} x {image.height} px; "
                "the sizes may differ but not the aspect ratio"
            )
    return image


def _header_or_problem(row: ManifestRow, kind: str) -> ImageHeader | None:
    try:
        return read_image_header(row.cells[kind]) if row.cells[kind] else None
    except InputError as error:
        row.problems.append(f"{kind} {str(error).rstrip('.')}{_odd_characters(row.cells[kind])}")
        return None


def _odd_characters(path: str) -> str:
    """The end of a message about a missing file: the characters of its path that tools write differently."""
    odd = sorted({character for character in path if character == "\\" != os.sep or not character.isascii()})
    return f"; its path has {', '.join(f'{each} (U+{ord(each):04X})' for each in odd)}" if odd else ""


def _same_frame(image: ImageHeader, mask: ImageHeader) -> bool:
    ratio = (image.width / image.height) / (mask.width / mask.height)
    return 1 / (1 + MAX_ASPECT_RATIO_DIFFERENCE) <= ratio <= 1 + MAX_ASPECT_RATIO_DIFFERENCE
