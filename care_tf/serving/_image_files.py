"""Image files as people have them: PNG, JPEG, TIFF or DICOM, told apart by their first bytes."""

from pathlib import Path
from typing import Any

import numpy as np

from care_tf.datasets.dicom import read_dicom, read_dicom_header
from care_tf.errors import InputError
from care_tf.file_in_memory import AnyFile, open_file
from care_tf.images.pixels import named_errors, read_image, read_tiff
from care_tf.serving._served_size import MOST_PIXELS, MOST_SIDE_PX, SIZE_RULE

_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_DICOM_SUFFIXES = (".dcm", ".dicom")
_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8")
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DICOM_MARK, _DICOM_MARK_AT = b"DICM", 128
_DEFLATED = b"1.2.840.10008.1.2.1.99"  # the transfer syntax
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # tags of TIFF


class TooLargeError(InputError):
    """An image of more pixels than are decoded for whoever asks."""


def read_pixels(path: AnyFile, max_pixel_value: int | None = None) -> np.ndarray:
    """Decodes an image file at its own size.

    Args:
      path: A PNG or JPEG, as `read_image` reads it; a TIFF, as `read_tiff`; or a DICOM file, as `read_dicom`.
      max_pixel_value: The number in a 16-bit PNG or TIFF that is white; None takes the upper byte of its numbers.

    Returns:
      uint8 (H,W,3) RGB.

    Raises:
      InputError: The file is missing, or cannot be read.
    """
    kind = _kind(path)
    if kind == "DICOM":
        return np.repeat(read_dicom(path)[..., np.newaxis], 3, axis=2)
    return (read_tiff if kind == "TIFF" else read_image)(path, max_pixel_value)


def refuse_large(path: AnyFile) -> None:
    """Refuses an image by the size that its header states, before anything is decoded.

    Raises:
      TooLargeError: It has more than 50 million pixels, or a side of more than 30,000 px.
      InputError: As `read_pixels`, as far as the header shows; or a DICOM file is deflated, its header too, so that
        reading this much could take any memory.
    """
    from PIL import Image

    sizes: list[tuple[int, int]] = []
    received = ""
    if _kind(path) == "DICOM":
        with open_file(path) as file:
            if _DEFLATED in file.read():
                raise InputError(f"{path} must not be deflated. Received a deflated DICOM file. Save it uncompressed.")
        _, width, height = read_dicom_header(path)
        sizes = [(width, height)]
    else:
        with named_errors(path, "image"), open_file(path) as file:
            try:
                with Image.open(file, formats=("JPEG", "PNG", "TIFF")) as image:
                    sizes = [image.size, _tile_size(image)]
            except Image.DecompressionBombError:  # Pillow's own limit
                received = f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels"
    for width, height in sizes:
        if width * height > MOST_PIXELS or max(width, height) > MOST_SIDE_PX:
            received = f"{width:,} x {height:,}"
    if received:
        raise TooLargeError(f"{path} must have {SIZE_RULE}. Received {received}. Shrink it.")


def _tile_size(image: Any) -> tuple[int, int]:
    """Of a tiled TIFF, whose tiles are decoded whole, however small the image is; 0 x 0 of other files."""
    tags = getattr(image, "tag_v2", {})
    tile = tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0)
    if not all(isinstance(side, int) for side in tile):
        raise ValueError("its tiles have no size")
    return tile


def is_image_file(path: str) -> bool:
    """Whether a file found in a folder is to be read: by its suffix, or because it is DICOM, which often has none."""
    try:
        return Path(path).suffix.lower() in _SUFFIXES or _is_dicom(path, _head(path))
    except InputError:
        return False


def _kind(path: AnyFile) -> str:
    head = _head(path)
    if _is_dicom(path, head):
        return "DICOM"
    if head.startswith(_TIFF_STARTS):
        return "TIFF"
    if head.startswith(_STARTS):
        return "PNG or JPEG"
    raise InputError(f"{path} must be a PNG, JPEG, TIFF or DICOM file. Received one that starts with {head[:4]!r}.")


def _is_dicom(path: AnyFile, head: bytes) -> bool:
    # The mark comes first: the 128 bytes in front of it may be those of a TIFF file.
    return head[_DICOM_MARK_AT:] == _DICOM_MARK or Path(str(path)).suffix.lower() in _DICOM_SUFFIXES


def _head(path: AnyFile) -> bytes:
    try:
        with open_file(path) as file:
            return file.read(_DICOM_MARK_AT + len(_DICOM_MARK))
    except FileNotFoundError:
        raise InputError(f"The image {path} does not exist.") from None
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"The image {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
