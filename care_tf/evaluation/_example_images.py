"""The report's example images: the box with the attention before and after stage 2, or the attention to two classes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from care_tf.errors import InputError
from care_tf.evaluation.map_overlay import full_size, outlined, overlaid, resized, share_inside
from care_tf.evaluation.pictures import Picture, jpeg_picture, percent


class View(NamedTuple):
    """What a network makes of an example: its attention map, (class name, whether it is right), the share inside."""

    caption: str
    picture: Picture | None
    predicted: tuple[str, bool] | None
    inside: str | None


class ExampleCard(NamedTuple):
    """One example as the page shows it.

    The views are those before and after stage 2; without a box, those of the true and of the predicted class.
    """

    name: str
    label: str
    image: Picture
    has_box: bool
    views: tuple[View, View]


def example_card(example: Mapping[str, Any]) -> ExampleCard:
    """Turns one example into pictures.

    Args:
      example: "name", "label"; "image" (H, W, 3) uint8; "mask" (H, W) non-zero inside the boxes, or "boxes", a list
        of (x0, y0, x1, y1) in the image's pixels (neither: no box); "attention_before" and "attention_after" (h, w)
        in [0, 1] at any resolution, "attention_predicted", likewise, to the class predicted after stage 2, and
        "predicted_before" and "predicted_after" class names: each may be missing.

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

    has_box = bool(mask.any())

    def view(caption: str, attention: Any, predicted_class: Any) -> View:
        predicted = None if predicted_class is None else (str(predicted_class), str(predicted_class) == label)
        if attention is None:
            return View(caption, None, predicted, None)
        full = full_size(attention, mask.shape, name)
        inside = percent(share_inside(full, mask), 0) if has_box else None
        alt = f"{name}: attention map {caption}" + (f", {inside} inside the box" if inside else "")
        return View(caption, jpeg_picture(outlined(overlaid(image, full), mask), alt), predicted, inside)

    predicted_after = example.get("predicted_after")
    if not has_box and example.get("attention_predicted") is not None:
        views = (
            view("for the true class", example.get("attention_after"), None),
            view("for the predicted class", example["attention_predicted"], predicted_after),
        )
    else:
        views = (
            view("before stage 2", example.get("attention_before"), example.get("predicted_before")),
            view("after stage 2", example.get("attention_after"), predicted_after),
        )
    alt = f"{name}: image of class {label}" + (" with its box outlined" if has_box else "")
    return ExampleCard(name, label, jpeg_picture(outlined(resized(image), mask), alt), has_box, views)


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
