"""ISIC 2018 task 3 (HAM10000), as downloaded, to a manifest with boxes from the published lesion masks."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from care_tf.box_geometry import scale_boxes, shows_region, tight_box_in_image
from care_tf.csv_files import column_of, table_rows
from care_tf.data.manifest import Manifest
from care_tf.datasets._download import check_parts, folds_of, splits_of
from care_tf.datasets._lesion_masks import usable_masks, warn_without_background
from care_tf.errors import InputError
from care_tf.file_work import for_each_file
from care_tf.images.header import read_image_header
from care_tf.images.pixels import read_mask
from care_tf.problems import raise_problems

CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
BOX_SOURCE = "ground-truth"
_IMAGES = "ISIC2018_Task3_Training_Input"
_HAM_IMAGES = ("HAM10000_images_part_1", "HAM10000_images_part_2")
_LABELS = "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv"
_GROUPS = "ISIC2018_Task3_Training_LesionGroupings.csv"
_HAM_TABLES = ("HAM10000_metadata.csv", "HAM10000_metadata.tab", "HAM10000_metadata")  # Dataverse's own is tabbed
_MASKS = "HAM10000_segmentations_lesion_tschandl"


def read_isic2018(
    root: str | os.PathLike,
    box_classes: Sequence[str] = (),
    *,
    box_scale: float = 1.0,
    lesion_masks: bool = False,
    folds_file: str | os.PathLike | None = None,
    num_folds: int = 5,
    seed: int = 0,
    split: str = "group",
) -> Manifest:
    """Reads the archive's layout, or that of Dataverse and Kaggle, where the set is called HAM10000.

    HAM10000_metadata.csv stands for the ground truth, the lesion groupings or both, and the folders
    HAM10000_images_part_1 and HAM10000_images_part_2 for that of the images, where the archive's own are missing.

    A box is the tight rectangle around the lesion mask, in the image's own pixels; image and mask may differ in
    size. A mask without background says nothing about where the lesion is: that image gets no box, with a warning.

    Args:
      root: The folder that holds the images' folders, the tables and, for boxes, the lesion masks.
      box_classes: The classes whose images get a box.
      box_scale: New side / tight side of the boxes, about their centers and clipped to the image.
      lesion_masks: Gives every image its lesion mask, to train a segmentation network on, and none a box.
      folds_file: CSV with the columns `image` and `fold`; None deals folds stratified by class, grouped by lesion.
      num_folds: How many folds to deal.
      seed: Of the deal.
      split: "group" gives every image a fold only; "image" also the paper's split, "train" (80 % of each class) or
        "test", image by image, with a warning of how many lesions are on both sides.

    Returns:
      All images of the labels' table in its order, groups = lesions. The classes are in the official order MEL, NV,
      BCC, AKIEC, BKL, DF, VASC; a manifest read back from its CSV has them sorted unless they are named.

    Raises:
      InputError: A folder, file or column is missing, or images, labels, groups, folds or masks do not agree.
    """
    root = Path(root)
    if not 0 < box_scale < float("inf"):
        raise InputError(f"The box scale must be a positive number. Received {box_scale}.")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed must lie in [0, 2^32). Received {seed}.")
    if lesion_masks and len(box_classes):
        raise InputError("An image has a box or a mask, not both. Name no box classes together with lesion masks.")
    unknown = [name for name in box_classes if name not in CLASSES]
    if unknown:
        raise InputError(f"The box classes must be among {', '.join(CLASSES)}. Received {', '.join(unknown)}.")
    needs_masks = lesion_masks or len(box_classes) > 0
    folders, labels_table, groups_table = _parts(root)
    parts = [*folders, labels_table, groups_table, *([_MASKS] if needs_masks else [])]
    check_parts(root, parts, "an ISIC 2018 task 3")
    image_ids, labels = (_read_labels if labels_table == _LABELS else _read_metadata)(root / labels_table)
    image_paths = tuple(_image_path(root, folders, name) for name in image_ids)
    raise_problems(str(root), [f"image {path} does not exist" for path in image_paths if not os.path.isfile(path)])
    key = "image" if groups_table == _GROUPS else "image_id"
    groups = column_of(root / groups_table, key, "lesion_id", image_ids)
    names = [CLASSES[label] for label in labels]  # rather than numbers, for the messages
    folds = folds_of(image_ids, names, groups, folds_file, "image", num_folds, seed)
    splits = splits_of(names, groups, split, seed)
    wants_box = np.isin(labels, [CLASSES.index(name) for name in box_classes])
    boxes = _lesion_boxes(root / _MASKS, image_paths, wants_box, box_scale)
    masks = usable_masks([_mask_path(root / _MASKS, path) for path in image_paths], str(root)) if lesion_masks else ()
    return Manifest(
        image_paths=image_paths,
        labels=labels,
        class_names=CLASSES,
        boxes=boxes,
        mask_paths=masks,
        groups=tuple(groups),
        splits=splits,
        folds=folds,
        box_sources=tuple(BOX_SOURCE if len(box) else "" for box in boxes),
        source=str(root.absolute()),
    )


def _parts(root: Path) -> tuple[list[str], str, str]:
    """The folders of images, the table of labels and that of lesions; the archive's own where there is none."""
    folders = [name for name in (_IMAGES, *_HAM_IMAGES) if (root / name).is_dir()]
    metadata = [name for name in _HAM_TABLES if (root / name).is_file()]
    labels, groups = (
        next((each for each in (name, *metadata) if (root / each).is_file()), name) for name in (_LABELS, _GROUPS)
    )
    return folders or [_IMAGES], labels, groups


def _image_path(root: Path, folders: Sequence[str], name: str) -> str:
    """The image in the first folder that has it; in the first of all where none does."""
    paths = [(root / folder / f"{name}.jpg").absolute() for folder in folders]
    return str(next((path for path in paths if path.is_file()), paths[0]))


def _read_labels(path: Path) -> tuple[list[str], np.ndarray]:
    """Image ids and labels int32 (n,) of the one-hot table."""
    problems: list[str] = []
    table = table_rows(path, ("image", *CLASSES), numbers=CLASSES, problems=problems)
    classes_of = [(row["image"], [name for name in CLASSES if row[name] in ("1.0", "1")]) for _, row in table]
    for (line, _), (image_id, hot) in zip(table, classes_of, strict=True):
        if len(hot) != 1:
            problems.append(f"line {line}: {image_id} has {len(hot)} classes instead of one")
    return _checked_labels(path, [(image_id, hot[0] if hot else "") for image_id, hot in classes_of], problems)


def _read_metadata(path: Path) -> tuple[list[str], np.ndarray]:
    """Image ids and labels int32 (n,) of HAM10000's table of patients."""
    problems: list[str] = []
    table = table_rows(path, ("lesion_id", "image_id", "dx"), problems=problems)
    for line, row in table:
        if row["dx"].upper() not in CLASSES:
            known = ", ".join(name.lower() for name in CLASSES)
            problems.append(f"line {line}: {row['image_id']} has dx {row['dx']!r}, which is not one of {known}")
    return _checked_labels(path, [(row["image_id"], row["dx"].upper()) for _, row in table], problems)


def _checked_labels(
    path: Path, class_of: Sequence[tuple[str, str]], problems: list[str]
) -> tuple[list[str], np.ndarray]:
    image_ids = [image_id for image_id, _ in class_of]
    if len(set(image_ids)) != len(image_ids):
        problems.append("an image occurs more than once")
    raise_problems(str(path), problems)
    if not image_ids:
        raise InputError(f"{path} has no rows.")
    return image_ids, np.array([CLASSES.index(name) for _, name in class_of], np.int32)


def _lesion_boxes(
    folder: Path, image_paths: Sequence[str], wants_box: np.ndarray, box_scale: float
) -> tuple[np.ndarray, ...]:
    """float32 (k,4) for every image: k = 1 where a box is wanted and the mask has foreground and background."""
    boxes = [np.zeros((0, 4), np.float32)] * len(image_paths)
    chosen = np.flatnonzero(wants_box).tolist()
    found = for_each_file(
        lambda i: _box_of_image(folder, image_paths[i], box_scale),
        chosen,
        where=str(folder),
        progress="reading lesion masks",
        unit="mask",
    )
    for i, box in zip(chosen, found, strict=True):
        boxes[i] = box
    warn_without_background([image_paths[i] for i in chosen if not len(boxes[i])], "box")
    return tuple(boxes)


def _box_of_image(folder: Path, image_path: str, box_scale: float) -> np.ndarray:
    """float32 (k,4): k = 0 where the mask says nothing."""
    image = read_image_header(image_path)
    mask = read_mask(_mask_path(folder, image_path))
    if not shows_region(mask):
        return np.zeros((0, 4), np.float32)
    box = tight_box_in_image(mask, image.width, image.height)
    return scale_boxes(box, box_scale, image.width, image.height)


def _mask_path(folder: Path, image_path: str) -> Path:
    return folder / f"{Path(image_path).stem}_segmentation.png"
