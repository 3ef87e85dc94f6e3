"""The tables of the RSNA Pneumonia Detection Challenge (2018), each checked, and checked against each other."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from care_tf.csv_files import table_rows
from care_tf.data.manifest_rows import raise_problems
from care_tf.errors import InputError

CLASSES = ("Normal", "No Lung Opacity / Not Normal", "Lung Opacity")
BOX_CLASS = "Lung Opacity"
LABELS_FILE = "stage_2_train_labels.csv"
CLASSES_FILE = "stage_2_detailed_class_info.csv"
_BOX_COLUMNS = ("x", "y", "width", "height")


def read_boxes(path: Path) -> dict[str, np.ndarray]:
    """Image name -> boxes float64 (k,4) x0,y0,x1,y1, in the order of the table."""
    corners: dict[str, list[list[float]]] = {}
    targets: dict[str, str] = {}
    problems = []
    for line, row in table_rows(path, ("patientId", *_BOX_COLUMNS, "Target")):
        name, target = row["patientId"], row["Target"]
        problem = _row_problem(row, targets.get(name))
        box = [] if problem or target == "0" else [float(row[column]) for column in _BOX_COLUMNS]
        if box in corners.get(name, []) and not problem:
            problem = "occurs twice with the same box"
        if problem:
            problems.append(f"line {line}: {name or 'an empty patientId'} {problem}")
            continue
        targets[name] = target
        corners.setdefault(name, []).extend([box] if box else [])
    raise_problems(str(path), problems)
    if not corners:
        raise InputError(f"{path} has no rows")
    sides = {name: np.array(boxes, np.float64).reshape(-1, 4) for name, boxes in corners.items()}
    return {name: np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1) for name, box in sides.items()}


def _row_problem(row: Mapping[str, str], earlier_target: str | None) -> str:
    """What is wrong with a row of the labels table, given the target of the image's earlier rows; "" if nothing."""
    target, box = row["Target"], [row[column] for column in _BOX_COLUMNS]
    if not row["patientId"] or Path(row["patientId"]).name != row["patientId"]:
        return "is not the name of a file"
    if target not in ("0", "1"):
        return f"has Target {target!r}, which must be 0 or 1"
    if earlier_target is not None and "0" in (target, earlier_target):
        return "has Target 0 and another row"
    if target == "0":
        return "has Target 0 and a box" if any(box) else ""
    try:
        numbers = np.array(box, np.float64)
    except ValueError:
        return f"has Target 1, and {box} is no box of four numbers"
    is_box = np.isfinite(numbers).all() and numbers[2] > 0 and numbers[3] > 0
    return "" if is_box else f"has the box {box}, which must be finite and have a width and a height"


def read_classes(path: Path) -> dict[str, str]:
    """Image name -> class name."""
    labels: dict[str, str] = {}
    problems = []
    for line, row in table_rows(path, ("patientId", "class")):
        name, label = row["patientId"], row["class"]
        if label not in CLASSES:
            problems.append(f"line {line}: {name} has class {label!r}, which is not one of {', '.join(CLASSES)}")
        elif labels.setdefault(name, label) != label:
            problems.append(f"line {line}: {name} is {label} and, further up, {labels[name]}")
    raise_problems(str(path), problems)
    return labels


def check_agreement(root: Path, boxes: Mapping[str, np.ndarray], labels: Mapping[str, str]) -> None:
    """Checks that both tables name the same images, and that those of the class with boxes, and no others, have some.

    Args:
      root: The folder of the tables, for the message.
      boxes: Image name -> float (k,4).
      labels: Image name -> class name.

    Raises:
      InputError: They do not agree; up to 20 images are listed.
    """
    problems = [f"{name} is in {LABELS_FILE} but not in {CLASSES_FILE}" for name in boxes if name not in labels]
    problems += [f"{name} is in {CLASSES_FILE} but not in {LABELS_FILE}" for name in labels if name not in boxes]
    for name in boxes.keys() & labels.keys():
        if (len(boxes[name]) > 0) != (labels[name] == BOX_CLASS):
            problems.append(f"{name} has {len(boxes[name])} boxes and class {labels[name]}: only {BOX_CLASS} has boxes")
    raise_problems(str(root), sorted(problems))


def read_patients(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Image name -> patient of the original data set, whose file names are <patient>_<number>.png."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        patients = {entry["subset_img_id"]: entry["img_id"].partition("_")[0] for entry in entries}
    except OSError as error:
        raise InputError(f"the mapping {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is not RSNA's mapping, a JSON list of objects with subset_img_id and img_id: {error!r}"
        ) from error
    raise_problems(str(path), [f"no entry for image {name}" for name in names if not patients.get(name)])
    return {name: patients[name] for name in names}
