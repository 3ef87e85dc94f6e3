"""Whether images show their files as they are said to: stretched or padded, and not cropped."""

from collections.abc import Sequence

import numpy as np

from care_tf.errors import InputError
from care_tf.images.pixels import read_image
from care_tf.images.resize_choice import PAD, STRETCH

_SIDE_PX = 16  # of what is compared: enough to tell the frames apart, too few for the kind of interpolation to matter
_LEAST_DIFFERENCE = 1.05  # in proportions; others look alike in all frames
_NUM_COMPARED = 4


def check_frames(images: np.ndarray, paths: Sequence[str], resize: str) -> None:
    """Compares some images with their files.

    Args:
      images: (k,H,W,C), in any range.
      paths: k files.
      resize: "stretch" or "pad": how the files were brought to H x W px.

    Raises:
      InputError: Another way of it fits most of those compared better; a crop is one, too.
    """
    height, width = images.shape[1:3] if len(images) else (1, 1)
    found = []
    for image, path in zip(images, paths, strict=True):
        pixels = read_image(path).mean(axis=-1)
        ratio = pixels.shape[1] / pixels.shape[0] * height / width
        if max(ratio, 1 / ratio) < _LEAST_DIFFERENCE:
            continue
        fits = {name: _likeness(image.mean(axis=-1), frame) for name, frame in _frames(pixels, height / width).items()}
        found.append(max(fits, key=lambda name: fits[name]))
        if len(found) == _NUM_COMPARED:
            break
    others = [name for name in found if name != resize]
    if 2 * len(others) > len(found):
        raise InputError(
            f'The images must show their files as resize says, "{resize}". Received a data set in which {len(others)} '
            f"of the first {len(found)} look as if by {others[0]}. Set resize to it; a crop has no place for boxes: "
            "leave crop_to_aspect_ratio out."
        )


def _frames(pixels: np.ndarray, shape: float) -> dict[str, np.ndarray]:
    """The (h,w) pixels as they look before each way of resizing to height / width `shape` stretches them."""
    height, width = pixels.shape
    inner_height, inner_width = min(height, round(width * shape)), min(width, round(height / shape))
    outer_height, outer_width = max(height, round(width * shape)), max(width, round(height / shape))
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    padded = np.zeros((outer_height, outer_width), pixels.dtype)
    y, x = (outer_height - height) // 2, (outer_width - width) // 2
    padded[y : y + height, x : x + width] = pixels
    return {STRETCH: pixels, PAD: padded, "crop": pixels[top : top + inner_height, left : left + inner_width]}


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two pictures made small; -1 where one is uniform."""
    from PIL import Image

    small = [
        np.asarray(Image.fromarray(each.astype(np.float32)).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BOX)).ravel()
        for each in (one, other)
    ]
    if min(each.std() for each in small) == 0:
        return -1.0
    return float(np.corrcoef(small[0], small[1])[0, 1])
