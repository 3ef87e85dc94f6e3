"""RSNA pneumonia challenge: `patientId,x,y,width,height,Target`, and the class of every patient in a second table."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from care_tf.boxes.formats import fields
from care_tf.boxes.formats.annotated_image import AnnotatedImage
from care_tf.boxes.formats.file_names import name_parts, without_suffix
from care_tf.boxes.formats.text_files import parse_csv, read_text
from care_tf.errors import InputError
from care_tf.files import atomic_path

LABELS_FILE, CLASSES_FILE = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
IMAGE_SIZE = (1024, 1024)  # every radiograph of the challenge; the tables do not say
POSITIVE_CLASS = "Lung Opacity"
_COLUMNS = ("patientId", "x", "y", "width", "height", "Target")


def parse_rsna(
    labels_text: str,
    where: str,
    *,
    class_of: dict[str, str] | None = None,
    image_size: tuple[int, int] | None = IMAGE_SIZE,
) -> list[AnnotatedImage]:
    """Reads the table of boxes.

    Args:
      labels_text: The CSV; a patient with Target 0 was looked at and has no box.
      where: The file, for messages.
      class_of: Class by patient (`parse_rsna_classes`), to be checked against Target; None checks nothing.
      image_size: (width, height) of the images the positions refer to, px; None says that it is unknown.

    Returns:
      One image per patient in file order, named by the patientId; all boxes are labeled "Lung Opacity".

    Raises:
      InputError: A row is malformed, a patient has both targets, or the tables disagree.
    """
    boxes: dict[str, list] = {}
    targets: dict[str, str] = {}
    for line, row in parse_csv(labels_text, where, _COLUMNS):
        patient, target = fields.text(row["patientId"], "patientId", line), row["Target"]
        if target not in ("0", "1"):
            raise InputError(f"{line}: Target must be 0 or 1; received {target!r}")
        if targets.setdefault(patient, target) != target:
            raise InputError(f"{line}: patient {patient} has Target 0 and 1")
        found = boxes.setdefault(patient, [])
        if target == "1":
            x, y, width, height = (fields.number(row[name], name, line) for name in _COLUMNS[1:5])
            found.append([x, y, x + width, y + height])
        elif any(row[name] for name in _COLUMNS[1:5]):
            raise InputError(f"{line}: Target is 0, but there is a box")
    for patient, name in (class_of or {}).items():
        if patient in targets and (targets[patient] == "1") != (name == POSITIVE_CLASS):
            raise InputError(f"{where}: patient {patient} has Target {targets[patient]} but the class {name!r}")
    width_height = image_size or (None, None)
    return [
        AnnotatedImage(
            name=patient,
            boxes=np.array(found),
            labels=(POSITIVE_CLASS,) * len(found),
            width=width_height[0],
            height=width_height[1],
            where=f"{where}: patient {patient}",
            image_class=(class_of or {}).get(patient, ""),
        )
        for patient, found in boxes.items()
    ]


def parse_rsna_classes(text: str, where: str) -> dict[str, str]:
    """Class by patient of the second table, which repeats a patient for each of its boxes.

    Raises:
      InputError: A row is malformed, or a patient has two classes.
    """
    class_of: dict[str, str] = {}
    for line, row in parse_csv(text, where, ("patientId", "class")):
        patient, name = fields.text(row["patientId"], "patientId", line), fields.text(row["class"], "class", line)
        if class_of.setdefault(patient, name) != name:
            raise InputError(f"{line}: patient {patient} has the classes {class_of[patient]!r} and {name!r}")
    return class_of


def read_rsna(
    path: str | os.PathLike,
    *,
    class_file: str | os.PathLike | None = None,
    image_size: tuple[int, int] | None = IMAGE_SIZE,
) -> list[AnnotatedImage]:
    """`parse_rsna` of a file, or of the stage_2_train_labels.csv in a folder.

    Args:
      path: The table of boxes or its folder.
      class_file: The table of classes; by default stage_2_detailed_class_info.csv beside it, if any.
      image_size: As in `parse_rsna`.
    """
    path = Path(path)
    path = path / LABELS_FILE if path.is_dir() else path
    beside = path.with_name(CLASSES_FILE)
    class_file = class_file or (beside if beside.is_file() else None)
    class_of = None if class_file is None else parse_rsna_classes(read_text(class_file), str(class_file))
    return parse_rsna(read_text(path), str(path), class_of=class_of, image_size=image_size)


def rsna_rows(images: Sequence[AnnotatedImage], *, image_size: tuple[int, int] | None = IMAGE_SIZE) -> list[list]:
    """The inverse of `parse_rsna`: rows below the header.

    Args:
      images: patientId is their names' stem.
      image_size: Boxes are scaled to this frame, which must have the image's proportions; None leaves them.

    Raises:
      InputError: Two images have the same stem, or an image has other proportions.
    """
    rows: list[list] = []
    patients = patient_ids(images)
    for patient, image in zip(patients, images, strict=True):
        image = image.in_pixels()
        scale = 1.0
        if image_size is not None:
            width, height = image.stated_size("the RSNA table")
            if width * image_size[1] != height * image_size[0]:
                raise InputError(
                    f"{image.name} is {width} x {height} px and does not fit the {image_size[0]} x {image_size[1]} px "
                    "of the RSNA radiographs; write the images' own pixels, or another format"
                )
            scale = image_size[0] / width
        for x0, y0, x1, y1 in image.boxes.tolist():
            x0, y0, x1, y1 = (fields.shortest(edge * scale) for edge in (x0, y0, x1, y1))
            rows.append([patient, x0, y0, x1 - x0, y1 - y0, 1])
        if not len(image.boxes):
            rows.append([patient, "", "", "", "", 0])
    return rows


def patient_ids(images: Sequence[AnnotatedImage]) -> list[str]:
    """The stems of the images' names.

    Raises:
      InputError: Two are the same.
    """
    owners: dict[str, str] = {}
    for image in images:
        patient = without_suffix((name_parts(image.name) or ("",))[-1])
        if patient in owners:
            raise InputError(f"{owners[patient]} and {image.name} would share the patientId {patient}; rename one")
        owners[patient] = image.name
    return list(owners)


def write_rsna(
    images: Sequence[AnnotatedImage],
    path: str | os.PathLike,
    *,
    class_file: str | os.PathLike | None = None,
    image_size: tuple[int, int] | None = IMAGE_SIZE,
) -> None:
    """Writes the table of boxes and, to `class_file` if that is given, that of classes; each whole or not at all.

    Images with boxes are "Lung Opacity" there; the others have their own class, or "No Lung Opacity / Not Normal".
    """
    rows = rsna_rows(images, image_size=image_size)
    if class_file is not None:
        if Path(class_file).absolute() == Path(path).absolute():
            raise InputError(f"{path} cannot be the table of boxes and of classes; choose another file for one")
        classes = []
        for patient, image in zip(patient_ids(images), images, strict=True):
            name = POSITIVE_CLASS if len(image.boxes) else image.image_class or f"No {POSITIVE_CLASS} / Not Normal"
            classes += [[patient, name]] * max(len(image.boxes), 1)
        _write_table([["patientId", "class"], *classes], class_file)
    _write_table([list(_COLUMNS), *rows], path)


def _write_table(rows: list[list], path: str | os.PathLike) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
