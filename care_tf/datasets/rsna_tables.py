"""The tables of the RSNA Pneumonia Detection Challenge (2018), each checked, and checked against each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from care_tf.box_geometry import box_problems
from care_tf.csv_files import table_rows
from care_tf.errors import InputError
from care_tf.finite_number import finite_number
from care_tf.problems import raise_problems
from care_tf.text_files import parse_json, read_text

CLASSES = ("Normal", "No Lung Opacity / Not Normal", "Lung Opacity")
BOX_CLASS = "Lung Opacity"
LABELS_FILE = "stage_2_train_labels.csv"
CLASSES_FILE = "stage_2_detailed_class_info.csv"
_SIDES = ("x", "y", "width", "height")
BOX_COLUMNS = ("patientId", *_SIDES, "Target")


def read_boxes(path: Path, bad: dict[str, list[str]] | None = None) -> dict[str, np.ndarray]:
    """Reads the table of boxes.

    An image with Target 0 was looked at and has no box: this is its only row. One with Target 1 has a row per box, each
    of them different.

    Args:
      path: The CSV file.
      bad: Where to note what is wrong with an image's rows, which are left out then; None refuses them.

    Returns:
      Image name -> boxes float64 (k,4) x0,y0,x1,y1, in the order of the table.

    Raises:
      InputError: Rows are malformed, repeated or contradict each other; up to 20 are listed.
    """
    boxes: dict[str, list[list[float]]] = {}
    problems: list[str] = []
    for line, row in table_rows(path, BOX_COLUMNS, numbers=_SIDES, problems=problems):
        name, target = row["patientId"], row["Target"]
        texts = [row[column] for column in _SIDES]
        box = _corners(texts)
        earlier = boxes.get(name)
        if not name or Path(name).name != name:
            problem = "is not the name of a file"
        elif target not in ("0", "1"):
            problem = f"has Target {target!r}, which must be 0 or 1"
        elif earlier is not None and (target == "0" or not earlier):
            problem = "has Target 0 and another row"
        elif target == "0":
            problem = "has Target 0 and a box" if any(texts) else ""
        elif box is None:
            problem = f"has Target 1, and {texts} is no box of four finite numbers"
        elif box_problems(np.array([box])):
            problem = f"has the box {texts}, which must have a width and a height"
        else:
            problem = "occurs twice with the same box" if box in (earlier or []) else ""
        if problem:
            noted = problems if bad is None or not name else bad.setdefault(name, [])
            noted.append(f"line {line}: {name or 'an empty patientId'} {problem}")
        else:
            boxes.setdefault(name, []).extend([box] if target == "1" and box is not None else [])
    raise_problems(str(path), problems)
    return {name: np.array(boxes.get(name, []), np.float64).reshape(-1, 4) for name in [*boxes, *(bad or ())]}


def _corners(texts: Sequence[str]) -> list[float] | None:
    """x, y, width and height as text -> x0,y0,x1,y1; None where they are no finite numbers."""
    numbers = [number for text in texts if (number := finite_number(text)) is not None]
    if len(numbers) < 4:
        return None
    x, y, width, height = numbers
    return [x, y, x + width, y + height]


def read_classes(path: Path, class_names: Sequence[str] | None = CLASSES) -> dict[str, str]:
    """Image name -> class name, of the table of classes, which repeats an image for each of its boxes.

    Args:
      path: The CSV file.
      class_names: The allowed classes; None allows all.

    Raises:
      InputError: A class is unknown or empty, or an image has two classes; up to 20 rows are listed.
    """
    labels: dict[str, str] = {}
    problems: list[str] = []
    for line, row in table_rows(path, ("patientId", "class"), problems=problems):
        name, label = row["patientId"], row["class"]
        if not (name and label):
            problems.append(f"line {line}: the patientId or the class is empty")
        elif class_names is not None and label not in class_names:
            problems.append(f"line {line}: {name} has class {label!r}, which is not one of {', '.join(class_names)}")
        elif labels.setdefault(name, label) != label:
            problems.append(f"line {line}: {name} is {label} and, further up, {labels[name]}")
    raise_problems(str(path), problems)
    return labels


def class_conflicts(boxes: Mapping[str, np.ndarray], labels: Mapping[str, str]) -> list[str]:
    """Images that are in both tables and have boxes without being of the class with boxes, or the reverse."""
    return [
        f"{name} has {len(own)} boxes and class {labels[name]}: only {BOX_CLASS} has boxes"
        for name, own in boxes.items()
        if name in labels and (len(own) > 0) != (labels[name] == BOX_CLASS)
    ]


def check_agreement(root: Path, boxes: Mapping[str, np.ndarray], labels: Mapping[str, str]) -> None:
    """Checks that both tables name the same images, and that those of the class with boxes, and no others, have some.

    Args:
      root: The folder of the tables, for the message.
      boxes: Of `read_boxes`.
      labels: Of `read_classes`.

    Raises:
      InputError: They do not agree; up to 20 images are listed.
    """
    problems = [f"{name} is in {LABELS_FILE} but not in {CLASSES_FILE}" for name in boxes if name not in labels]
    problems += [f"{name} is in {CLASSES_FILE} but not in {LABELS_FILE}" for name in labels if name not in boxes]
    raise_problems(str(root), sorted(problems + class_conflicts(boxes, labels)))


def read_patients(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Image name -> patient of the original data set, whose file names are <patient>_<number>.png."""
    entries = parse_json(read_text(path, "mapping"), str(path))
    try:
        patients = {entry["subset_img_id"]: entry["img_id"].partition("_")[0] for entry in entries}
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is not RSNA's mapping, a JSON list of objects with subset_img_id and img_id: {error!r}."
        ) from error
    raise_problems(str(path), [f"no entry for image {name}" for name in names if not patients.get(name)])
    return {name: patients[name] for name in names}
