"""CreateML JSON, one of Roboflow's exports: a list of images; coordinates = a box's center, width and height in px."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from care_tf.boxes.formats import _fields
from care_tf.boxes.formats.annotated_image import AnnotatedImage, Shape, image_of_shapes, read_entries
from care_tf.errors import InputError
from care_tf.files import write_json
from care_tf.text_files import read_json


def is_createml(document: Any) -> bool:
    """Whether a parsed JSON file is a list of images with their annotations."""
    return (
        isinstance(document, list)
        and bool(document)
        and all(isinstance(entry, dict) and isinstance(entry.get("annotations"), list) for entry in document)
        and all(isinstance(entry.get("image", entry.get("imagefilename")), str) for entry in document)
    )


def parse_createml(document: Any, where: str) -> list[AnnotatedImage]:
    """All images of a parsed CreateML file in its order; without annotations they have no boxes.

    Source: developer.apple.com, "Building an object detector data source".
    """
    if not is_createml(document):
        raise InputError(
            f"{where} is not a CreateML file: it must be a list of images with the keys image and annotations; export "
            "it as CreateML JSON."
        )
    images = []
    for entry in document:
        name = entry.get("image", entry.get("imagefilename"))
        item = f"{where}: image {name}"
        annotations = enumerate(_fields.items(entry, "annotations", item), start=1)
        shapes = read_entries(_shape, [(each, item, f"annotation {number}") for number, each in annotations])
        images.append(image_of_shapes(name, shapes, (None, None), item))
    return images


def read_createml(path: str | os.PathLike) -> list[AnnotatedImage]:
    """`parse_createml` of a file."""
    return parse_createml(read_json(path, finite=False), str(path))


def write_createml(images: Sequence[AnnotatedImage], path: str | os.PathLike) -> None:
    """Writes images to a file, whole or not at all."""
    document = []
    for image in (image.in_pixels() for image in images):
        annotations = []
        for (x0, y0, x1, y1), label in zip(image.boxes, image.labels, strict=True):
            # In full: an edge is the difference of two of these, which would show what a shorter center rounds away.
            center = {"x": float(x0 + x1) / 2, "y": float(y0 + y1) / 2}
            size = {"width": float(x1 - x0), "height": float(y1 - y0)}
            annotations.append({"label": label or "box", "coordinates": center | size})
        document.append({"image": image.name, "annotations": annotations})
    write_json(path, document, indent=1, ensure_ascii=False)


def _shape(annotation: dict, image: str, item: str) -> Shape:
    where = f"{image}, {item}"
    coordinates = annotation.get("coordinates")
    if not isinstance(coordinates, dict):
        raise InputError(f"{where} needs coordinates. Received {_fields.shown(coordinates)}.")
    x, y, width, height = (_fields.number(coordinates.get(key), key, where) for key in ("x", "y", "width", "height"))
    box = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    return Shape("box", _fields.text(annotation.get("label", ""), "an annotation's label", where), box, item)
