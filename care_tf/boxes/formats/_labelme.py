"""labelme JSON: one file per image with `shapes` of `points` in px."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from care_tf.box_geometry import shortest
from care_tf.boxes.formats import _fields
from care_tf.boxes.formats._corners import ellipse_box, tight_box_of_points
from care_tf.boxes.formats.annotated_image import AnnotatedImage, Shape, image_of_shapes, read_entries
from care_tf.boxes.formats.file_names import name_parts, read_files, write_per_image
from care_tf.errors import InputError
from care_tf.text_files import read_json

VERSION = "5.5.0"  # of the files written: labelme warns of a major version that is not its own, and reads it
_AREAS = ("rectangle", "polygon", "oriented_rectangle", "rotation", "quadrilateral")
_NO_AREAS = ("point", "points", "line", "linestrip", "line_strip")


def parse_labelme(document: Any, where: str, *, folder: str = "", default_name: str = "") -> AnnotatedImage:
    """The image of one parsed labelme file, which lies in `folder`; `default_name` is for an empty `imagePath`.

    Rectangles (any two opposite corners), rotated rectangles (four corners; X-AnyLabeling calls them "rotation"),
    polygons and circles become their tight rectangles; a "mask" is its own rectangle, whose second point is the last
    pixel inside. Points and lines have no area: they are listed in `ignored`. labelme turns images by EXIF before it
    shows them, so its pixels are those of the oriented image.
    """
    if not isinstance(document, dict) or "shapes" not in document:
        raise InputError(f"{where} is not a labelme file: it has no shapes.")
    name = document.get("imagePath") or default_name
    name = "/".join(name_parts(f"{folder}/{_fields.text(name, 'imagePath', where)}"))
    size = _fields.stated_size(document.get("imageWidth"), document.get("imageHeight"), where)
    shapes = enumerate(_fields.items(document, "shapes", where), start=1)
    read = read_entries(_shape, [(shape, where, f"shape {number}") for number, shape in shapes])
    return image_of_shapes(name, read, size, where)


def read_labelme(path: str | os.PathLike) -> list[AnnotatedImage]:
    """`parse_labelme` of one JSON file, or of every one below a folder."""

    def read(file: Path, folder: str) -> AnnotatedImage:
        return parse_labelme(read_json(file, finite=False), str(file), folder=folder, default_name=file.stem)

    return read_files(path, ".json", "labelme saved to", read)


def labelme_document(image: AnnotatedImage) -> dict[str, Any]:
    """The inverse of `parse_labelme`; the image is expected beside the file, and its size is needed."""
    image = image.in_pixels()
    width, height = image.stated_size("labelme")
    shapes: list[dict[str, Any]] = []
    for box, label in zip(image.boxes, image.labels, strict=True):
        x0, y0, x1, y1 = (shortest(edge) for edge in box)
        shape = {"label": label, "points": [[x0, y0], [x1, y1]], "group_id": None, "description": ""}
        shapes.append({**shape, "shape_type": "rectangle", "flags": {}, "mask": None})
    return {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": name_parts(image.name)[-1],
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def write_labelme(images: Sequence[AnnotatedImage], path: str | os.PathLike) -> None:
    """Writes a folder with one JSON per image, in the images' subfolders; whole or not at all."""

    def write(image: AnnotatedImage, file: Path) -> None:
        text = json.dumps(labelme_document(image), indent=2, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")

    write_per_image(images, path, ".json", write)


def _shape(shape: dict, image: str, item: str) -> Shape:
    where = f"{image}: {item}"
    label = shape.get("label") or ""
    if not isinstance(label, str):
        raise InputError(f"{where}: label must be a text. Received {_fields.shown(label)}.")
    kind = shape.get("shape_type") or "polygon"  # labelme 3 wrote no type: all were polygons
    if kind in _NO_AREAS:
        return Shape(kind, label, None)
    return Shape(kind, label, _box(kind, _fields.points(shape.get("points"), "points", where), where), item)


def _box(kind: Any, points: np.ndarray, where: str) -> np.ndarray:
    if kind in _AREAS:
        return tight_box_of_points(points)
    if kind == "circle" and len(points) == 2:  # its center and a point on its rim
        return ellipse_box(points[0], [float(np.hypot(*(points[1] - points[0])))] * 2)
    if kind == "mask" and len(points) == 2:
        return tight_box_of_points(points) + np.array([0, 0, 1, 1])
    raise InputError(f"{where} of type {_fields.shown(kind)} with {len(points)} points is no shape of labelme's.")
