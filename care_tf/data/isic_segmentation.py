"""ISIC 2018 task 1 (lesion boundary segmentation), as downloaded, to a manifest with lesion masks."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from care_tf.data.image_pixels import read_mask
from care_tf.data.manifest import Manifest
from care_tf.data.manifest_rows import raise_problems
from care_tf.errors import InputError

LABEL = "lesion"
IMAGES = "ISIC2018_Task1-2_Training_Input"
MASKS = "ISIC2018_Task1_Training_GroundTruth"
_NUM_THREADS = min(32, 4 * (os.cpu_count() or 1))


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
    missing = [name for name in (IMAGES, MASKS) if not (root / name).is_dir()]
    if missing:
        raise InputError(
            f"{root} is not an ISIC 2018 task 1 download: {', '.join(missing)} missing; "
            "give the folder that holds both unpacked archives"
        )
    images = sorted((root / IMAGES).glob("*.jpg"))
    if not images:
        raise InputError(f"{root / IMAGES} holds no .jpg images")
    masks = [root / MASKS / f"{image.stem}_segmentation.png" for image in images]
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        results = list(pool.map(_has_region, masks))
    raise_problems(str(root), [str(result) for result in results if isinstance(result, InputError)])
    without = [image.stem for image, result in zip(images, results, strict=True) if result is False]
    if without:
        warnings.warn(
            f"no mask for {', '.join(without)}: it covers the whole frame or nothing", UserWarning, stacklevel=2
        )
    return Manifest(
        image_paths=tuple(str(image.absolute()) for image in images),
        labels=np.zeros(len(images), np.int32),
        class_names=(LABEL,),
        mask_paths=tuple(str(mask.absolute()) if result else "" for mask, result in zip(masks, results, strict=True)),
        groups=tuple(image.stem for image in images),
        source=str(root.absolute()),
    )


def _has_region(path: Path) -> bool | InputError:
    """Whether a mask shows a lesion on a background; an unreadable one is the error itself."""
    try:
        mask = read_mask(path)
    except InputError as error:
        return error
    return bool(mask.any() and not mask.all())
