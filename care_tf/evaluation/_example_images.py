"""The report's example images: the box with the attention before and after stage 2, or the attention to two classes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from care_tf.errors import InputError
from care_tf.evaluation.map_overlay import full_size, outlined, overlaid, resized, share_inside
from care_tf.evaluation.pictures import Picture, jpeg_picture, percent

_GALLERY_SIDE_PX, _GALLERY_QUALITY = 256, 80  # a gallery of a hundred pictures in a megabyte or two


class View(NamedTuple):
    """What a network makes of an example: its attention map, (class name, whether it is right), the share inside."""

    caption: str
    picture: Picture | None
    predicted: tuple[str, bool] | None
    inside: str | None


class ExampleCard(NamedTuple):
    """One example as the page shows it: the image and what networks make of it; `note` stands below the image."""

    name: str
    label: str
    image: Picture
    has_box: bool
    views: tuple[View, ...]
    note: str = ""


def example_card(example: Mapping[str, Any]) -> ExampleCard:
    """Turns one example into pictures: before and after stage 2; without a box, the true and the predicted class.

    Args:
      example: "name", "label"; "image" (H, W, 3) uint8; "mask" (H, W) non-zero inside the boxes, or "boxes", a list
        of (x0, y0, x1, y1) in the image's pixels (neither: no box); "attention_before" and "attention_after" (h, w)
        in [0, 1] at any resolution, "attention_predicted", likewise, to the class predicted after stage 2, and
        "predicted_before" and "predicted_after" class names; "inside_before", "inside_after" and "inside_predicted",
        the maps' shares inside the box where the image is not all that the network sees: each may be missing.

    Raises:
      InputError: Missing keys, or arrays of another shape.
    """
    drawing = _Drawing(example)
    predicted = example.get("predicted_after")
    if not drawing.has_box and example.get("attention_predicted") is not None:
        views = [
            drawing.view("for the true class", "after", None),
            drawing.view("for the predicted class", "predicted", predicted),
        ]
    else:
        views = [
            drawing.view("before stage 2", "before", example.get("predicted_before")),
            drawing.view("after stage 2", "after", predicted),
        ]
    return drawing.card(views)


def gallery_card(example: Mapping[str, Any]) -> ExampleCard:
    """Turns one example into pictures: the map of the true class and, where it is another, of the predicted class.

    Args:
      example: As of `example_card`; "probability_true" and "probability_predicted", and "note", which may be missing.

    Raises:
      InputError: As `example_card`.
    """
    drawing = _Drawing(example, _GALLERY_SIDE_PX, _GALLERY_QUALITY)
    label, predicted = drawing.label, str(example["predicted_after"])
    true, called = (percent(float(example[f"probability_{which}"]), 0) for which in ("true", "predicted"))
    if predicted == label:
        views = [drawing.view(called, "after", predicted)]
    else:
        views = [
            drawing.view(f"for {label}, {true}", "after", None),
            drawing.view(called, "predicted", predicted),
        ]
    return drawing.card(views)._replace(note=str(example.get("note", "")))


class _Drawing:
    """An example's image with its box, and maps over it."""

    def __init__(self, example: Mapping[str, Any], side_px: int = 320, quality: int = 88):
        missing = {"name", "label", "image"} - set(example)
        if missing:
            raise InputError(f"An example needs name, label and image. Received: one without {sorted(missing)}.")
        self._example, self._side_px, self._quality = example, side_px, quality
        self._image = np.asarray(example["image"])
        self.name, self.label = str(example["name"]), str(example["label"])
        if self._image.ndim != 3 or self._image.shape[-1] != 3 or self._image.dtype != np.uint8:
            raise InputError(
                "An example's image must be (H, W, 3) uint8. "
                f"Received: {self._image.shape} {self._image.dtype} in {self.name}."
            )
        self._mask = _mask(example, self._image.shape[:2])
        self.has_box = bool(self._mask.any())

    def view(self, caption: str, which: str, predicted_class: Any) -> View:
        """The map "attention_<which>"."""
        predicted = None if predicted_class is None else (str(predicted_class), str(predicted_class) == self.label)
        attention = self._example.get(f"attention_{which}")
        if attention is None:
            return View(caption, None, predicted, None)
        full = full_size(attention, self._mask.shape, self.name)
        share = self._example.get(f"inside_{which}")
        share = share_inside(full, self._mask) if share is None else float(share)
        inside = percent(share, 0) if self.has_box else None
        alt = f"{self.name}: attention map {caption}" + (f", {inside} inside the box" if inside else "")
        return View(caption, self._picture(overlaid(self._image, full, self._side_px), alt), predicted, inside)

    def card(self, views: Sequence[View]) -> ExampleCard:
        """The image and the views."""
        alt = f"{self.name}: image of class {self.label}" + (" with its box outlined" if self.has_box else "")
        image = self._picture(resized(self._image, self._side_px), alt)
        return ExampleCard(self.name, self.label, image, self.has_box, tuple(views))

    def _picture(self, pixels: np.ndarray, alt: str) -> Picture:
        return jpeg_picture(outlined(pixels, self._mask), alt, self._quality)


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
