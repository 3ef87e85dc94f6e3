"""An attention map over its image, and the outline of a box."""

from typing import Any

import numpy as np

from care_tf.errors import InputError
from care_tf.extras import require_extra

require_extra(__name__, "runs", "matplotlib")

_WIDTH_PX = 320
_MAX_HEIGHT_PX = 4 * _WIDTH_PX  # a strip one pixel wide must not become a picture of gigabytes
_OUTLINE_PX = 4
_RIM_PX = 2


def resized(image: np.ndarray) -> np.ndarray:
    """The image at the width of a page's pictures, (h, 320, 3) uint8, h at most 1280."""
    from PIL import Image

    height = min(max(1, round(image.shape[0] * _WIDTH_PX / image.shape[1])), _MAX_HEIGHT_PX)
    return np.asarray(Image.fromarray(image).resize((_WIDTH_PX, height), Image.Resampling.BICUBIC))


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


def overlaid(image: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """The gray image under the map's colors, so that the lesion's own colors are not read as attention."""
    from matplotlib import colormaps
    from PIL import Image

    base = np.asarray(Image.fromarray(resized(image)).convert("L"), np.float32)[..., np.newaxis]
    heat = resized((colormaps["viridis"](attention)[..., :3] * 255).astype(np.uint8)).astype(np.float32)
    return np.clip(0.45 * base + 0.55 * heat, 0, 255).astype(np.uint8)


def outlined(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draws the mask's border in white with a dark rim, visible on any image."""
    from PIL import Image, ImageFilter

    if not mask.any():
        return pixels
    size = (pixels.shape[1], pixels.shape[0])
    inside = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)
    frame = Image.new("L", (size[0] + 2, size[1] + 2))  # a border of background: a box at the edge is closed too
    frame.paste(inside, (1, 1))

    def filtered(kind: type, radius_px: int) -> np.ndarray:
        return np.asarray(frame.filter(kind(2 * radius_px + 1)))[1:-1, 1:-1] > 0

    around, core = filtered(ImageFilter.MaxFilter, _RIM_PX), filtered(ImageFilter.MinFilter, _OUTLINE_PX)
    drawn = pixels.copy()
    drawn[around & ~core] = (20, 20, 20)
    drawn[(np.asarray(inside) > 0) & ~core] = (255, 255, 255)
    return drawn
