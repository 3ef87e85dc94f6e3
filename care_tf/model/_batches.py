"""What a batch may look like, and the class whose attention its masks supervise."""

import dataclasses
from collections.abc import Collection
from typing import Any

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.labels import class_index
from care_tf.masks import squeeze_mask
from care_tf.network.inputs import KEYS, check_keys


@dataclasses.dataclass(frozen=True)
class ImageBatch:
    """The parts of a batch's x.

    Attributes:
      inputs: What goes into the classifier: its image (B, H, W, C), or the activations that stand in for it; or a dict
        of "image" and further inputs.
      mask: float32 (B, H, W), 1 inside the boxes; None when the batch has no "mask".
      mask_class: int (B,), the class whose attention each mask supervises, -1 for none; None: the image's own class.
      is_activation: Whether activations stand in for the image.
    """

    inputs: Any
    mask: Any = None
    mask_class: Any = None
    is_activation: bool = False


def split_inputs(inputs: Any, further: Collection[str] = ()) -> ImageBatch:
    """The parts of a bare image batch (B, H, W, C), or of a dict with "image" and optionally "mask" and "mask_class".

    All other keys are the classifier's further inputs.

    "activation" in place of "image" holds what a frozen lower part gives, (B, h, w, d); masks keep the images' size.

    Raises:
      InputError: "image" or a further input is missing, a key is unknown, or the mask's shape does not fit the image's.
    """
    if isinstance(inputs, list | tuple):
        named = "".join(f'"{name}": ..., ' for name in further)
        raise InputError(
            'The input x must be an image batch or a dict with the key "image" and optionally ("mask", "mask_class"). '
            f'Received {len(inputs)} tensors. Give images and masks as {{"image": images, {named}"mask": masks}}.'
        )
    if not isinstance(inputs, dict):
        return ImageBatch(inputs)
    check_keys(inputs, further)
    mask = inputs.get("mask")
    if mask is not None:
        mask = squeeze_mask(mask)
        if "image" in inputs:
            _check_size(mask, inputs["image"])
    image = inputs["image"] if "image" in inputs else inputs["activation"]
    others = {key: value for key, value in inputs.items() if key not in KEYS}
    given = {"image": image, **others} if others else image
    return ImageBatch(given, mask, inputs.get("mask_class"), is_activation="image" not in inputs)


def _check_size(mask: tf.Tensor, image: Any) -> None:
    sizes = zip(mask.shape[1:3], image.shape[1:3], strict=True)
    if any(a is not None and b is not None and a != b for a, b in sizes):
        raise InputError(
            "A mask must have its image's height and width, because both go through the same resizing and "
            f"augmentation. Received masks of {tuple(mask.shape[1:3])} for images of {tuple(image.shape[1:3])}. "
            "Resize the masks with the images."
        )


def check_labels(labels: Any) -> None:
    """Raises an InputError unless y is one tensor: it may not be missing, a dict, or a list of tensors."""
    if labels is None or isinstance(labels, dict | list | tuple):
        raise InputError(
            "The attention loss needs one class per image: y must be one tensor of integers (batch,) or class values "
            f"(batch, classes). Received {type(labels).__name__}. Masks belong in x, beside the image, not in y."
        )


def true_class(labels: Any, num_outputs: int) -> tf.Tensor:
    """The class of each image, int32 (B,), -1 for none: `care_tf.labels.class_index` of a batch's y.

    Raises:
      InputError: y is not one tensor, has another shape, or holds a fraction (in eager mode).
    """
    check_labels(labels)
    return tf.cast(class_index(labels, num_outputs), tf.int32)
