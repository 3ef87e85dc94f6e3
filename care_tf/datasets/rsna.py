"""RSNA Pneumonia Detection Challenge (2018), as downloaded from Kaggle, to a manifest with its boxes."""

import dataclasses
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from care_tf.data.manifest import Manifest
from care_tf.datasets._download import check_parts, folds_of, splits_of
from care_tf.datasets.dicom_to_png import ConvertedDicom
from care_tf.datasets.rsna_tables import (
    CLASSES,
    CLASSES_FILE,
    LABELS_FILE,
    check_agreement,
    read_boxes,
    read_classes,
    read_patients,
)
from care_tf.errors import InputError
from care_tf.problems import listed, raise_problems

BOX_SOURCE = "ground-truth"
# Section 4.1.1: "8851 'Normal' images, 105 'Lung Opacity' images, and 6012 images of 'No Lung Opacity/Not Normal'".
PAPER_IMAGES_PER_CLASS = {"Normal": 8851, "No Lung Opacity / Not Normal": 6012, "Lung Opacity": 105}
IMAGE_FOLDER = "stage_2_train_images"


@dataclasses.dataclass(frozen=True, eq=False)
class RsnaImage:
    """One image of the challenge.

    Args:
      name: Its `patientId`, which is the file's name too; every image has one of its own.
      dicom_path: The file.
      label: One of `CLASSES`.
      boxes: float64 (k,4) x0,y0,x1,y1 in the DICOM image's pixels, not clipped to it; k = 0 unless "Lung Opacity".
      patient: The patient as the mapping to the original data set has it, "" without one.
    """

    name: str
    dicom_path: str
    label: str
    boxes: np.ndarray
    patient: str = ""


def read_rsna(
    root: str | os.PathLike,
    *,
    max_images_per_class: Mapping[str, int] | None = PAPER_IMAGES_PER_CLASS,
    mapping_file: str | os.PathLike | None = None,
    seed: int = 0,
    at_most: bool = True,
) -> list[RsnaImage]:
    """Reads the two tables, checks them against each other, and draws the images to use.

    The training part has 26,684 images: 8,851 Normal, 11,821 No Lung Opacity / Not Normal, 6,012 Lung Opacity with
    9,555 boxes. The paper makes Lung Opacity, the class with the boxes, rare: it keeps 105 images of it and 6,012 of
    No Lung Opacity / Not Normal. Which ones is not published, so they are drawn here.

    Args:
      root: The folder that holds stage_2_train_images/, stage_2_train_labels.csv and stage_2_detailed_class_info.csv.
      max_images_per_class: Class name -> largest number of its images, drawn at random; None takes all.
      mapping_file: RSNA's pneumonia-challenge-dataset-mappings_2018.json. The challenge gives every image a patientId
        of its own, although some show the same patient; this file says which.
      seed: Of the draw. The draw of a class does not depend on the others' numbers.
      at_most: Whether a class may have fewer images than its number.

    Returns:
      The images drawn, in the order of the labels table.

    Raises:
      InputError: A folder, file or column is missing; a class has too few images; or the tables, boxes, images and
        mapping do not agree, with up to 20 problems listed.

    Source: Zhuang et al. 2023, section 4.1.1, whose numbers are the default. Its 6,012 is also the challenge's number
    of Lung Opacity images, so the paper may have exchanged two names; but it calls Lung Opacity its rare class and
    says that this class has the boxes, and in the challenge no other class has any.
    """
    root = Path(root)
    _check_arguments(root, max_images_per_class, seed)
    boxes = read_boxes(root / LABELS_FILE)
    if not boxes:
        raise InputError(f"{root / LABELS_FILE} has no rows.")
    labels = read_classes(root / CLASSES_FILE)
    check_agreement(root, boxes, labels)
    if not at_most:
        _check_numbers(root, labels.values(), max_images_per_class or {})
    drawn = _draw(list(boxes), labels, max_images_per_class, seed)
    patients = read_patients(Path(mapping_file), drawn) if mapping_file is not None else {}
    paths = {name: root.absolute() / IMAGE_FOLDER / f"{name}.dcm" for name in drawn}
    raise_problems(str(root), [f"image {path} does not exist" for path in paths.values() if not path.is_file()])
    return [RsnaImage(name, str(paths[name]), labels[name], boxes[name], patients.get(name, "")) for name in drawn]


def rsna_manifest(
    images: Sequence[RsnaImage],
    png_paths: Sequence[str | os.PathLike],
    conversions: Sequence[ConvertedDicom | InputError],
    *,
    folds_file: str | os.PathLike | None = None,
    num_folds: int = 5,
    seed: int = 0,
    split: str = "group",
    skip_failed: bool = False,
    source: str = "",
) -> Manifest:
    """Puts images, their PNGs and boxes, and folds stratified by class and grouped by patient together.

    A group is a patient of the mapping; without a mapping, the images whose DICOM headers have the same PatientID; an
    image without one is a group of its own. A group is called by its patient's number in the mapping, which is public,
    or by the `patientId` of its first image: nothing of a DICOM header is in the manifest.

    Args:
      images: n images of `read_rsna`.
      png_paths: The n files made from them.
      conversions: What `convert_dicoms` returned for them.
      folds_file: CSV with the columns `patientId` and `fold`; None deals them.
      num_folds: How many folds to deal.
      seed: Of the deal.
      split: "group" gives every image a fold only; "image" also the paper's split, "train" (80 % of each class) or
        "test", image by image, with a warning of how many patients are on both sides.
      skip_failed: Leaves out images that failed, with a warning that lists them.
      source: The manifest's source.

    Returns:
      The manifest, boxes clipped to the image and in the PNG's pixels; classes in the order of `CLASSES`.

    Raises:
      InputError: An image could not be converted, or a box lies outside of it, unless skipped; an image
        has no fold in the file, or a class has fewer groups than folds.
    """
    kept: list[int] = []
    boxes: list[np.ndarray] = []
    problems: list[str] = []
    for i, (image, conversion) in enumerate(zip(images, conversions, strict=True)):
        if isinstance(conversion, InputError):
            problems.append(str(conversion))
            continue
        placed = _place_boxes(image.boxes, conversion)
        if (placed[:, :2] >= placed[:, 2:]).any():
            size = f"{conversion.header.width} x {conversion.header.height} px"
            problems.append(f"{image.name}: a box lies outside of the image of {size}: {image.boxes.tolist()}")
            continue
        kept.append(i)
        boxes.append(placed)
    if problems and skip_failed:
        text = f"left out {len(problems)} of {len(images)} images: {listed(problems)}"
        warnings.warn(text, UserWarning, stacklevel=2)
    else:
        raise_problems("The conversion, which continues where it stopped when it is started again,", problems)
    if not kept:
        raise InputError("No image could be converted, so there is no manifest to write.")
    groups = _groups([images[i] for i in kept], [conversions[i] for i in kept])
    labels = [images[i].label for i in kept]
    return Manifest(
        image_paths=tuple(os.path.abspath(png_paths[i]) for i in kept),
        labels=np.array([CLASSES.index(label) for label in labels], np.int32),
        class_names=CLASSES,
        boxes=tuple(boxes),
        groups=groups,
        splits=splits_of(labels, groups, split, seed),
        folds=folds_of([images[i].name for i in kept], labels, groups, folds_file, "patientId", num_folds, seed),
        box_sources=tuple(BOX_SOURCE if len(each) else "" for each in boxes),
        source=source,
    )


def _check_arguments(root: Path, max_images_per_class: Mapping[str, int] | None, seed: int) -> None:
    for name, number in (max_images_per_class or {}).items():
        if name not in CLASSES:
            raise InputError(f"The classes are {', '.join(CLASSES)}. Received {name!r}.")
        if number < 1:
            raise InputError(f"The number of images of class {name} must be at least 1. Received {number}.")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed must lie in [0, 2^32). Received {seed}.")
    check_parts(root, (IMAGE_FOLDER, LABELS_FILE, CLASSES_FILE), "an RSNA Pneumonia Detection Challenge")


def _check_numbers(root: Path, labels: Iterable[str], asked: Mapping[str, int]) -> None:
    found = Counter(labels)
    short = [f"{found[name]:,} of {number:,} {name}" for name, number in asked.items() if found[name] < number]
    if short:
        raise InputError(
            f"{root} must have as many images of each class as are asked for. Received {', '.join(short)}. "
            "Is the download complete? Take what there is with --at-most, or everything with --all."
        )


def _draw(
    names: Sequence[str], labels: Mapping[str, str], max_images_per_class: Mapping[str, int] | None, seed: int
) -> list[str]:
    """The names to keep, in their order."""
    kept: set[str] = set()
    for number, label in enumerate(CLASSES):
        members = [name for name in names if labels[name] == label]
        order = np.random.default_rng([seed, number]).permutation(len(members))
        kept.update(members[i] for i in order[: (max_images_per_class or {}).get(label)].tolist())
    return [name for name in names if name in kept]


def _place_boxes(boxes: np.ndarray, converted: ConvertedDicom) -> np.ndarray:
    """float32 (k,4), clipped to the image and in the PNG's pixels."""
    old, new = np.array(converted.header[1:] * 2, np.float64), np.array(converted[1:] * 2, np.float64)
    return np.clip(boxes * (new / old), 0, new).astype(np.float32)


def _groups(images: Sequence[RsnaImage], conversions: Sequence[ConvertedDicom | InputError]) -> tuple[str, ...]:
    first_names: dict[str, str] = {}
    groups = []
    for image, conversion in zip(images, conversions, strict=True):
        identity = conversion.header.patient_id if isinstance(conversion, ConvertedDicom) else ""
        groups.append(image.patient or (first_names.setdefault(identity, image.name) if identity else image.name))
    return tuple(groups)
