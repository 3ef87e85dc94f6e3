"""A plain table: `image,x0,y0,x1,y1[,label][,image_width,image_height]` in px, one row per box; or TensorFlow's."""

import os
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from care_tf.box_geometry import shortest
from care_tf.boxes.formats import _fields
from care_tf.boxes.formats.annotated_image import AnnotatedImage, Shape, image_of_shapes, read_entries
from care_tf.csv_files import has_columns, parse_table, write_table
from care_tf.errors import InputError
from care_tf.text_files import read_text

COLUMNS = ("image", "x0", "y0", "x1", "y1")
TENSORFLOW_COLUMNS = ("filename", "xmin", "ymin", "xmax", "ymax")
_EDGES = COLUMNS[1:]
_SIZE = ("image_width", "image_height")
_EVERY = (*COLUMNS, "label", *_SIZE)
_TENSORFLOW = dict(zip(_EVERY, (*TENSORFLOW_COLUMNS, "class", "width", "height"), strict=True))


def parse_csv_table(text: str, where: str, *, image_size: tuple[int, int] | None = None) -> list[AnnotatedImage]:
    """The images of a table, in the order of their first rows.

    A row with an image and no positions says that the image was looked at and has no box. Columns beyond the known ones
    are ignored. The table of TensorFlow's object detection, `filename,width,height,class,xmin,ymin,xmax,ymax`, is read
    too: its positions are edges. `image_size` is (width, height) of all images the positions refer to, px, where the
    table does not say.
    """
    is_tensorflow = has_columns(text, TENSORFLOW_COLUMNS) and not has_columns(text, COLUMNS)
    name_of = _TENSORFLOW if is_tensorflow else {column: column for column in _EVERY}
    entries: dict[str, list[tuple]] = defaultdict(list)
    sizes: dict[str, tuple[int | None, int | None]] = {}
    required, numbers = ([name_of[column] for column in columns] for columns in (COLUMNS, (*_EDGES, *_SIZE)))
    for number, cells in parse_table(text, where, required, numbers=numbers):
        row = {column: cells.get(name, "") for column, name in name_of.items()}
        line = f"{where}, line {number}"
        name = _fields.text(row["image"], name_of["image"], line)
        size = _fields.stated_size(row["image_width"], row["image_height"], line)
        if sizes.setdefault(name, size) != size:
            raise InputError(f"{line}: another row of {name} states another size of the image.")
        if any(row[edge] for edge in _EDGES):
            entries[name].append(({name_of[edge]: row[edge] for edge in _EDGES}, row["label"], where, f"line {number}"))
    unstated = image_size or (None, None)
    return [
        image_of_shapes(
            name,
            read_entries(_shape, entries[name]),
            unstated if size == (None, None) else size,
            f"{where}: image {name}",
        )
        for name, size in sizes.items()
    ]


def _shape(edges: dict[str, str], label: str, where: str, item: str) -> Shape:
    box = [_fields.number(cell, name, f"{where}, {item}") for name, cell in edges.items()]
    return Shape("box", label, np.array(box), item)


def read_csv_table(path: str | os.PathLike, *, image_size: tuple[int, int] | None = None) -> list[AnnotatedImage]:
    """`parse_csv_table` of a file."""
    return parse_csv_table(read_text(path), str(path), image_size=image_size)


def csv_rows(images: Sequence[AnnotatedImage]) -> list[list]:
    """The inverse of `parse_csv_table`: all rows with the header; refuses fractions of a size that is unknown."""
    rows: list[list] = [["image", *_EDGES, "label", *_SIZE]]
    for image in images:
        size = [image.width or "", image.height or ""]
        for box, label in zip(image.in_pixels().boxes, image.labels, strict=True):
            rows.append([image.name, *(shortest(edge) for edge in box), label, *size])
        if not len(image.boxes):
            rows.append([image.name, "", "", "", "", "", *size])
    return rows


def write_csv_table(images: Sequence[AnnotatedImage], path: str | os.PathLike) -> None:
    """Writes `csv_rows` to a file, whole or not at all."""
    write_table(path, csv_rows(images))
