"""CVAT for images 1.1: one XML with an `image` element per image and shapes in px."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree  # for building only: xml_files parses

import numpy as np

from care_tf.box_geometry import shortest
from care_tf.boxes.formats import _fields
from care_tf.boxes.formats._corners import ellipse_box, rotated_box, tight_box_of_points
from care_tf.boxes.formats._xml_files import add_children, read_xml, write_xml
from care_tf.boxes.formats.annotated_image import AnnotatedImage, Shape, image_of_shapes, read_entries
from care_tf.boxes.formats.file_names import name_parts
from care_tf.errors import InputError
from care_tf.files import atomic_path

_NO_AREAS = ("points", "polyline", "cuboid", "skeleton")


def parse_cvat(root: ElementTree.Element, where: str) -> list[AnnotatedImage]:
    """All images of a parsed CVAT file, also those that nobody annotated: CVAT lists every image of a task.

    Boxes, polygons, ellipses and masks become their tight rectangles; `rotation` is in degrees clockwise about the
    shape's center. Points, lines, cuboids and skeletons are listed in `ignored`; tags of whole images are no shapes.
    A project exports an image below the name of its subset, so this is where it is looked for; images of the same name
    and subset are told apart by the names of their tasks.

    Source: docs.cvat.ai, "XML annotation format", version 1.1.
    """
    if root.tag != "annotations":
        raise InputError(f"{where} is not a CVAT file: its root is <{root.tag}>, not <annotations>.")
    if root.find("track") is not None:
        raise InputError(f'{where} has tracks of a video; export it as "CVAT for images 1.1".')
    elements = root.findall("image")
    return [
        _annotated(element, folder, where) for element, folder in zip(elements, _folders(root, elements), strict=True)
    ]


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


def _folders(root: ElementTree.Element, elements: Sequence[ElementTree.Element]) -> list[str]:
    """The folder of every image in a project's export, "" where none is stated."""
    tasks = {task.findtext("id"): task for task in root.iterfind("meta//task")}
    only = next(iter(tasks.values())) if len(tasks) == 1 else None
    of_image = [tasks.get(element.get("task_id"), only) for element in elements]
    subsets = [
        element.get("subset") or (task.findtext("subset") if task is not None else "") or ""
        for element, task in zip(elements, of_image, strict=True)
    ]
    keys = [(subset, element.get("name")) for subset, element in zip(subsets, elements, strict=True)]
    counts = Counter(keys)
    return [
        (task.findtext("name") if task is not None and counts[key] > 1 else None) or key[0]
        for key, task in zip(keys, of_image, strict=True)
    ]


def _annotated(element: ElementTree.Element, folder: str, where: str) -> AnnotatedImage:
    name = "/".join([*name_parts(folder), _fields.text(element.get("name"), "an image's name", where)])
    item = f"{where}: image {name}"
    size = _fields.stated_size(element.get("width"), element.get("height"), item)
    shapes = [(shape, item, number) for number, shape in enumerate(element, start=1) if shape.tag != "tag"]
    return image_of_shapes(name, read_entries(_shape, shapes), size, item)


def _shape(shape: ElementTree.Element, image: str, number: int) -> Shape:
    item = f"{shape.tag} {number}"
    box = None if shape.tag in _NO_AREAS else _box(shape, f"{image}, {item}")
    return Shape(shape.tag, shape.get("label") or "", box, item)


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
