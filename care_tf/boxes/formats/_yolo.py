"""YOLO: one text file per image with `class x_center y_center width height` in fractions, and a list of classes."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from care_tf.boxes.formats import _fields
from care_tf.boxes.formats._corners import tight_box_of_points
from care_tf.boxes.formats.annotated_image import AnnotatedImage, Shape, image_of_shapes, read_entries
from care_tf.boxes.formats.file_names import IMAGE_SUFFIXES, files_per_image, files_with_suffix
from care_tf.errors import InputError
from care_tf.file_work import for_each_file
from care_tf.files import atomic_path
from care_tf.problems import listed
from care_tf.text_files import read_text
from care_tf.yaml_text import parse_yaml

CLASS_FILES = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names")
_LABELS, _IMAGES = "labels", "images"
_LISTS = ("classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt")  # of classes or images, beside data.yaml
_README = "readme"
_DECIMALS = 10
_TOLERANCE = 0.01  # by which Ultralytics lets polygons leave the image


def parse_yolo(text: str, where: str, *, name: str, class_names: Sequence[str] | None = None) -> AnnotatedImage:
    """The image of one label file, boxes in fractions of its sides.

    | numbers after the class | meaning                                                                     |
    |-------------------------|-----------------------------------------------------------------------------|
    | 4                       | x_center, y_center, width, height                                           |
    | 5                       | the same and a confidence, which is ignored                                 |
    | 6, 8, 10, ...           | x, y of a polygon or of the corners of a rotated box: its tight rectangle   |

    A box with key points or with a confidence and a track has as many numbers as a polygon. It is bad, and known by
    those that are no positions in the image: visibilities of 2, tracks, or a last one of six that is a whole number.

    Args:
      text: The file; empty means that the image was looked at and has no box.
      where: The file, for messages.
      name: The image's name, without suffix.
      class_names: Names by class number; None makes the number itself the label.
    """

    def read(cells: list[str], line: str) -> Shape:
        item = f"{where}, {line}"
        box = _box([_fields.number(cell, "a position", item) for cell in cells[1:]], item)
        return Shape("box", _label(cells[0], class_names, item), box, line)

    lines = [(line.split(), f"line {number}") for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    return image_of_shapes(name, read_entries(read, lines), (None, None), where, unit="fraction")


def parse_class_names(text: str, where: str) -> list[str]:
    """The classes of a `classes.txt` (a name a line) or, where `where` ends in .yaml or .yml, of the YAML's `names`.

    Refuses an empty name, `names` that are neither a list nor numbered from 0, and key points.
    """
    if not where.lower().endswith((".yaml", ".yml")):
        names = [line.strip() for line in text.strip().splitlines()]
    else:
        names = _names_in_yaml(text, where)
    if not all(names):
        raise InputError(f"{where} has an empty class name among its {len(names)}; write one a line.")
    return names


def read_yolo(path: str | os.PathLike, *, class_file: str | os.PathLike | None = None) -> list[AnnotatedImage]:
    """The images of a folder of label files, or of its data.yaml.

    Label files are the *.txt below a folder `labels/`, those beside an image of their name, and others with a line that
    could be a box, or without any line; the rest is named in a warning. An image's name is its label file's path
    without suffix, with `images/` for `labels/`, which is left out in front. The class file is classes.txt, obj.names
    or data.yaml; by default the one in the folder, if any: several that differ are refused.
    """
    path = Path(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        path, class_file = path.parent, class_file or path
    class_names = _class_names(path, class_file)
    files, others = text_files_of(path)
    if not files:
        raise InputError(f"{path} holds no label files; give the folder with one .txt per image, or that of labels/.")
    if others:
        warnings.warn(f"{path}: {len(others)} text files hold no boxes and are ignored: {listed(others)}", stacklevel=2)

    def read(file: Path) -> AnnotatedImage:
        parts = list(file.relative_to(path).with_suffix("").parts)
        if _LABELS in parts[:-1]:
            place = len(parts) - 2 - parts[-2::-1].index(_LABELS)
            parts[place : place + 1] = [_IMAGES] if place else []
        return parse_yolo(read_text(file), str(file), name="/".join(parts), class_names=class_names)

    return for_each_file(read, files, where=str(path))


def text_files_of(path: Path) -> tuple[list[Path], list[str]]:
    """The label files below a folder, and the names of other text files that are not known to lie among them."""
    texts = [file for file in files_with_suffix(path, (".txt",)) if file.name != "classes.txt"]
    images = {file.with_suffix("") for file in files_with_suffix(path, IMAGE_SUFFIXES)}
    labels, others = [], []
    for file in texts:
        is_among_labels = _LABELS in (path.name, *file.relative_to(path).parts[:-1])
        if is_among_labels or file.with_suffix("") in images or _looks_like_labels(file):
            labels.append(file)
        elif not (file.name.lower() in _LISTS or file.name.lower().startswith(_README)):
            others.append(str(file.relative_to(path)))
    return labels, others


def _looks_like_labels(file: Path) -> bool:
    """Whether a text file that belongs to no image has a line that could be a box, or no line at all."""
    if file.name.lower().startswith(_README):
        return False
    try:
        lines = [line.split() for line in read_text(file).splitlines() if line.strip()]
    except InputError:  # of another encoding; a label file has digits only
        return False
    if not lines:
        return file.name.lower() not in _LISTS
    return any(len(cells) >= 5 and all(map(_is_number, cells[1:])) for cells in lines)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def yolo_lines(image: AnnotatedImage, class_names: Sequence[str]) -> str:
    """The inverse of `parse_yolo`: ten decimals, which is 1e-6 px in an image of 10,000 px."""
    boxes = image.boxes
    if image.unit == "px":
        boxes = boxes / np.array(image.stated_size("YOLO") * 2, np.float64)
    lines = []
    for (x0, y0, x1, y1), label in zip(boxes.tolist(), image.labels, strict=True):
        cells = [f"{value:.{_DECIMALS}f}" for value in ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)]
        lines.append(" ".join([str(class_names.index(label)), *cells]) + "\n")
    return "".join(lines)


def write_yolo(images: Sequence[AnnotatedImage], path: str | os.PathLike) -> None:
    """Writes a folder with classes.txt, data.yaml and labels/, one file per image; whole or not at all."""
    import yaml

    class_names = sorted({label for image in images for label in image.labels})
    for name in class_names:
        if not name or name != name.strip() or len(name.splitlines()) > 1:
            raise InputError(f"YOLO needs labels of one line, without blanks around. Received {name!r}.")
    files = files_per_image(images, ".txt")
    if any(file.name == "classes.txt" for _, file in files):
        raise InputError("An image called classes would have the file of the list of classes; rename the image.")
    with atomic_path(path) as folder:
        for image, file in files:
            (folder / "labels" / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / "labels" / file).write_text(yolo_lines(image, class_names), encoding="utf-8")
        folder.mkdir(exist_ok=True)
        (folder / "classes.txt").write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")
        data = {"path": ".", "train": "images", "val": "images", "names": dict(enumerate(class_names))}
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        (folder / "data.yaml").write_text(text, encoding="utf-8")


def _box(values: list[float], where: str) -> np.ndarray:
    if len(values) in (4, 5):
        x, y, width, height = values[:4]
        return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    if len(values) >= 6 and len(values) % 2 == 0:
        strays = [value for value in values if not -_TOLERANCE <= value <= 1 + _TOLERANCE]
        if strays or (len(values) == 6 and values[-1].is_integer()):
            stray = _fields.shown((strays or values)[-1])
            raise InputError(
                f"{where}: a polygon must have positions between 0 and 1. Received {len(values)} numbers, {stray} "
                "among them, which may be key points or a track; export boxes or polygons."
            )
        return tight_box_of_points(np.reshape(values, (-1, 2)))
    raise InputError(
        f"{where} has {len(values)} numbers after the class; a box has 4, a polygon x,y of at least 3 points. Key "
        "points and tracks are not read."
    )


def _label(cell: str, class_names: Sequence[str] | None, where: str) -> str:
    number = _fields.number(cell, "the class", where)
    if number != int(number) or number < 0:
        raise InputError(f"{where}: the class must be a number 0, 1, 2, .... Received {cell!r}.")
    if class_names is None:
        return str(int(number))
    if number >= len(class_names):
        raise InputError(f"{where} has class {int(number)}, but the list of classes has {len(class_names)}, from 0.")
    return class_names[int(number)]


def _class_names(folder: Path, class_file: str | os.PathLike | None) -> list[str] | None:
    if class_file is not None:
        return parse_class_names(read_text(class_file), str(class_file))
    candidates = [folder / name for name in CLASS_FILES] + [folder / "labels" / "classes.txt"]
    lists = {file: parse_class_names(read_text(file), str(file)) for file in candidates if file.is_file()}
    if len({tuple(names) for names in lists.values()}) > 1:
        found = ", ".join(str(file) for file in lists)
        raise InputError(f"The lists of classes {found} differ; say which one counts.")
    return next(iter(lists.values()), None)


def _names_in_yaml(text: str, where: str) -> list[str]:
    document = parse_yaml(text, where, texts_only=True)
    if isinstance(document, dict) and "kpt_shape" in document:
        # Their lines have a box and then key points: as many numbers as a polygon, which they are not.
        raise InputError(f"{where} is of a pose data set (kpt_shape); export boxes or polygons.")
    names: Any = document.get("names") if isinstance(document, dict) else None
    if isinstance(names, dict):
        names = [names.get(str(number)) for number in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{where} needs names: a list of classes, or one numbered from 0 without gaps.")
    return names
