"""Parsing and checking the columns of a manifest: all problems are collected, then reported together."""

import collections
import dataclasses
import itertools
import json
import math
import os
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from care_tf.box_geometry import as_boxes, box_problems
from care_tf.csv_files import composed, path_finder
from care_tf.data._annotation import annotation_problems
from care_tf.data._image_boxes import ImageBoxes
from care_tf.data.noted_columns import NOTED_COLUMNS
from care_tf.errors import InputError, clause, shown
from care_tf.file_in_memory import AnyFile
from care_tf.file_work import work_on_chunks
from care_tf.images.header import ImageHeader, read_image_header
from care_tf.problems import raise_problems

COLUMNS = ("image", "label", "boxes", "mask", "group", "split", "fold", "box_source")
MAX_ASPECT_RATIO_DIFFERENCE = 0.02  # a mask of another size must still show the same frame
_OTHER_THAN_NUMBERS = re.compile(r"[\"a-df-zA-DF-Z]").search
_ROWS_AT_ONCE, _FILES_AT_ONCE = 1000, 100

Note: TypeAlias = Callable[[int, str], None]
"""Takes a problem of a row."""


@dataclasses.dataclass
class ManifestTable:
    """Columns as they were given: where they are from, the folder that paths are relative to, and each row's number.

    `numbered` says what the numbers count: "line" or "row".
    """

    where: str
    folder: Path
    cells: dict[str, list[str]]
    numbered: str
    numbers: Sequence[int]
    problems: list[str] = dataclasses.field(default_factory=list)

    def place(self, row: int) -> str:
        """What messages call a row."""
        return f"{self.numbered} {self.numbers[row]}"


def table_in_memory(rows: Any, folder: Path, columns: Sequence[str]) -> ManifestTable:
    """A pandas frame, or mappings, as the columns of a CSV: texts, "" for what is missing, boxes as JSON.

    Raises:
      InputError: A row lacks one of the columns.
    """
    is_frame = hasattr(rows, "to_dict")
    records = [rows.to_dict("list")][: len(rows)] if is_frame else list(rows)
    for number, record in enumerate(records):
        missing = [name for name in columns if name not in record]
        if missing:
            raise InputError(
                f"Every row needs {', '.join(columns)}. Received row {number} without {', '.join(missing)}, with "
                f"{', '.join(map(str, record))}."
            )
    names = {**{name: name for name in (*COLUMNS, *columns)}, **{str(name): name for name in (records or [{}])[0]}}
    cells = {}
    for text, name in names.items():
        values = records[0].get(name, []) if is_frame and records else [record.get(name, "") for record in records]
        cells[text] = list(map(_as_text, values))
    return ManifestTable("The table", folder, cells, "row", range(len(rows) if is_frame else len(records)))


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
) -> tuple[dict[str, list[str]], ImageBoxes]:
    """The texts of `COLUMNS` and further inputs, with absolute paths, and the boxes of all rows, all valid.

    Arguments and errors are those of `read_manifest`. What one row costs is what opening its file costs: the columns
    are worked on as wholes.
    """
    check_class_names(class_names)
    _warn_of_unknown_columns(table, inputs)
    num_rows = len(table.numbers)
    problems: dict[int, list[str]] = collections.defaultdict(list)

    def note(row: int, problem: str) -> None:
        problems[row].append(problem)

    cells = {name: table.cells.pop(name, []) or [""] * num_rows for name in (*COLUMNS, *inputs)}
    for name in ("image", "label"):
        for row in _rows_with("", cells[name]):
            note(row, f"the {name} is empty")
    boxes = _parsed_boxes(cells.pop("boxes"), cells["image"], note)
    find = path_finder(table.folder)
    for name in cells:
        if name in ("image", "mask"):
            cells[name] = [cell and find(cell) for cell in cells[name]]
        elif not all(map(str.isascii, cells[name])):
            cells[name] = [composed(cell) for cell in cells[name]]
    cells["label"] = _known_labels(cells["label"], class_names or (), note)
    _find_duplicates(cells["image"], table.place, note)
    widths, heights = _checked_sizes(cells["image"], cells["mask"], note) if check_images else (math.inf, math.inf)
    for row, texts in annotation_problems(boxes, cells["mask"], widths, heights).items():
        for text in texts:
            note(row, f"{Path(cells['image'][row]).name}: {text}")
    found = [f"{table.place(row)}: {problem}" for row in sorted(problems) for problem in problems[row]]
    raise_problems(table.where, table.problems + found)
    if not num_rows:
        raise InputError(f"{table.where} has no rows. A manifest needs one row per image.")
    return cells, boxes


def file_problems(image: AnyFile, mask: AnyFile, boxes: np.ndarray) -> list[str]:
    """What `read_manifest` has against the files of one image and its boxes (k,4); `mask` is "" where there is none."""
    problems: list[str] = []

    def note(row: int, problem: str) -> None:
        problems.append(problem)

    header = _header_or_problem("image", image, 0, note)
    if mask:
        _check_mask(mask, header, 0, note)
    found = {} if header is None else box_problems(boxes, [header.width] * len(boxes), [header.height] * len(boxes))
    return problems + list(found.values())


def check_class_names(class_names: Sequence[str] | None) -> None:
    """Refuses what is no list of different names; None is allowed."""
    if class_names is None:
        return
    if isinstance(class_names, str) or not class_names or len(set(class_names)) != len(class_names):
        raise InputError(f"class_names must be a list of different names. Received {class_names!r}.")


def _warn_of_unknown_columns(table: ManifestTable, inputs: Sequence[str]) -> None:
    unknown = (
        [name for name in table.cells if name not in (*COLUMNS, *NOTED_COLUMNS, *inputs)] if len(table.numbers) else []
    )
    if unknown:
        warnings.warn(
            f"{table.where}: the columns {', '.join(unknown)} are ignored; known are {', '.join(COLUMNS)}", stacklevel=5
        )


def _rows_with(cell: str, column: Sequence[str]) -> list[int]:
    return [row for row, each in enumerate(column) if each == cell] if cell in column else []


def _known_labels(labels: list[str], class_names: Sequence[str], note: Note) -> list[str]:
    """The labels as the class list spells them."""
    known = {composed(name): name for name in class_names}
    unknown = set(labels) - set(known) - {""} if known else set()
    for row, label in enumerate(labels) if unknown else ():
        if label in unknown:
            note(row, f"label {label!r} is not in the class list {', '.join(known)}")
    return [known.get(label, label) for label in labels] if known else labels


def _find_duplicates(images: list[str], place: Callable[[int], str], note: Note) -> None:
    if len(set(images)) == len(images):
        return
    first_row: dict[str, int] = {}
    for row, image in enumerate(images):
        first = first_row.setdefault(image, row)
        if first != row and image:
            note(row, f"image {Path(image).name} is already on {place(first)}")


def _parsed_boxes(texts: list[str], images: list[str], note: Note) -> ImageBoxes:
    """The boxes of all rows; those of a row that cannot be read are noted and left out."""
    filled = [row for row, text in enumerate(texts) if text]
    counts, parts = np.zeros(len(texts), np.int64), [np.zeros((0, 4), np.float32)]
    for start in range(0, len(filled), _ROWS_AT_ONCE):
        rows = filled[start : start + _ROWS_AT_ONCE]
        own = _plain_boxes([texts[row] for row in rows])
        if own is None:
            arrays = [_boxes_of_row(texts[row], images[row], row, note) for row in rows]
            own = ImageBoxes(np.concatenate(arrays), list(map(len, arrays)))
        counts[rows] = own.counts
        parts.append(own.flat)
    return ImageBoxes(np.concatenate(parts), counts)


def _plain_boxes(texts: list[str]) -> ImageBoxes | None:
    """The boxes of rows that are lists of boxes, as `as_boxes` reads each of them; None where one may not be."""
    if any(map(_OTHER_THAN_NUMBERS, texts)):  # NumPy reads some texts, and true, as numbers
        return None
    try:
        listed = [json.loads(text) for text in texts]
        with np.errstate(over="ignore"):
            flat = np.array(list(itertools.chain.from_iterable(listed)), np.float32)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    if not all(type(each) is list for each in listed) or (flat.shape[1:] != (4,) and flat.shape != (0,)):
        return None
    return ImageBoxes(flat, list(map(len, listed)))


def _boxes_of_row(text: str, image: str, row: int, note: Note) -> np.ndarray:
    try:
        boxes = json.loads(text)
    except (ValueError, RecursionError):  # also a number of thousands of digits, and brackets within brackets
        note(row, f"boxes {shown(text)} are not a JSON list of [x0, y0, x1, y1]")
        return as_boxes([], "")
    try:
        return as_boxes(boxes, Path(image).name)
    except InputError as error:
        note(row, str(error))
        return as_boxes([], "")


def _checked_sizes(images: list[str], masks: list[str], note: Note) -> tuple[np.ndarray, np.ndarray]:
    """The widths and heights of all images, after a look at the headers of all files; inf where there is none.

    Without a header the image's size is unknown, and only its upper and left border are.
    """
    widths, heights = np.full((2, len(images)), np.inf)

    def check(start: int) -> None:
        for row in range(start, min(start + _FILES_AT_ONCE, len(images))):
            image = _header_or_problem("image", images[row], row, note)
            if image is not None:
                widths[row], heights[row] = image.width, image.height
            if masks[row]:
                _check_mask(masks[row], image, row, note)

    work_on_chunks(check, range(0, len(images), _FILES_AT_ONCE))
    return widths, heights


def _check_mask(path: AnyFile, image: ImageHeader | None, row: int, note: Note) -> None:
    mask = _header_or_problem("mask", path, row, note)
    if mask is not None and mask.format != "PNG":
        note(row, f"mask {path} is a {mask.format} file; masks must be PNG, which is lossless")
    elif mask is not None and image is not None and not _same_frame(image, mask):
        note(
            row,
            f"mask {path} is {mask.width} x {mask.height} px and the image {image.width} x {image.height} px; "
            "the sizes may differ but not the aspect ratio",
        )


def _header_or_problem(kind: str, path: AnyFile, row: int, note: Note) -> ImageHeader | None:
    try:
        return read_image_header(path) if path else None
    except InputError as error:
        note(row, f"{kind} {clause(error)}{_odd_characters(str(path))}")
        return None


def _odd_characters(path: str) -> str:
    """The end of a message about a missing file: the characters of its path that tools write differently."""
    odd = sorted({character for character in path if character == "\\" != os.sep or not character.isascii()})
    return f"; its path has {', '.join(f'{each} (U+{ord(each):04X})' for each in odd)}" if odd else ""


def _same_frame(image: ImageHeader, mask: ImageHeader) -> bool:
    ratio = (image.width / image.height) / (mask.width / mask.height)
    return 1 / (1 + MAX_ASPECT_RATIO_DIFFERENCE) <= ratio <= 1 + MAX_ASPECT_RATIO_DIFFERENCE
