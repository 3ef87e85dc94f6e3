"""Whole images and masks as NumPy arrays at their own size, for everything that is not a training pipeline."""

import contextlib
import io
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from care_tf.errors import InputError, clause
from care_tf.extras import require_extra
from care_tf.file_in_memory import AnyFile, open_file
from care_tf.images.bit_depth import HEAD_BYTES, check_max_pixel_value, gray_of_16_bits, is_16_bit_png, warn_if_dark
from care_tf.images.header import check_num_pixels, exif_orientation

# What undoes an EXIF orientation, as Pillow names it; orientation 1 needs nothing.
_TRANSPOSITIONS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
# Tags of TIFF, and what they and Pillow's modes must be for the pixels to be what `read_tiff` makes of them.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _BLACK_IS_ZERO = 258, 262, 1
_EIGHT_BIT_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "YCbCr")


def read_image(path: AnyFile, max_pixel_value: int | None = None) -> np.ndarray:
    """Decodes an image as the training pipeline does, without resizing it.

    A JPEG's EXIF orientation is honored, a PNG's is not; grayscale, palette and 16-bit become 8-bit RGB, and an alpha
    channel is dropped.

    Args:
      path: A JPEG or PNG file, on disk, in a shard or in memory.
      max_pixel_value: The number in a 16-bit PNG that is white, in [1, 65535]; other files are not affected. None
        takes the upper byte of its numbers, with a warning where that leaves the image dark.

    Returns:
      uint8 (H,W,3) RGB.

    Raises:
      InputError: The file is missing, cut off or no JPEG or PNG, or holds numbers above `max_pixel_value`.
    """
    from PIL import Image

    check_max_pixel_value(max_pixel_value)
    numbers = _16_bit_numbers(path)
    if numbers is not None:
        return _rgb_of_16_bits(numbers, max_pixel_value, path)
    with named_errors(path, "image"), open_file(path) as file, Image.open(file, formats=("JPEG", "PNG")) as image:
        check_num_pixels(image, path)
        transposition = _TRANSPOSITIONS.get(exif_orientation(image))
        pixels = _as_rgb(image)
        if transposition is not None:
            pixels = pixels.transpose(Image.Transpose[transposition])
    return np.asarray(pixels)


def read_tiff(path: AnyFile, max_pixel_value: int | None = None) -> np.ndarray:
    """Decodes a TIFF file of one page as `read_image` decodes the same pixels in a PNG, but its orientation is honored.

    Args:
      path: A TIFF file with 8 bits per channel, or gray with 16, on disk or in memory.
      max_pixel_value: The number in 16 bits that is white, as in `read_image`.

    Returns:
      uint8 (H,W,3) RGB.

    Raises:
      InputError: The file is missing, cut off or no TIFF, has several pages or other kinds of pixels, or holds numbers
        above `max_pixel_value`.
    """
    from PIL import Image, ImageOps

    check_max_pixel_value(max_pixel_value)
    with named_errors(path, "image"), open_file(path) as file, Image.open(file, formats=("TIFF",)) as image:
        check_num_pixels(image, path)
        tags = image.tag_v2
        num_bits, photometric, mode = max(tags.get(_BITS_PER_SAMPLE, (1,))), tags.get(_PHOTOMETRIC), image.mode
        has_pages = getattr(image, "is_animated", False)  # n_frames would walk through all of them
        oriented = image if has_pages else ImageOps.exif_transpose(image)
    if has_pages:
        raise InputError(f"{path} must hold one image. Received several pages. Save each as a file of its own.")
    if num_bits == 16 and mode.startswith("I;16") and photometric == _BLACK_IS_ZERO:
        return _rgb_of_16_bits(np.asarray(oriented)[..., np.newaxis], max_pixel_value, path)
    if num_bits > 8 or mode not in _EIGHT_BIT_MODES:
        raise InputError(
            f"{path} must have 8 bits per channel, or 16 of gray from black to white. Received {num_bits} bits, "
            f"{mode}. Save it as PNG."
        )
    return np.asarray(_as_rgb(oriented))


def read_mask(path: AnyFile) -> np.ndarray:
    """Decodes a mask at its own size.

    Args:
      path: A PNG file, on disk, in a shard or in memory; a palette is applied.

    Returns:
      bool (H,W), True where the mask is nonzero in any channel.

    Raises:
      InputError: The file is missing, cut off or no PNG.
    """
    from PIL import Image

    with named_errors(path, "mask"), open_file(path) as file, Image.open(file, formats=("PNG",)) as image:
        check_num_pixels(image, path)
        is_gray = image.mode.startswith("I") or image.mode in ("1", "L")
        # Through the palette's colors, not its numbers: published lesion masks have 0 for the lesion.
        channels = np.asarray(image if is_gray else image.convert("RGB"))
    return channels > 0 if channels.ndim == 2 else np.max(channels, axis=-1) > 0


def gray_16_bit_values(path: str | os.PathLike) -> np.ndarray | None:
    """The numbers of a gray PNG with 16 bits, as they are stored: int32 (H,W); None for any other file.

    Raises:
      InputError: The file is missing or cut off.
    """
    numbers = _16_bit_numbers(path)
    if numbers is None or (numbers[..., :1] != numbers[..., 1:]).any():
        return None
    return numbers[..., 0].astype(np.int32)


def _as_rgb(image: Any) -> Any:
    return image.convert("RGBA").convert("RGB") if image.mode == "P" else image.convert("RGB")


def _16_bit_numbers(path: AnyFile) -> np.ndarray | None:
    """(H,W,1), gray, or (H,W,3), RGB, of a PNG with 16 bits per channel; None for any other file."""
    from PIL import Image

    with named_errors(path, "image"):
        with open_file(path) as file:
            head = file.read(HEAD_BYTES)
            if not is_16_bit_png(head):
                return None
            file.seek(0)
            contents = file.read()
        with Image.open(io.BytesIO(contents), formats=("PNG",)) as image:
            check_num_pixels(image, path)
            pixels = np.asarray(image)  # decoded even where Pillow keeps the upper bytes only: it finds what is cut off
            is_gray = image.mode.startswith("I")
    if not is_gray:
        require_extra("Reading 16-bit PNGs in color", "boxes", "cv2")
        import cv2

        pixels = np.asarray(cv2.imdecode(np.frombuffer(contents, np.uint8), cv2.IMREAD_UNCHANGED))[..., 2::-1]
    return np.atleast_3d(pixels)


def _rgb_of_16_bits(numbers: np.ndarray, max_pixel_value: int | None, path: AnyFile) -> np.ndarray:
    """Numbers (H,W,1 or 3) -> uint8 (H,W,3), as the pipeline's decoder gives it."""
    largest = int(numbers.max())
    if max_pixel_value is None:
        warn_if_dark({str(path): largest}, stacklevel=3)
    elif gray_of_16_bits(largest, max_pixel_value) > 255:
        raise InputError(
            f"{path}: max_pixel_value must be the largest that a pixel can have. Received {max_pixel_value}, and a "
            f"pixel of {largest}. Raise it."
        )
    layers = np.empty(numbers.shape, np.uint8)
    for row, given in zip(layers, numbers, strict=True):  # one by one: the numbers of a large image fill the memory
        row[...] = given >> 8 if max_pixel_value is None else gray_of_16_bits(given.astype(np.int32), max_pixel_value)
    return np.repeat(layers, 3 // numbers.shape[-1], axis=2)


@contextlib.contextmanager
def named_errors(path: AnyFile, kind: str) -> Iterator[None]:
    """Turns whatever Pillow raises into one `InputError` that names the file."""
    from PIL import UnidentifiedImageError

    try:
        yield
    except FileNotFoundError:
        raise InputError(f"The {kind} {path} does not exist.") from None
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"The {kind} {path} must fit into the memory. Received more pixels. Shrink it.") from None
    except UnidentifiedImageError:  # whose text is the path once more
        raise InputError(f"The {kind} {path} cannot be decoded: it is of no known format. Copy it again.") from None
    except Exception as error:  # Pillow's readers raise whatever broken files lead them to
        raise InputError(f"The {kind} {path} cannot be decoded: {clause(error)}. Copy it again.") from error
