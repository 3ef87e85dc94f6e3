"""ISIC 2018 task 3 (HAM10000), as downloaded, to a manifest with boxes from the published lesion masks."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from care_tf.box_geometry import scale_boxes, shows_region, tight_box_in_image
from care_tf.csv_files import column_of, table_rows
from care_tf.data.manifest import Manifest
from care_tf.datasets._download import check_parts, folds_of
from care_tf.datasets._lesion_masks import usable_masks, warn_without_background
from care_tf.errors import InputError
from care_tf.file_work import for_each_file
from care_tf.images.header import read_image_header
from care_tf.images.pixels import read_mask
from care_tf.problems import raise_problems

CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
BOX_SOURCE = "ground-truth"
_IMAGES = "ISIC2018_Task3_Training_Input"
_LABELS = "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv"
_GROUPS = "ISIC2018_Task3_Training_LesionGroupings.csv"
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
) -> Manifest:
    """Reads the official layout.

    A box is the tight rectangle around the lesion mask, in the image's own pixels; image and mask may differ in
    size. A mask without background says nothing about where the lesion is: that image gets no box, with a warning.

    Args:
      root: The folder that holds the images' and the ground truth's folders, the lesion groupings and, for boxes,
        the lesion masks.
      box_classes: The classes whose images get a box.
      box_scale: New side / tight side of the boxes, about their centers and clipped to the image.
      lesion_masks: Gives every image its lesion mask, to train a segmentation network on, and none a box.
      folds_file: CSV with the columns `image` and `fold`; None deals folds stratified by class, grouped by lesion.
      num_folds: How many folds to deal.
      seed: Of the deal.

    Returns:
      All images of the ground truth in its order, groups = lesions. The classes are in the official order MEL, NV,
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
    check_parts(root, [_IMAGES, _LABELS, _GROUPS, *([_MASKS] if needs_masks else [])], "an ISIC 2018 task 3")
    image_ids, labels = _read_labels(root / _LABELS)
    image_paths = tuple(str((root / _IMAGES / f"{name}.jpg").absolute()) for name in image_ids)
    raise_problems(str(root), [f"image {path} does not exist" for path in image_paths if not os.path.isfile(path)])
    groups = column_of(root / _GROUPS, "image", "lesion_id", image_ids)
    names = [CLASSES[label] for label in labels]  # rather than numbers, for the messages
    folds = folds_of(image_ids, names, groups, folds_file, "image", num_folds, seed)
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
        folds=folds,
        box_sources=tuple(BOX_SOURCE if len(box) else "" for box in boxes),
        source=str(root.absolute()),
    )


def _read_labels(path: Path) -> tuple[list[str], np.ndarray]:
    """Image ids and labels int32 (n,) of the one-hot table."""
    image_ids: list[str] = []
    labels: list[int] = []
    problems: list[str] = []
    for line, row in table_rows(path, ("image", *CLASSES), problems=problems):
        hot = [label for label, name in enumerate(CLASSES) if row[name] in ("1.0", "1")]
        if len(hot) != 1:
            problems.append(f"line {line}: {row['image']} has {len(hot)} classes instead of one")
        image_ids.append(row["image"])
        labels.append(hot[0] if hot else 0)
    if len(set(image_ids)) != len(image_ids):
        problems.append("an image occurs more than once")
    raise_problems(str(path), problems)
    if not image_ids:
        raise InputError(f"{path} has no rows.")
    return image_ids, np.array(labels, np.int32)


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
