"""ISIC lesion masks: a folder of NAME_segmentation.png, white where the lesion is."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from care_tf.box_geometry import shows_region, tight_box, union_mask
from care_tf.boxes.formats.annotated_image import AnnotatedImage
from care_tf.boxes.formats.file_names import files_with_suffix, write_per_image
from care_tf.errors import InputError
from care_tf.file_work import for_each_file
from care_tf.images.pixels import read_mask

SUFFIX = "_segmentation.png"
LABEL = "lesion"


def mask_to_image(mask: np.ndarray, name: str, where: str) -> AnnotatedImage:
    """The tight rectangle around all set pixels of a bool (H,W) mask, whose size is the image's.

    A mask that is all set or all clear says nothing about where the lesion is: it gives no box and is listed in
    `ignored`.
    """
    height, width = mask.shape
    if shows_region(mask):
        return AnnotatedImage(name, tight_box(mask), (LABEL,), width, height, where=where)
    ignored = f"mask of the {'whole frame' if mask.all() else 'empty set'}"
    return AnnotatedImage(name, np.zeros((0, 4)), (), width, height, where=where, ignored=(ignored,))


def read_isic_masks(path: str | os.PathLike) -> list[AnnotatedImage]:
    """`mask_to_image` of every *_segmentation.png below a folder; the image's name is the rest of the file's path."""
    path = Path(path)
    files = files_with_suffix(path, (SUFFIX,))
    if not files:
        raise InputError(f"{path} holds no files that end in {SUFFIX}; give the folder of lesion masks.")

    def read(file: Path) -> AnnotatedImage:
        name = file.relative_to(path).as_posix()[: -len(SUFFIX)]
        return mask_to_image(read_mask(file), name, str(file))

    return for_each_file(read, files, where=str(path))


def write_isic_masks(images: Sequence[AnnotatedImage], path: str | os.PathLike) -> None:
    """Writes a folder with NAME_segmentation.png per image, the boxes filled with 255; whole or not at all.

    A pixel is set when its center lies in a box. Several boxes are read back as the one tight rectangle around them.
    """
    from PIL import Image

    def write(image: AnnotatedImage, file: Path) -> None:
        width, height = image.stated_size("a mask")
        mask = union_mask(image.in_pixels().boxes, height, width)
        Image.fromarray(mask.astype(np.uint8) * 255).save(file)

    write_per_image(images, path, SUFFIX, write)
