"""COCO JSON: one file with `images`, `annotations` and `categories`; bbox = [x, y, width, height] in px."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from care_tf.box_geometry import shortest
from care_tf.boxes.formats import _fields
from care_tf.boxes.formats._corners import rotated_box, tight_box_of_points
from care_tf.boxes.formats.annotated_image import AnnotatedImage, Shape, image_of_shapes, read_entries
from care_tf.errors import InputError
from care_tf.files import write_json
from care_tf.text_files import read_json


def parse_coco(document: Any, where: str) -> list[AnnotatedImage]:
    """All images of a parsed COCO file in its order; without annotations they have no boxes.

    `bbox` is what counts, also of a crowd or a run-length mask; an annotation without one has the tight rectangle of
    its polygons. An annotation of an image that the file does not list is bad, and comes with an image "(image_id 7)".
    CVAT writes a rotated box as its unrotated `bbox` and `attributes.rotation`, degrees clockwise about
    the center: it becomes the tight rectangle of the rotated corners.

    Source: cocodataset.org, "Data format" (object detection). Deviation: [x, y] is a position, not a pixel's index.
    """
    if not isinstance(document, dict) or "images" not in document:
        hint = "a list of detections lacks the images' names" if isinstance(document, list) else "it has no images"
        raise InputError(f"{where} is not a COCO file: {hint}; give one with images, annotations and categories.")
    names = {}
    for category in _fields.items(document, "categories", where):
        names[_identity(category, "id", f"{where}: a category")] = _fields.text(
            category.get("name"), "a category's name", where
        )
    images = {}
    for image in _fields.items(document, "images", where):
        identity = _identity(image, "id", f"{where}: an image")
        if identity in images:
            raise InputError(f"{where} has two images with the id {identity}; ids must be unique.")
        images[identity] = image
    entries: dict[Any, list[tuple]] = {identity: [] for identity in images}
    strays: dict[str, list[InputError]] = {}
    for place, annotation in enumerate(_fields.items(document, "annotations", where)):
        number = f"annotation {_fields.shown(annotation['id']) if 'id' in annotation else f'at {place}'}"
        image_id = annotation.get("image_id")
        if isinstance(image_id, int | str) and not isinstance(image_id, bool) and image_id in images:
            entries[image_id].append((annotation, names, where, number))
            continue
        error = InputError(
            f"{where}: {number} belongs to image {_fields.shown(image_id)}, which the file does not list."
        )
        strays.setdefault(f"(image_id {_fields.shown(image_id)})", []).append(error)
    return [
        *(_annotated(images[identity], read_entries(_shape, own), where) for identity, own in entries.items()),
        *(image_of_shapes(name, errors, (None, None), where) for name, errors in strays.items()),
    ]


def read_coco(path: str | os.PathLike) -> list[AnnotatedImage]:
    """`parse_coco` of a file."""
    return parse_coco(read_json(path, finite=False), str(path))


def coco_document(images: Sequence[AnnotatedImage]) -> dict[str, list]:
    """The inverse of `parse_coco`: every image is listed, with boxes or without; refuses one without a size."""
    images = [image.in_pixels() for image in images]
    labels = sorted({label for image in images for label in image.labels})
    category_of = {label: number for number, label in enumerate(labels, start=1)}
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, start=1):
        width, height = image.stated_size("COCO")
        listed.append({"id": image_id, "file_name": image.name, "width": width, "height": height})
        for box, label in zip(image.boxes, image.labels, strict=True):
            x0, y0, x1, y1 = (shortest(edge) for edge in box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category_of[label],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "segmentation": [],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": label or "box", "supercategory": ""} for label, number in category_of.items()]
    return {"images": listed, "annotations": annotations, "categories": categories}


def write_coco(images: Sequence[AnnotatedImage], path: str | os.PathLike) -> None:
    """Writes `coco_document` to a file, whole or not at all."""
    document = coco_document(images)
    write_json(path, document, indent=1, ensure_ascii=False)


def _annotated(image: dict, shapes: list[Shape | InputError], where: str) -> AnnotatedImage:
    name = _fields.text(image.get("file_name"), "an image's file_name", where)
    item = f"{where}: image {name}"
    return image_of_shapes(name, shapes, _fields.stated_size(image.get("width"), image.get("height"), item), item)


def _shape(annotation: dict, names: dict, file: str, item: str) -> Shape:
    where = f"{file}: {item}"
    return Shape("", _label(annotation, names, where), _box(annotation, where), item)


def _box(annotation: dict, where: str) -> np.ndarray:
    bbox, segmentation = annotation.get("bbox"), annotation.get("segmentation")
    attributes = annotation.get("attributes")
    degrees = attributes.get("rotation") if isinstance(attributes, dict) else None
    if bbox:
        if isinstance(bbox, list) and len(bbox) == 5:
            raise InputError(f"{where}: bbox has five numbers, and tools disagree on the fifth; export upright boxes.")
        x, y, width, height = _fields.numbers(bbox, 4, "bbox", where)
        box = np.array([x, y, x + width, y + height])
        return rotated_box(box, _fields.number(degrees, "attributes.rotation", where)) if degrees else box
    if isinstance(segmentation, dict):
        raise InputError(f"{where} has a run-length mask but no bbox; export it with bbox.")
    if not segmentation:
        raise InputError(f"{where} has neither a bbox nor a segmentation.")
    return tight_box_of_points(np.concatenate([_polygon(polygon, where) for polygon in _polygons(segmentation, where)]))


def _polygons(segmentation: Any, where: str) -> list:
    """A list of polygons; some tools write a single one without the outer list."""
    polygons = _fields.entries(segmentation, "segmentation", where)
    return polygons if isinstance(polygons[0], list) else [polygons]


def _polygon(polygon: Any, where: str) -> np.ndarray:
    """[x, y, x, y, ...] as float64 (n,2)."""
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        raise InputError(f"{where}: a polygon must be x,y of at least three points. Received {_fields.shown(polygon)}.")
    return np.array(_fields.numbers(polygon, len(polygon), "segmentation", where)).reshape(-1, 2)


def _label(annotation: dict, names: dict, where: str) -> str:
    if annotation.get("category_id") is None:
        return ""
    identity = _identity(annotation, "category_id", where)
    if identity not in names:
        raise InputError(f"{where} has the category {identity}, which the file does not list.")
    return names[identity]


def _identity(item: dict, key: str, where: str) -> int | str:
    identity = item.get(key)
    if isinstance(identity, bool) or not isinstance(identity, int | str):
        raise InputError(f"{where}: {key} must be a whole number. Received {_fields.shown(identity)}.")
    return identity
