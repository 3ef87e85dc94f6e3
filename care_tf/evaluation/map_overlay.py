"""An attention map over its image, and the outline of a box."""

from typing import Any

import numpy as np

from care_tf.errors import InputError
from care_tf.extras import require_extra

require_extra(__name__, "runs", "matplotlib")

_SIDE_PX = 320
_OUTLINE_PX = 4
_RIM_PX = 2


def shown_size(height: int, width: int, side_px: int = _SIDE_PX) -> tuple[int, int]:
    """Height and width of an image whose longer side is that of a page's pictures.

    Example:
      >>> shown_size(450, 600), shown_size(3000, 1000)
      ((240, 320), (320, 107))
    """
    scale = side_px / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resized(image: np.ndarray, side_px: int = _SIDE_PX) -> np.ndarray:
    """The image, its proportions kept, with so many pixels on its longer side: (h, w, 3) uint8."""
    from PIL import Image

    height, width = shown_size(image.shape[0], image.shape[1], side_px)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def full_size(attention: Any, size: tuple[int, ...], name: str) -> np.ndarray:
    """The map (h, w) at an image's size (H, W), bilinearly, float32 in [0, 1].

    Raises:
      InputError: It has another rank; `name` is the image's.
    """
    from PIL import Image

    attention = np.asarray(attention, np.float32)
    if attention.ndim != 2:
        raise InputError(f"An example's attention map must be (h, w). Received: {attention.shape} in {name}.")
    resized = Image.fromarray(attention).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.clip(np.asarray(resized), 0.0, 1.0)


def share_inside(attention: np.ndarray, mask: np.ndarray) -> float | None:
    """The share of the map's energy inside the mask, both (H, W); None for an empty map."""
    energy = float(attention.sum())
    return float(attention[mask].sum()) / energy if energy > 0 else None


def overlaid(image: np.ndarray, attention: np.ndarray, side_px: int = _SIDE_PX) -> np.ndarray:
    """The gray image under the map's colors, so that the lesion's own colors are not read as attention."""
    from matplotlib import colormaps
    from PIL import Image

    base = np.asarray(Image.fromarray(resized(image, side_px)).convert("L"), np.float32)[..., np.newaxis]
    heat = resized((colormaps["viridis"](attention)[..., :3] * 255).astype(np.uint8), side_px).astype(np.float32)
    return np.clip(0.45 * base + 0.55 * heat, 0, 255).astype(np.uint8)


def outlined(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draws the mask's border in white with a dark rim, visible on any image."""
    from PIL import Image

    if not mask.any():
        return pixels
    size = (pixels.shape[1], pixels.shape[0])
    inside = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)) > 0
    around, core = _in_squares(inside, _RIM_PX, np.logical_or), _in_squares(inside, _OUTLINE_PX, np.logical_and)
    drawn = pixels.copy()
    drawn[around & ~core] = (20, 20, 20)
    drawn[inside & ~core] = (255, 255, 255)
    return drawn


def _in_squares(mask: np.ndarray, radius_px: int, combine: np.ufunc) -> np.ndarray:
    """What `combine` makes of the square around each pixel, in a tenth of the time that PIL's filters take.

    Beyond the edge is background: a box there is closed, too.
    """
    for _ in range(2):
        padded = np.pad(mask, ((radius_px, radius_px), (0, 0)))
        mask = combine.reduce([padded[start : start + len(mask)] for start in range(2 * radius_px + 1)]).T
    return mask
