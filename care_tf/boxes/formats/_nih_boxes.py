"""NIH ChestX-ray14's BBox_List_2017.csv: `Image Index,Finding Label,Bbox [x,y,w,h]`, one row per box in px."""

import os
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from care_tf.box_geometry import shortest
from care_tf.boxes.formats import _fields
from care_tf.boxes.formats.annotated_image import (
    AnnotatedImage,
    Shape,
    boxes_in_frame,
    image_of_shapes,
    read_entries,
)
from care_tf.csv_files import parse_table, write_table
from care_tf.errors import InputError
from care_tf.text_files import read_text

COLUMNS = ("Image Index", "Finding Label")
IMAGE_SIZE = (1024, 1024)  # every image of the set; the table does not say
_BOX = "Bbox [x"


def parse_nih(text: str, where: str, *, image_size: tuple[int, int] | None = IMAGE_SIZE) -> list[AnnotatedImage]:
    """The images of a table, in the order of their first rows, the findings as labels.

    The set's header is not quoted, so its bracket is four columns; where a spreadsheet made it one, the three columns
    after it have no name. Either way a box is four cells. `image_size` is (width, height) of the images that the
    positions refer to, px; None says that it is unknown.

    Source: X. Wang et al., ChestX-ray8, CVPR 2017; the table is that of the release of ChestX-ray14.
    """
    entries: dict[str, list[tuple]] = defaultdict(list)
    sides = _box_columns(parse_table(text, where, COLUMNS), where)
    for number, row in parse_table(text, where, COLUMNS, numbers=sides):
        name = _fields.text(row["Image Index"], "Image Index", f"{where}, line {number}")
        entries[name].append(([row[side] for side in sides], row["Finding Label"], where, f"line {number}"))
    return [
        image_of_shapes(name, read_entries(_shape, own), image_size or (None, None), f"{where}: image {name}")
        for name, own in entries.items()
    ]


def read_nih(path: str | os.PathLike, *, image_size: tuple[int, int] | None = IMAGE_SIZE) -> list[AnnotatedImage]:
    """`parse_nih` of a file."""
    return parse_nih(read_text(path), str(path), image_size=image_size)


def write_nih(
    images: Sequence[AnnotatedImage], path: str | os.PathLike, *, image_size: tuple[int, int] | None = IMAGE_SIZE
) -> None:
    """Writes the table, whole or not at all, with boxes in the frame of `image_size`; None leaves the images' own."""
    rows: list[list] = [[*COLUMNS, _BOX, "y", "w", "h]"]]
    for image in images:
        boxes = boxes_in_frame(image, image_size, "the NIH radiographs").tolist()
        for box, label in zip(boxes, image.labels, strict=True):
            x0, y0, x1, y1 = map(shortest, box)
            rows.append([image.name, label, x0, y0, x1 - x0, y1 - y0])
    write_table(path, rows)


def _box_columns(table: list[tuple[int, dict[str, str]]], where: str) -> list[str]:
    columns = list(table[0][1]) if table else []
    start = next((place for place, name in enumerate(columns) if name.startswith(_BOX)), len(columns))
    if table and len(columns) < start + 4:
        raise InputError(
            f"{where} needs four columns of positions, the first called Bbox [x,y,w,h]. Received {', '.join(columns)}. "
            "Download BBox_List_2017.csv again."
        )
    return columns[start : start + 4]


def _shape(cells: list[str], label: str, file: str, item: str) -> Shape:
    x, y, width, height = (
        _fields.number(cell, side, f"{file}, {item}") for cell, side in zip(cells, "xywh", strict=True)
    )
    return Shape("box", label, np.array([x, y, x + width, y + height]), item)
