"""ISIC 2018 task 1 (lesion boundary segmentation), as downloaded, to a manifest with lesion masks."""

import os
from pathlib import Path

import numpy as np

from care_tf.data.manifest import Manifest
from care_tf.datasets._download import check_parts
from care_tf.datasets._lesion_masks import usable_masks
from care_tf.errors import InputError

LABEL = "lesion"
IMAGES = "ISIC2018_Task1-2_Training_Input"
MASKS = "ISIC2018_Task1_Training_GroundTruth"


def read_isic_segmentation(root: str | os.PathLike) -> Manifest:
    """Reads the official layout: 2,594 images with a lesion mask each and no class.

    Args:
      root: The folder that holds the two unpacked archives.

    Returns:
      Every image with its mask file, all of class "lesion". The set names no patients or lesions, so each image is a
      group of its own: its ISIC name. A mask that covers the whole frame or nothing is left out, with a warning.

    Raises:
      InputError: A folder, image or mask is missing or unreadable.
    """
    root = Path(root)
    check_parts(root, (IMAGES, MASKS), "an ISIC 2018 task 1")
    images = sorted((root / IMAGES).glob("*.jpg"))
    if not images:
        raise InputError(f"{root / IMAGES} holds no .jpg images.")
    masks = [root / MASKS / f"{image.stem}_segmentation.png" for image in images]
    return Manifest(
        image_paths=tuple(str(image.absolute()) for image in images),
        labels=np.zeros(len(images), np.int32),
        class_names=(LABEL,),
        mask_paths=usable_masks(masks, str(root)),
        groups=tuple(image.stem for image in images),
        source=str(root.absolute()),
    )
