"""CVAT for images 1.1: one XML with an `image` element per image and shapes in px."""

import os
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree  # for building only: xml_files parses

import numpy as np

from care_tf.box_geometry import shortest
from care_tf.boxes.formats import _fields
from care_tf.boxes.formats._corners import ellipse_box, rotated_box, tight_box_of_points
from care_tf.boxes.formats._xml_files import add_children, read_xml, write_xml
from care_tf.boxes.formats.annotated_image import AnnotatedImage, Shape, image_of_shapes
from care_tf.errors import InputError
from care_tf.files import atomic_path

_NO_AREAS = ("points", "polyline", "cuboid", "skeleton")


def parse_cvat(root: ElementTree.Element, where: str) -> list[AnnotatedImage]:
    """All images of a parsed CVAT file, also those that nobody annotated: CVAT lists every image of a task.

    Boxes, polygons, ellipses and masks become their tight rectangles; `rotation` is in degrees clockwise about the
    shape's center. Points, lines, cuboids and skeletons are listed in `ignored`; tags of whole images are no shapes.

    Source: docs.cvat.ai, "XML annotation format", version 1.1.
    """
    if root.tag != "annotations":
        raise InputError(f"{where} is not a CVAT file: its root is <{root.tag}>, not <annotations>.")
    if root.find("track") is not None:
        raise InputError(f'{where} has tracks of a video; export it as "CVAT for images 1.1".')
    return [_annotated(element, where) for element in root.findall("image")]


def read_cvat(path: str | os.PathLike) -> list[AnnotatedImage]:
    """`parse_cvat` of a file, or of the annotations.xml in a folder."""
    path = Path(path)
    path = path / "annotations.xml" if path.is_dir() else path
    return parse_cvat(read_xml(path), str(path))


def cvat_element(images: Sequence[AnnotatedImage]) -> ElementTree.Element:
    """The inverse of `parse_cvat`; refuses an image without a size."""
    root = ElementTree.Element("annotations")
    add_children(root, [("version", "1.1")])
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    add_children(task, [("size", len(images)), ("mode", "annotation")])
    labels = ElementTree.SubElement(task, "labels")
    for name in sorted({label for image in images for label in image.labels}):
        listed = ElementTree.SubElement(labels, "label")
        add_children(listed, [("name", name), ("type", "rectangle")])
        ElementTree.SubElement(listed, "attributes")
    for number, image in enumerate(images):
        width, height = image.stated_size("CVAT")
        attributes = {"id": str(number), "name": image.name, "width": str(width), "height": str(height)}
        element = ElementTree.SubElement(root, "image", attributes)
        for box, label in zip(image.in_pixels().boxes, image.labels, strict=True):
            edges = zip(("xtl", "ytl", "xbr", "ybr"), (str(shortest(edge)) for edge in box), strict=True)
            attributes = {"label": label, "source": "manual", "occluded": "0", **dict(edges), "z_order": "0"}
            ElementTree.SubElement(element, "box", attributes)
    return root


def write_cvat(images: Sequence[AnnotatedImage], path: str | os.PathLike) -> None:
    """Writes `cvat_element` to a file, whole or not at all."""
    root = cvat_element(images)
    with atomic_path(path) as temporary:
        write_xml(root, temporary)


def _annotated(element: ElementTree.Element, where: str) -> AnnotatedImage:
    name = _fields.text(element.get("name"), "an image's name", where)
    item = f"{where}: image {name}"
    size = _fields.stated_size(element.get("width"), element.get("height"), item)
    shapes = [
        Shape(
            shape.tag,
            shape.get("label") or "",
            None if shape.tag in _NO_AREAS else _box(shape, f"{item}, {shape.tag} {number}"),
        )
        for number, shape in enumerate(element, start=1)
        if shape.tag != "tag"
    ]
    return image_of_shapes(name, shapes, size, item)


def _box(shape: ElementTree.Element, where: str) -> np.ndarray:
    degrees = _fields.number(shape.get("rotation") or 0, "rotation", where)
    if shape.tag == "box":
        return rotated_box(_numbers(shape, ("xtl", "ytl", "xbr", "ybr"), where), degrees)
    if shape.tag == "ellipse":
        x, y, radius_x, radius_y = _numbers(shape, ("cx", "cy", "rx", "ry"), where)
        return ellipse_box([x, y], [radius_x, radius_y], degrees)
    if shape.tag == "mask":
        left, top, width, height = _numbers(shape, ("left", "top", "width", "height"), where)
        return np.array([left, top, left + width, top + height])
    if shape.tag == "polygon":
        pairs = [pair.split(",") for pair in (shape.get("points") or "").split(";")]
        return tight_box_of_points(_fields.points(pairs, "points", where))
    raise InputError(f"{where} is no shape of CVAT for images 1.1.")


def _numbers(shape: ElementTree.Element, names: tuple[str, ...], where: str) -> list[float]:
    return [_fields.number(shape.get(name), name, where) for name in names]
