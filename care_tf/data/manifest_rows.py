"""Parsing and checking the rows of a manifest CSV: all problems are collected, then reported together."""

import csv
import dataclasses
import json
import math
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from care_tf.box_geometry import validate_boxes
from care_tf.errors import InputError
from care_tf.images.header import ImageHeader, read_image_header

COLUMNS = ("image", "label", "boxes", "mask", "group", "split", "fold", "box_source")
MAX_LISTED_PROBLEMS = 20
MAX_ASPECT_RATIO_DIFFERENCE = 0.02  # a mask of another size must still show the same frame
_NUM_THREADS = min(32, 4 * (os.cpu_count() or 1))  # opening files waits for the disk, not for a core


@dataclasses.dataclass
class ManifestRow:
    """One row with absolute paths; `boxes` is what the JSON held until it is checked, then float32 (k,4)."""

    line: int
    image: str
    label: str
    mask: str
    group: str
    split: str
    fold: str
    box_source: str
    boxes: Any
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
    _check_class_names(class_names)
    rows = [_parse_row(line, cells, path.absolute().parent) for line, cells in _read_cells(path)]
    for row in rows:
        if row.label and class_names is not None and row.label not in class_names:
            row.problems.append(f"label {row.label!r} is not in the class list {', '.join(class_names)}")
    _find_duplicates(rows)
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        headers = list(pool.map(_check_image_files, rows)) if check_images else [None] * len(rows)
    for row, header in zip(rows, headers, strict=True):
        _check_boxes(row, header)
    raise_problems(str(path), [f"line {row.line}: {problem}" for row in rows for problem in row.problems])
    if not rows:
        raise InputError(f"{path} has a header but no rows; a manifest needs one row per image")
    return rows


def raise_problems(where: str, problems: Sequence[str]) -> None:
    """Raises one `InputError` that lists up to 20 problems and their number; does nothing when there is none."""
    if not problems:
        return
    listed = "; ".join(problems[:MAX_LISTED_PROBLEMS])
    rest = len(problems) - MAX_LISTED_PROBLEMS
    more = f"; and {rest} more" if rest > 0 else ""
    plural = "problems" if len(problems) > 1 else "problem"
    raise InputError(f"{where} has {len(problems)} {plural}: {listed}{more}")


def _check_class_names(class_names: Sequence[str] | None) -> None:
    if class_names is None:
        return
    if isinstance(class_names, str) or not class_names or len(set(class_names)) != len(class_names):
        raise InputError(f"class_names must be a list of different names; received {class_names!r}")


def _read_cells(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The CSV's rows as (line number, column -> text); blank lines are no rows."""
    if not path.is_file():
        raise InputError(f"there is no manifest {path}; write one row per image with the columns {', '.join(COLUMNS)}")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header)
            return [
                (reader.line_num, {**dict(zip(header, cells, strict=False)), "": str(len(cells) - len(header))})
                for cells in reader
                if cells
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a UTF-8 CSV file: {error}") from error


def _check_header(path: Path, header: list[str]) -> None:
    missing = [name for name in ("image", "label") if name not in header]
    if missing:
        raise InputError(f"{path} has no column {' and no column '.join(missing)}; its first line is {header}")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise InputError(f"{path} has the column {repeated[0]} more than once")
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        warnings.warn(
            f"{path}: the columns {', '.join(unknown)} are ignored; known are {', '.join(COLUMNS)}", stacklevel=6
        )


def _parse_row(line: int, cells: dict[str, str], folder: Path) -> ManifestRow:
    text = {name: cells.get(name, "").strip() for name in COLUMNS}
    problems = []
    if cells[""] != "0":
        problems.append("the row has another number of cells than the header; put quotes around boxes")
    if not text["image"]:
        problems.append("the image is empty")
    if not text["label"]:
        problems.append("the label is empty")
    if text["boxes"] and text["mask"]:
        problems.append("both boxes and a mask are given; give one of them")
    boxes = []
    if text["boxes"]:
        try:
            boxes = json.loads(text["boxes"])
        except json.JSONDecodeError:
            problems.append(f"boxes {text['boxes']!r} are not a JSON list of [x0, y0, x1, y1]")
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


def _check_boxes(row: ManifestRow, header: ImageHeader | None) -> None:
    """Without a header the image's size is unknown, and only its upper and left border are."""
    width, height = (header.width, header.height) if header is not None else (math.inf, math.inf)
    try:
        row.boxes = validate_boxes(row.boxes, width, height, Path(row.image).name)
    except InputError as error:
        row.problems.append(str(error))


def _header_or_problem(row: ManifestRow, path: str, kind: str) -> ImageHeader | None:
    try:
        return read_image_header(path)
    except InputError as error:
        row.problems.append(f"{kind} {error}")
        return None


def _same_frame(image: ImageHeader, mask: ImageHeader) -> bool:
    ratio = (image.width / image.height) / (mask.width / mask.height)
    return 1 / (1 + MAX_ASPECT_RATIO_DIFFERENCE) <= ratio <= 1 + MAX_ASPECT_RATIO_DIFFERENCE
