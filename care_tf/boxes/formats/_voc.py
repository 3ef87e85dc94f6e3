"""Pascal VOC XML: one file per image with `bndbox` = xmin, ymin, xmax, ymax in whole px."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree  # for building only: xml_files parses

import numpy as np

from care_tf.boxes.formats import _fields
from care_tf.boxes.formats._corners import rotated_box
from care_tf.boxes.formats._xml_files import add_children, child_text, read_xml, write_xml
from care_tf.boxes.formats.annotated_image import AnnotatedImage, Shape, image_of_shapes, read_entries
from care_tf.boxes.formats.file_names import name_parts, read_files, write_per_image
from care_tf.errors import InputError

PIXEL_ORIGINS = (0, 1)


def parse_voc(
    root: ElementTree.Element, where: str, *, pixel_origin: int = 1, default_name: str = "", folder: str = ""
) -> AnnotatedImage:
    """The image of one parsed VOC file; `default_name` is for an empty `filename`, `folder` overrules the file's own.

    origin 1 (the VOC development kit): the first pixel is 1 and xmax is the last pixel inside: x0 = xmin - 1, x1 = xmax
    origin 0 (labelImg, CVAT, Label Studio): positions of the edges: x0 = xmin, x1 = xmax

    The two differ by one pixel on the left and the top; a position of 0 shows that the origin cannot be 1. A rotated
    box (`robndbox` of roLabelImg, an attribute `rotation` of CVAT) becomes the tight rectangle of its corners, rotated
    about the center.

    Source: The PASCAL Visual Object Classes Challenge 2012 Development Kit, section 3.
    """
    _check_origin(pixel_origin)
    if root.tag != "annotation":
        raise InputError(f"{where} is not a VOC file: its root is <{root.tag}>, not <annotation>.")
    name = child_text(root, "filename") or default_name
    folder = folder or child_text(root, "folder") or ""
    if folder and len(name_parts(name)) == 1:
        name = "/".join([*name_parts(folder), name])
    size = _fields.stated_size(child_text(root, "size/width"), child_text(root, "size/height"), where)
    objects = enumerate(root.findall("object"), start=1)
    shapes = read_entries(_shape, [(each, where, f"object {number}", pixel_origin) for number, each in objects])
    for error in shapes:  # an object that shows the origin speaks for the others, and so must not be dropped
        if isinstance(error, _WrongOriginError):
            raise error
    return image_of_shapes(name, shapes, size, where)


def read_voc(path: str | os.PathLike, *, pixel_origin: int = 1) -> list[AnnotatedImage]:
    """`parse_voc` of one XML file, or of every one below a folder.

    Below a folder, a file's subfolder is taken for the image's: `train/a.xml` belongs to `train/a.jpg`.
    """

    def read(file: Path, folder: str) -> AnnotatedImage:
        return parse_voc(read_xml(file), str(file), pixel_origin=pixel_origin, default_name=file.stem, folder=folder)

    return read_files(path, ".xml", "a VOC tool calls Annotations", read)


def voc_element(image: AnnotatedImage, *, pixel_origin: int = 1) -> ElementTree.Element:
    """The inverse of `parse_voc`, rounded to whole pixels, at least one; refuses an image without a size."""
    _check_origin(pixel_origin)
    image = image.in_pixels()
    width, height = image.stated_size("Pascal VOC")
    *folders, file_name = name_parts(image.name)
    root = ElementTree.Element("annotation")
    add_children(root, [("folder", "/".join(folders)), ("filename", file_name)])
    add_children(ElementTree.SubElement(root, "source"), [("database", "Unknown")])
    add_children(ElementTree.SubElement(root, "size"), [("width", width), ("height", height), ("depth", 3)])
    add_children(root, [("segmented", 0)])
    for (x0, y0, x1, y1), label in zip(image.boxes.tolist(), image.labels, strict=True):
        element = ElementTree.SubElement(root, "object")
        add_children(element, [("name", label), ("pose", "Unspecified"), ("truncated", 0), ("difficult", 0)])
        (left, right), (top, bottom) = _whole(x0, x1, width), _whole(y0, y1, height)
        corners = [("xmin", left + pixel_origin), ("ymin", top + pixel_origin), ("xmax", right), ("ymax", bottom)]
        add_children(ElementTree.SubElement(element, "bndbox"), corners)
    return root


def write_voc(images: Sequence[AnnotatedImage], path: str | os.PathLike, *, pixel_origin: int = 1) -> None:
    """Writes a folder with one XML per image, in the images' subfolders; whole or not at all."""
    write_per_image(
        images, path, ".xml", lambda image, file: write_xml(voc_element(image, pixel_origin=pixel_origin), file)
    )


def _check_origin(pixel_origin: int) -> None:
    if pixel_origin not in PIXEL_ORIGINS:
        raise InputError(f"The pixel origin of VOC files is 0 or 1. Received {pixel_origin!r}.")


class _WrongOriginError(InputError):
    """A position that pixels counted from 1 do not have."""


def _shape(element: ElementTree.Element, file: str, item: str, pixel_origin: int) -> Shape:
    return Shape("box", child_text(element, "name") or "", _box(element, f"{file}: {item}", pixel_origin), item)


def _box(element: ElementTree.Element, where: str, pixel_origin: int) -> np.ndarray:
    rotated = element.find("robndbox")
    if rotated is not None:
        x, y, width, height, radians = (
            _fields.number(child_text(rotated, tag), tag, where) for tag in ("cx", "cy", "w", "h", "angle")
        )
        box = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
        return rotated_box(box, math.degrees(radians))
    if element.find("bndbox") is None:
        raise InputError(f"{where} has no bndbox.")
    left, top, right, bottom = (
        _fields.number(child_text(element, f"bndbox/{tag}"), tag, where) for tag in ("xmin", "ymin", "xmax", "ymax")
    )
    if pixel_origin == 1 and 0 <= min(left, top) < 1:
        raise _WrongOriginError(
            f"{where} starts at {min(left, top):g}, so its pixels are not counted from 1; read it with pixel origin 0."
        )
    return rotated_box([left - pixel_origin, top - pixel_origin, right, bottom], _degrees(element, where))


def _degrees(element: ElementTree.Element, where: str) -> float:
    for attribute in element.findall("attributes/attribute"):
        if child_text(attribute, "name") == "rotation":
            return _fields.number(child_text(attribute, "value"), "rotation", where)
    return 0.0


def _whole(start: float, stop: float, size: int) -> tuple[int, int]:
    """Rounded edges inside 0..size with at least one pixel between."""
    first = min(max(round(start), 0), size - 1)
    return first, max(min(round(stop), size), first + 1)
