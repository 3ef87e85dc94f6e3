"""A plain table: `image,x0,y0,x1,y1[,label][,image_width,image_height]` in px, one row per box."""

import os
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from care_tf.box_geometry import shortest
from care_tf.boxes.formats import _fields
from care_tf.boxes.formats.annotated_image import AnnotatedImage
from care_tf.csv_files import parse_table, write_table
from care_tf.errors import InputError
from care_tf.text_files import read_text

_EDGES = ("x0", "y0", "x1", "y1")


def parse_csv_table(text: str, where: str, *, image_size: tuple[int, int] | None = None) -> list[AnnotatedImage]:
    """The images of a table, in the order of their first rows.

    A row with an image and no positions says that the image was looked at and has no box. Columns beyond the known ones
    are ignored. `image_size` is (width, height) of all images the positions refer to, px, where the table does not say.
    """
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    labels: dict[str, list[str]] = defaultdict(list)
    sizes: dict[str, tuple[int | None, int | None]] = {}
    for number, row in parse_table(text, where, ("image", *_EDGES)):
        line = f"{where}, line {number}"
        name = _fields.text(row["image"], "image", line)
        size = _fields.stated_size(row.get("image_width"), row.get("image_height"), line)
        if sizes.setdefault(name, size) != size:
            raise InputError(f"{line}: another row of {name} states another size of the image.")
        if any(row[edge] for edge in _EDGES):
            boxes[name].append([_fields.number(row[edge], edge, line) for edge in _EDGES])
            labels[name].append(row.get("label", ""))
    unstated = image_size or (None, None)
    return [
        AnnotatedImage(
            name,
            np.array(boxes[name]),
            tuple(labels[name]),
            *(unstated if size == (None, None) else size),
            where=f"{where}: image {name}",
        )
        for name, size in sizes.items()
    ]


def read_csv_table(path: str | os.PathLike, *, image_size: tuple[int, int] | None = None) -> list[AnnotatedImage]:
    """`parse_csv_table` of a file."""
    return parse_csv_table(read_text(path), str(path), image_size=image_size)


def csv_rows(images: Sequence[AnnotatedImage]) -> list[list]:
    """The inverse of `parse_csv_table`: all rows with the header; refuses fractions of a size that is unknown."""
    rows: list[list] = [["image", *_EDGES, "label", "image_width", "image_height"]]
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
