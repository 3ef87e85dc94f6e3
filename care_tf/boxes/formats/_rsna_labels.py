"""RSNA pneumonia challenge: `patientId,x,y,width,height,Target`, and the class of every patient in a second table."""

import os
from collections.abc import Sequence
from pathlib import Path

from care_tf.box_geometry import shortest
from care_tf.boxes.formats.annotated_image import AnnotatedImage, boxes_in_frame
from care_tf.boxes.formats.file_names import name_parts, without_suffix
from care_tf.csv_files import write_table
from care_tf.datasets.rsna_tables import (
    BOX_CLASS,
    BOX_COLUMNS,
    CLASSES_FILE,
    LABELS_FILE,
    class_conflicts,
    read_boxes,
    read_classes,
)
from care_tf.errors import InputError
from care_tf.problems import raise_problems

IMAGE_SIZE = (1024, 1024)  # every radiograph of the challenge; the tables do not say


def read_rsna(
    path: str | os.PathLike,
    *,
    class_file: str | os.PathLike | None = None,
    image_size: tuple[int, int] | None = IMAGE_SIZE,
) -> list[AnnotatedImage]:
    """Reads the tables of the challenge, by the rules of `rsna_tables.read_boxes` and `read_classes`.

    Args:
      path: The table of boxes, or the folder with a stage_2_train_labels.csv. A patient with Target 0 was looked at
        and has no box.
      class_file: The table of classes; by default stage_2_detailed_class_info.csv beside it, if any. Its classes may
        be any.
      image_size: (width, height) of the images the positions refer to, px; None says that it is unknown.

    Returns:
      One image per patient in file order, named by the patientId; all boxes are labeled "Lung Opacity". Rows that are
      malformed, repeated or contradict an earlier one are in the images' `bad`.

    Raises:
      InputError: A row has another number of cells or no patient, or the tables contradict each other.
    """
    path = Path(path)
    path = path / LABELS_FILE if path.is_dir() else path
    beside = path.with_name(CLASSES_FILE)
    class_file = class_file or (beside if beside.is_file() else None)
    bad: dict[str, list[str]] = {}
    boxes = read_boxes(path, bad)
    class_of = {} if class_file is None else read_classes(Path(class_file), class_names=None)
    raise_problems(str(path), class_conflicts({name: own for name, own in boxes.items() if name not in bad}, class_of))
    width, height = image_size or (None, None)
    return [
        AnnotatedImage(
            patient,
            own,
            (BOX_CLASS,) * len(own),
            width,
            height,
            where=f"{path}: patient {patient}",
            bad=tuple(f"{path}, {problem}" for problem in bad.get(patient, ())),
            image_class=class_of.get(patient, ""),
        )
        for patient, own in boxes.items()
    ]


def rsna_rows(images: Sequence[AnnotatedImage], *, image_size: tuple[int, int] | None = IMAGE_SIZE) -> list[list]:
    """The inverse of `read_rsna`: rows below the header; patientId is the stem of an image's name.

    Boxes are scaled to the frame of `image_size`, which must have the image's proportions; None leaves them.
    """
    rows: list[list] = []
    for patient, image in zip(patient_ids(images), images, strict=True):
        for box in boxes_in_frame(image, image_size, "the RSNA radiographs").tolist():
            x0, y0, x1, y1 = map(shortest, box)
            rows.append([patient, x0, y0, x1 - x0, y1 - y0, 1])
        if not len(image.boxes):
            rows.append([patient, "", "", "", "", 0])
    return rows


def patient_ids(images: Sequence[AnnotatedImage]) -> list[str]:
    """The stems of the images' names; refuses two that are the same."""
    owners: dict[str, str] = {}
    for image in images:
        patient = without_suffix((name_parts(image.name) or ("",))[-1])
        if patient in owners:
            raise InputError(f"{owners[patient]} and {image.name} would share the patientId {patient}; rename one.")
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
            raise InputError(f"{path} cannot be the table of boxes and of classes; choose another file for one.")
        classes = []
        for patient, image in zip(patient_ids(images), images, strict=True):
            name = BOX_CLASS if len(image.boxes) else image.image_class or f"No {BOX_CLASS} / Not Normal"
            classes += [[patient, name]] * max(len(image.boxes), 1)
        write_table(class_file, [["patientId", "class"], *classes])
    write_table(path, [list(BOX_COLUMNS), *rows])
