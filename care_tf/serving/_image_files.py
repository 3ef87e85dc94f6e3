"""Image files as people have them: PNG, JPEG, TIFF or DICOM, told apart by their first bytes."""

from pathlib import Path

import numpy as np

from care_tf.datasets.dicom import read_dicom
from care_tf.errors import InputError
from care_tf.images.pixels import read_image, read_tiff

_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_DICOM_SUFFIXES = (".dcm", ".dicom")
_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8")
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DICOM_MARK, _DICOM_MARK_AT = b"DICM", 128


def read_pixels(path: str, max_pixel_value: int | None = None) -> np.ndarray:
    """Decodes an image file at its own size.

    Args:
      path: A PNG or JPEG, as `read_image` reads it; a TIFF, as `read_tiff`; or a DICOM file, as `read_dicom`.
      max_pixel_value: The number in a 16-bit PNG or TIFF that is white; None takes the upper byte of its numbers.

    Returns:
      uint8 (H,W,3) RGB.

    Raises:
      InputError: The file is missing, or cannot be read.
    """
    head = _head(path)
    if _is_dicom(path, head):
        return np.repeat(read_dicom(path)[..., np.newaxis], 3, axis=2)
    if head.startswith(_TIFF_STARTS):
        return read_tiff(path, max_pixel_value)
    if head.startswith(_STARTS):
        return read_image(path, max_pixel_value)
    raise InputError(f"{path} must be a PNG, JPEG, TIFF or DICOM file. Received one that starts with {head[:4]!r}.")


def is_image_file(path: str) -> bool:
    """Whether a file found in a folder is to be read: by its suffix, or because it is DICOM, which often has none."""
    try:
        return Path(path).suffix.lower() in _SUFFIXES or _is_dicom(path, _head(path))
    except InputError:
        return False


def _is_dicom(path: str, head: bytes) -> bool:
    # The mark comes first: the 128 bytes in front of it may be those of a TIFF file.
    return head[_DICOM_MARK_AT:] == _DICOM_MARK or Path(path).suffix.lower() in _DICOM_SUFFIXES


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_DICOM_MARK_AT + len(_DICOM_MARK))
    except FileNotFoundError:
        raise InputError(f"The image {path} does not exist.") from None
    except OSError as error:
        raise InputError(f"The image {path} cannot be read: {error.strerror}.") from error
