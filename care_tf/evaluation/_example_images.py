"""The report's example images: the box, and the attention map before and after stage 2."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from care_tf.errors import InputError
from care_tf.evaluation.pictures import Picture, jpeg_picture, percent

_WIDTH_PX = 320
_OUTLINE_PX = 4
_RIM_PX = 2


class View(NamedTuple):
    """What a network makes of an example: its attention map, (class name, whether it is right), the share inside."""

    picture: Picture | None
    predicted: tuple[str, bool] | None
    inside: str | None


class ExampleCard(NamedTuple):
    """One example as the page shows it, before and after stage 2."""

    name: str
    label: str
    image: Picture
    before: View
    after: View


def example_card(example: Mapping[str, Any]) -> ExampleCard:
    """Turns one example into pictures.

    Args:
      example: "name", "label"; "image" (H, W, 3) uint8; "mask" (H, W) non-zero inside the boxes, or "boxes", a list
        of (x0, y0, x1, y1) in the image's pixels (neither: no box); "attention_before" and "attention_after" (h, w)
        in [0, 1] at any resolution, and "predicted_before" and "predicted_after" class names: each may be missing.

    Raises:
      InputError: Missing keys, or arrays of another shape.
    """
    missing = {"name", "label", "image"} - set(example)
    if missing:
        raise InputError(f"An example needs name, label and image. Received: one without {sorted(missing)}.")
    image = np.asarray(example["image"])
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        raise InputError(
            f"An example's image must be (H, W, 3) uint8. Received: {image.shape} {image.dtype} in {example['name']}."
        )
    mask = _mask(example, image.shape[:2])
    name, label = str(example["name"]), str(example["label"])

    def view(time: str) -> View:
        attention, found = example.get(f"attention_{time}"), example.get(f"predicted_{time}")
        predicted = None if found is None else (str(found), str(found) == label)
        if attention is None:
            return View(None, predicted, None)
        full = _full_size(attention, mask.shape, name)
        inside = percent(_share(full, mask), 0) if mask.any() else None
        alt = f"{name}: attention map {time} stage 2" + (f", {inside} inside the box" if inside else "")
        return View(jpeg_picture(_outlined(_overlaid(image, full), mask), alt), predicted, inside)

    alt = f"{name}: image of class {label}" + (" with its box outlined" if mask.any() else "")
    return ExampleCard(name, label, jpeg_picture(_outlined(_resized(image), mask), alt), view("before"), view("after"))


def _mask(example: Mapping[str, Any], size: Sequence[int]) -> np.ndarray:
    mask = np.zeros(size, bool)
    if example.get("mask") is not None:
        mask = np.asarray(example["mask"]) > 0
        mask = mask[..., 0] if mask.ndim == 3 else mask
        if mask.shape != tuple(size):
            raise InputError(
                f"An example's mask must have its image's size {tuple(size)}. "
                f"Received: {mask.shape} in {example['name']}."
            )
    for x0, y0, x1, y1 in () if example.get("boxes") is None else example["boxes"]:
        mask[round(y0) : round(y1), round(x0) : round(x1)] = True
    return mask


def _resized(image: np.ndarray) -> np.ndarray:
    from PIL import Image

    height = max(1, round(image.shape[0] * _WIDTH_PX / image.shape[1]))
    return np.asarray(Image.fromarray(image).resize((_WIDTH_PX, height), Image.Resampling.BICUBIC))


def _full_size(attention: Any, size: tuple[int, ...], name: str) -> np.ndarray:
    from PIL import Image

    attention = np.asarray(attention, np.float32)
    if attention.ndim != 2:
        raise InputError(f"An example's attention map must be (h, w). Received: {attention.shape} in {name}.")
    resized = Image.fromarray(attention).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.clip(np.asarray(resized), 0.0, 1.0)


def _share(attention: np.ndarray, mask: np.ndarray) -> float | None:
    energy = float(attention.sum())
    return float(attention[mask].sum()) / energy if energy > 0 else None


def _overlaid(image: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """The gray image under the map's colors, so that the lesion's own colors are not read as attention."""
    from matplotlib import colormaps
    from PIL import Image

    base = np.asarray(Image.fromarray(_resized(image)).convert("L"), np.float32)[..., np.newaxis]
    heat = _resized((colormaps["viridis"](attention)[..., :3] * 255).astype(np.uint8)).astype(np.float32)
    return np.clip(0.45 * base + 0.55 * heat, 0, 255).astype(np.uint8)


def _outlined(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draws the mask's border in white with a dark rim, visible on any image."""
    from PIL import Image, ImageFilter

    if not mask.any():
        return pixels
    size = (pixels.shape[1], pixels.shape[0])
    inside = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)
    frame = Image.new("L", (size[0] + 2, size[1] + 2))  # a border of background: a box at the edge is closed too
    frame.paste(inside, (1, 1))

    def ring(outside_px: int) -> np.ndarray:
        grown = np.asarray(frame.filter(ImageFilter.MaxFilter(2 * outside_px + 1)))
        shrunk = np.asarray(frame.filter(ImageFilter.MinFilter(2 * _OUTLINE_PX + 1)))
        return ((grown > 0) & (shrunk == 0))[1:-1, 1:-1]

    drawn = pixels.copy()
    drawn[ring(_RIM_PX)] = (20, 20, 20)
    drawn[ring(0)] = (255, 255, 255)
    return drawn
