"""Label Studio JSON export: a list of tasks; positions in percent of the image's sides."""

import math
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import numpy as np

from care_tf.boxes.formats import _fields
from care_tf.boxes.formats._corners import ellipse_box, rotated_box, tight_box_of_points
from care_tf.boxes.formats.annotated_image import AnnotatedImage, Shape, image_of_shapes, read_entries
from care_tf.boxes.formats.file_names import IMAGE_SUFFIXES
from care_tf.errors import InputError
from care_tf.files import write_json
from care_tf.problems import raise_problems
from care_tf.text_files import read_json

LOCAL_FILES = "/data/local-files/?d="
_IMAGE_KEYS = ("image", "img", "image_url")


def is_label_studio(document: Any) -> bool:
    """Whether a parsed JSON file is a list of tasks with the address of an image: "JSON" or "JSON-MIN"."""
    return (
        isinstance(document, list)
        and bool(document)
        and all(
            isinstance(task, dict) and (isinstance(task.get("data"), dict) or any(key in task for key in _IMAGE_KEYS))
            for task in document
        )
    )


def parse_label_studio(document: Any, where: str) -> list[AnnotatedImage]:
    """The annotated tasks of a parsed export, "JSON" or "JSON-MIN", in its order.

    Rectangles, polygons and ellipses become their tight rectangles. `rotation` is in degrees clockwise about the
    rectangle's top left corner (an ellipse's center), and applies in pixels, not in percent. Brushes, key points and
    the like are listed in `ignored`. Canceled annotations are left out, and so is a task without annotations, which
    nobody looked at. A region with several labels gives one box for each. Refused are a task with several annotations,
    of which none is marked as the ground truth, and an image that was turned inside Label Studio.

    Source: labelstud.io, "Label Studio JSON format of annotated tasks" and "Rotation" of the object detection template.
    """
    if not isinstance(document, list) or not all(isinstance(task, dict) for task in document):
        raise InputError(f'{where} is not a Label Studio export: it must be a list of tasks; export it as "JSON".')
    tasks = [(task, f"{where}: task {_fields.shown(task.get('id', n))}") for n, task in enumerate(document, start=1)]
    images = read_entries(_image_of_task, tasks)
    raise_problems(where, [str(error) for error in images if isinstance(error, InputError)])
    return [image for image in images if isinstance(image, AnnotatedImage)]


def name_of_url(url: str) -> str:
    """The image's path in the address by which Label Studio knows it.

    Label Studio puts eight digits in front of uploaded files; they stay, since only those who know the images can tell.

    Example:
      >>> name_of_url("/data/upload/3/1a2b3c4d-ISIC_001.jpg"), name_of_url("/data/local-files/?d=skin%2Fa%20b.jpg")
      ('data/upload/3/1a2b3c4d-ISIC_001.jpg', 'skin/a b.jpg')
      >>> name_of_url("s3://bucket/skin/a.jpg"), name_of_url("https://host/a.jpg?token=1"), name_of_url("skin/50%.jpg")
      ('skin/a.jpg', 'a.jpg', 'skin/50%.jpg')
    """
    if "://" not in url and not url.startswith(("/data/upload/", "/data/local-files")):
        return url
    try:
        address = urlsplit(url)
    except ValueError as error:
        raise InputError(f"{_fields.shown(url)} is no address of an image: {error}; correct the task.") from error
    if address.path.rstrip("/").endswith("/local-files"):
        return parse_qs(address.query).get("d", [""])[0].lstrip("/")
    return unquote(address.path).lstrip("/")


def read_label_studio(path: str | os.PathLike) -> list[AnnotatedImage]:
    """`parse_label_studio` of a file."""
    return parse_label_studio(read_json(path, finite=False), str(path))


def label_studio_document(images: Sequence[AnnotatedImage], *, url_prefix: str = LOCAL_FILES) -> list[dict]:
    """The inverse of `parse_label_studio`: tasks to import, each with one annotation of rectangles.

    They fit a labeling configuration with `<Image name="image" value="$image"/>` and
    `<RectangleLabels name="label" toName="image">`. `url_prefix` goes before the images' quoted names; by default they
    are local files below Label Studio's root.
    """
    tasks = []
    for number, image in enumerate(images, start=1):
        width, height = image.stated_size("Label Studio")
        percent = 100 * image.in_pixels().boxes / np.array([width, height] * 2)
        results = [
            {
                "id": f"image{number}box{position}",
                "type": "rectanglelabels",
                "from_name": "label",
                "to_name": "image",
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "value": {
                    "x": x0,
                    "y": y0,
                    "width": x1 - x0,
                    "height": y1 - y0,
                    "rotation": 0,
                    "rectanglelabels": [label] if label else [],
                },
            }
            for position, ((x0, y0, x1, y1), label) in enumerate(zip(percent.tolist(), image.labels, strict=True))
        ]
        data = {"image": url_prefix + quote(image.name.replace("\\", "/"))}
        tasks.append({"id": number, "data": data, "annotations": [{"result": results, "was_cancelled": False}]})
    return tasks


def write_label_studio(
    images: Sequence[AnnotatedImage], path: str | os.PathLike, *, url_prefix: str = LOCAL_FILES
) -> None:
    """Writes `label_studio_document` to a file, whole or not at all."""
    document = label_studio_document(images, url_prefix=url_prefix)
    write_json(path, document, indent=1, ensure_ascii=False)


def _image_of_task(task: dict, where: str) -> AnnotatedImage | None:
    """The task's image; None if nobody annotated it."""
    data = task.get("data", task)
    if not isinstance(data, dict):
        raise InputError(f"{where}: data must be an object. Received {_fields.shown(data)}.")
    results = _results(task, where) if "data" in task else _results_of_json_min(task)
    return None if results is None else _annotated(_image_url(data, where), results, where)


def _results(task: dict, where: str) -> list[dict] | None:
    """The regions of the one annotation that counts; None if nobody annotated the task."""
    key = "annotations" if "annotations" in task else "completions"  # the name before version 1.0
    given = [annotation for annotation in _fields.items(task, key, where) if not annotation.get("was_cancelled")]
    chosen = [annotation for annotation in given if annotation.get("ground_truth")] if len(given) > 1 else given
    if not given:
        return None
    if len(chosen) != 1:
        raise InputError(f"{where} has {len(given)} annotations; mark one as the ground truth or keep one, and export.")
    return _fields.items(chosen[0], "result", where)


def _results_of_json_min(task: dict) -> list[dict]:
    """JSON-MIN has a region's value, type and size in one object, in lists by the control's name."""
    lists = [value for value in task.values() if isinstance(value, list)]
    regions = [region for entries in lists for region in entries if isinstance(region, dict)]
    return [{**region, "value": region} for region in regions]


def _image_url(data: dict, where: str) -> str:
    """The one entry of a task that is an image."""
    for key in _IMAGE_KEYS:
        if isinstance(data.get(key), str) and data[key].strip():
            return data[key]
    urls = [url for url in data.values() if isinstance(url, str) and name_of_url(url).lower().endswith(IMAGE_SUFFIXES)]
    if len(urls) != 1:
        raise InputError(f"{where} must have one image; found {len(urls)} among {_fields.shown(sorted(data))}.")
    return urls[0]


def _annotated(url: str, results: list[dict], where: str) -> AnnotatedImage:
    if url.startswith("data:"):
        raise InputError(f"{where} holds its image itself and so has no name; import the images as files.")
    shapes: list[Shape | InputError] = []
    sizes = set()
    regions = [(result, where, f"region {number}") for number, result in enumerate(results, start=1)]
    for region in read_entries(_region, regions):
        if isinstance(region, InputError):
            shapes.append(region)
            continue
        size, own = region
        shapes += own
        sizes |= {size} if any(shape.box is not None for shape in own) else set()
    if len(sizes) > 1:
        raise InputError(f"{where}: its regions state different sizes of the image.")
    size, name = sizes.pop() if sizes else (None, None), name_of_url(url)
    unit = "fraction" if size[0] is None else "px"
    return image_of_shapes(name, shapes, size, f"{where} ({name})", unit=unit)


def _region(result: dict, task: str, item: str) -> tuple[tuple[int | None, int | None], list[Shape]]:
    """The stated size of the image, and a shape for every label, its box in px where the size is known."""
    where = f"{task}, {item}"
    value = result.get("value")
    if not isinstance(value, dict):  # a relation between regions
        return (None, None), []
    size = _fields.stated_size(result.get("original_width"), result.get("original_height"), where)
    box = _box(value, size, where)
    names = _labels(value, where)
    if box is None:
        is_shape = any(key in value for key in ("rle", "x", "points", "vertices", "sequence"))
        return size, [Shape(str(result.get("type", "region")), " ".join(names), None)] if is_shape else []
    if _fields.number(result.get("image_rotation") or 0, "image_rotation", where) % 360:
        raise InputError(f"{where}: the image was turned in Label Studio; turn it back there and export again.")
    return size, [Shape("box", name, box if size[0] else box / 100, item) for name in names or [""]]


def _box(value: dict, size: tuple[int | None, int | None], where: str) -> np.ndarray | None:
    """The tight rectangle of a region, in px where the size is known, else in percent; None if it has no area."""
    width, height = size
    degrees = _fields.number(value.get("rotation") or 0, "rotation", where)
    if degrees % 360 and (width is None or height is None):
        raise InputError(f"{where} is rotated, which needs original_width and original_height; they are missing.")
    unit = np.array([width or 100, height or 100]) / 100
    if "rle" in value or "sequence" in value or value.get("item_index"):
        return None
    if "points" in value:
        return tight_box_of_points(_fields.points(value["points"], "points", where) * unit)
    if "radiusX" in value:
        x, y, radius_x, radius_y = (
            _fields.number(value.get(key), key, where) for key in ("x", "y", "radiusX", "radiusY")
        )
        return ellipse_box(np.array([x, y]) * unit, np.array([radius_x, radius_y]) * unit, degrees)
    if "width" in value and "height" in value:
        x, y, w, h = (_fields.number(value.get(key), key, where) for key in ("x", "y", "width", "height"))
        corner = np.array([x, y]) * unit
        return rotated_box(np.concatenate([corner, corner + np.array([w, h]) * unit]), math.fmod(degrees, 360), corner)
    return None


def _labels(value: dict, where: str) -> list[str]:
    """All entries of rectanglelabels, polygonlabels, labels, ..."""
    names: list = []
    for key, entry in value.items():
        if key.endswith("labels") and isinstance(entry, list):
            names += entry
    return [_fields.text(name, "a label", where) for name in names]
