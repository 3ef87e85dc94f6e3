"""The bytes a browser gets, so that it shows the pixels the boxes are measured in."""

import contextlib
import io
import os
from typing import NamedTuple

import numpy as np

from care_tf.file_in_memory import open_file
from care_tf.images.bit_depth import HEAD_BYTES, LARGEST, is_16_bit_png
from care_tf.images.header import ORIENTATION_TAG, exif_orientation
from care_tf.images.pixels import gray_16_bit_values, read_image

_PLAIN_MODES = ("RGB", "L")
_THUMBNAIL_PX = 128


def browser_image(path: str | os.PathLike, max_pixel_value: int | None = None) -> tuple[bytes, str]:
    """An image file as it is where every browser shows it as the package reads it, else its pixels as a PNG.

    As it is: a JPEG without EXIF rotation and a PNG without EXIF, both 8-bit RGB or grayscale. A rotated JPEG is
    rotated here, and a PNG's EXIF, which the package does not honor and browsers may, is not sent.

    Args:
      path: A JPEG or PNG file.
      max_pixel_value: As of `read_image`.

    Returns:
      The bytes and their media type, "image/jpeg" or "image/png".

    Raises:
      InputError: The file is missing, cut off or no JPEG or PNG.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with open_file(path) as file:
            data = file.read()
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            is_png = image.format == "PNG"
            # Anywhere in a PNG: Pillow knows of a chunk after the pixels only once it has decoded them. A JPEG's EXIF
            # falls back on XMP, which only makes the answer more careful.
            is_turned = b"eXIf" in data if is_png else image.getexif().get(ORIENTATION_TAG, 1) != 1
            if image.mode in _PLAIN_MODES and not is_turned and not is_16_bit_png(data[:HEAD_BYTES]):
                return data, "image/png" if is_png else "image/jpeg"
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        pass  # read_image fails the same way and says it well
    return _png(read_image(path, max_pixel_value)), "image/png"


class Values(NamedTuple):
    """The numbers of a 16-bit PNG: uint16, little-endian, row by row; `white` is the one that is shown as white."""

    data: bytes
    width: int
    height: int
    white: int


def browser_values(path: str | os.PathLike, max_pixel_value: int | None = None) -> Values | None:
    """An image's own numbers where they are finer than the 8 bits of a browser: of a gray 16-bit PNG; else None.

    Raises:
      InputError: The file cannot be read.
    """
    numbers = gray_16_bit_values(path)
    if numbers is None:
        return None
    height, width = numbers.shape
    return Values(numbers.astype("<u2").tobytes(), width, height, max_pixel_value or LARGEST)


def browser_thumbnail(path: str | os.PathLike, max_pixel_value: int | None = None) -> bytes:
    """A small JPEG of an image.

    Raises:
      InputError: The file cannot be read.
    """
    from PIL import Image, UnidentifiedImageError

    pixels = None
    unreadable = (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError)
    with contextlib.suppress(*unreadable), open_file(path) as file, Image.open(file, formats=("JPEG",)) as image:
        if image.mode in _PLAIN_MODES and exif_orientation(image) == 1:
            image.draft(image.mode, (_THUMBNAIL_PX, _THUMBNAIL_PX))  # decodes no more than is needed
            pixels = np.asarray(image.convert("RGB"))
    thumbnail = Image.fromarray(read_image(path, max_pixel_value) if pixels is None else pixels)
    thumbnail.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
    buffer = io.BytesIO()
    thumbnail.save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    is_gray = (pixels[..., :1] == pixels[..., 1:]).all()
    buffer = io.BytesIO()
    # Level 1: a large X-ray must not keep the person waiting for a smaller file that goes nowhere.
    Image.fromarray(pixels[..., 0] if is_gray else pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
