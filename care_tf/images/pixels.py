"""Whole images and masks as NumPy arrays at their own size, for everything that is not a training pipeline."""

import contextlib
import os
from collections.abc import Iterator

import numpy as np

from care_tf.errors import InputError
from care_tf.images.header import exif_orientation

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


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Decodes an image as the training pipeline does, without resizing it.

    A JPEG's EXIF orientation is honored, a PNG's is not; grayscale, palette and 16-bit become 8-bit RGB, and an alpha
    channel is dropped.

    Args:
      path: A JPEG or PNG file.

    Returns:
      uint8 (H,W,3) RGB.

    Raises:
      InputError: The file is missing, cut off or no JPEG or PNG.
    """
    from PIL import Image

    with _named_errors(path, "image"), Image.open(path, formats=("JPEG", "PNG")) as image:
        transposition = _TRANSPOSITIONS.get(exif_orientation(image))
        if image.mode.startswith("I"):  # 16 bits: the high byte, as the pipeline's decoder takes it
            image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))
        pixels = image.convert("RGBA").convert("RGB") if image.mode == "P" else image.convert("RGB")
        if transposition is not None:
            pixels = pixels.transpose(Image.Transpose[transposition])
    return np.asarray(pixels)


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """Decodes a mask at its own size.

    Args:
      path: A PNG file; a palette is applied.

    Returns:
      bool (H,W), True where the mask is nonzero in any channel.

    Raises:
      InputError: The file is missing, cut off or no PNG.
    """
    from PIL import Image

    with _named_errors(path, "mask"), Image.open(path, formats=("PNG",)) as image:
        is_wide = image.mode.startswith("I") or image.mode == "1"
        # Through the palette's colors, not its numbers: published lesion masks have 0 for the lesion.
        channels = np.asarray(image if is_wide else image.convert("RGB"))
    return channels > 0 if channels.ndim == 2 else np.max(channels, axis=-1) > 0


@contextlib.contextmanager
def _named_errors(path: str | os.PathLike, kind: str) -> Iterator[None]:
    """Turns whatever Pillow raises into one `InputError` that names the file."""
    from PIL import Image

    try:
        yield
    except FileNotFoundError:
        raise InputError(f"The {kind} {path} does not exist.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"The {kind} {path} cannot be decoded: {error}. Copy it again.") from error
