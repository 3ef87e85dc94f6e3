"""The report's example images: the box, and the attention map before and after stage 2."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from care_tf.errors import InputError
from care_tf.evaluation.map_overlay import full_size, outlined, overlaid, resized, share_inside
from care_tf.evaluation.pictures import Picture, jpeg_picture, percent


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
        full = full_size(attention, mask.shape, name)
        inside = percent(share_inside(full, mask), 0) if mask.any() else None
        alt = f"{name}: attention map {time} stage 2" + (f", {inside} inside the box" if inside else "")
        return View(jpeg_picture(outlined(overlaid(image, full), mask), alt), predicted, inside)

    alt = f"{name}: image of class {label}" + (" with its box outlined" if mask.any() else "")
    return ExampleCard(name, label, jpeg_picture(outlined(resized(image), mask), alt), view("before"), view("after"))


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
