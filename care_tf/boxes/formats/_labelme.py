"""labelme JSON: one file per image with `shapes` of `points` in px."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from care_tf.boxes.formats import _fields
from care_tf.boxes.formats._corners import ellipse_box, tight_box_of_points
from care_tf.boxes.formats.annotated_image import AnnotatedImage
from care_tf.boxes.formats.file_names import files_per_image, files_with_suffix, name_parts
from care_tf.errors import InputError
from care_tf.files import atomic_path
from care_tf.text_files import parse_json, read_text

VERSION = "5.5.0"  # of the files written: labelme warns of a major version that is not its own, and reads it
_AREAS = ("rectangle", "polygon", "oriented_rectangle", "rotation", "quadrilateral")
_NO_AREAS = ("point", "points", "line", "linestrip", "line_strip")


def parse_labelme(document: Any, where: str, *, folder: str = "", default_name: str = "") -> AnnotatedImage:
    """Reads one parsed labelme file.

    Rectangles (any two opposite corners), rotated rectangles (four corners; X-AnyLabeling calls them "rotation"),
    polygons and circles become their tight rectangles; a "mask" is its own rectangle, whose second point is the last
    pixel inside. Points and lines have no area: they are listed in `ignored`. labelme turns images by EXIF before it
    shows them, so its pixels are those of the oriented image.

    Args:
      document: What the JSON holds.
      where: The file, for messages.
      folder: The file's folder, which `imagePath` is relative to.
      default_name: The image's name where `imagePath` is empty.

    Raises:
      InputError: Something is missing or malformed, or a shape is of an unknown type.
    """
    if not isinstance(document, dict) or "shapes" not in document:
        raise InputError(f"{where} is not a labelme file: it has no shapes.")
    name = document.get("imagePath") or default_name
    name = "/".join(name_parts(f"{folder}/{_fields.text(name, 'imagePath', where)}"))
    width, height = _fields.stated_size(document.get("imageWidth"), document.get("imageHeight"), where)
    boxes, labels, ignored = [], [], []
    for number, shape in enumerate(_fields.items(document, "shapes", where), start=1):
        item = f"{where}: shape {number}"
        label = shape.get("label") or ""
        if not isinstance(label, str):
            raise InputError(f"{item}: label must be a text. Received {_fields.shown(label)}.")
        kind = shape.get("shape_type") or "polygon"  # labelme 3 wrote no type: all were polygons
        if kind in _NO_AREAS:
            ignored.append(f"{kind} {label}".strip())
        else:
            boxes.append(_box(kind, _fields.points(shape.get("points"), "points", item), item))
            labels.append(label)
    return AnnotatedImage(
        name=name,
        boxes=np.array(boxes),
        labels=tuple(labels),
        width=width,
        height=height,
        where=where,
        ignored=tuple(ignored),
    )


def read_labelme(path: str | os.PathLike) -> list[AnnotatedImage]:
    """`parse_labelme` of one JSON file, or of every one below a folder.

    Raises:
      InputError: As in `parse_labelme`, or there are no JSON files.
    """
    path = Path(path)
    files = files_with_suffix(path, (".json",)) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path} holds no JSON files; give the folder that labelme saved to.")
    images = []
    for file in files:
        folder = file.parent.relative_to(path).as_posix() if path.is_dir() else ""
        document = parse_json(read_text(file), str(file))
        images.append(parse_labelme(document, str(file), folder=folder, default_name=file.stem))
    return images


def labelme_document(image: AnnotatedImage) -> dict[str, Any]:
    """The inverse of `parse_labelme`; the image is expected beside the file.

    Raises:
      InputError: The image's size is unknown.
    """
    image = image.in_pixels()
    width, height = image.stated_size("labelme")
    shapes: list[dict[str, Any]] = []
    for box, label in zip(image.boxes, image.labels, strict=True):
        x0, y0, x1, y1 = (_fields.shortest(edge) for edge in box)
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
    """Writes a folder with one JSON per image, in the images' subfolders; whole or not at all.

    Raises:
      InputError: As in `labelme_document`, or two images would share a file.
    """
    files = files_per_image(images, ".json")
    with atomic_path(path) as folder:
        folder.mkdir()
        for image, name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(labelme_document(image), indent=2, ensure_ascii=False)
            (folder / name).write_text(text + "\n", encoding="utf-8")


def _box(kind: Any, points: np.ndarray, where: str) -> np.ndarray:
    if kind in _AREAS:
        return tight_box_of_points(points)
    if kind == "circle" and len(points) == 2:  # its center and a point on its rim
        return ellipse_box(points[0], [float(np.hypot(*(points[1] - points[0])))] * 2)
    if kind == "mask" and len(points) == 2:
        return tight_box_of_points(points) + np.array([0, 0, 1, 1])
    raise InputError(f"{where} of type {_fields.shown(kind)} with {len(points)} points is no shape of labelme's.")
