"""What a batch may look like, and the class whose attention its masks supervise."""

import dataclasses
from typing import Any

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.masks import squeeze_mask

KEYS = ("image", "activation", "mask", "mask_class")


@dataclasses.dataclass(frozen=True)
class ImageBatch:
    """The parts of a batch's x.

    Attributes:
      image: (B, H, W, C), as the classifier takes it; or the activations that stand in for images.
      mask: float32 (B, H, W), 1 inside the boxes; None when the batch has no "mask".
      mask_class: int (B,), the class whose attention each mask supervises, -1 for none; None: the image's own class.
    """

    image: Any
    mask: Any = None
    mask_class: Any = None


def split_inputs(inputs: Any) -> ImageBatch:
    """Accepts a bare image batch or {"image": ..., "mask": ..., "mask_class": ...} and checks the shapes.

    Args:
      inputs: A tensor (B, H, W, C), or a dict with "image" and optionally "mask" and "mask_class". "activation" in the
        place of "image" holds what a frozen lower part gives, (B, h, w, d); masks then keep the images' size.

    Returns:
      The parts.

    Raises:
      InputError: "image" is missing, a key is unknown, or the mask's shape does not fit the image's.
    """
    if not isinstance(inputs, dict):
        return ImageBatch(inputs)
    unknown = sorted(set(inputs) - set(KEYS))
    if ("image" in inputs) == ("activation" in inputs) or unknown:
        raise InputError(
            'x must be an image batch or a dict with the key "image" and optionally ("mask", "mask_class"); '
            '"activation" may stand in for "image". '
            f"Received the keys {sorted(inputs)}. Rename the keys in the dataset."
        )
    mask = inputs.get("mask")
    if mask is not None:
        mask = squeeze_mask(mask)
        if "image" in inputs:
            _check_size(mask, inputs["image"])
    image = inputs["image"] if "image" in inputs else inputs["activation"]
    return ImageBatch(image, mask, inputs.get("mask_class"))


def _check_size(mask: tf.Tensor, image: Any) -> None:
    sizes = zip(mask.shape[1:3], image.shape[1:3], strict=True)
    if any(a is not None and b is not None and a != b for a, b in sizes):
        raise InputError(
            "A mask must have its image's height and width, because both go through the same resizing and "
            f"augmentation. Received masks of {tuple(mask.shape[1:3])} for images of {tuple(image.shape[1:3])}. "
            "Resize the masks with the images."
        )


def class_index(labels: Any, num_outputs: int) -> tf.Tensor:
    """The class of each image: the label itself, or the largest entry of a one-hot, soft or multi-hot label.

    Args:
      labels: Integers (B,) or (B, 1), or one row of class values per image, (B, num_outputs).
      num_outputs: Length of the classifier's output; 1 means binary, labels in {0, 1}.

    Returns:
      int32 (B,); -1 where a row is all zeros.

    Raises:
      InputError: The labels are missing, a dict, or of another shape.
    """
    if labels is None or isinstance(labels, dict | list | tuple):
        raise InputError(
            "The attention loss needs one class per image: y must be one tensor of integers (batch,) or class values "
            f"(batch, {num_outputs}). Received {type(labels).__name__}. Masks belong into x, beside the image, not "
            "into y."
        )
    labels = tf.convert_to_tensor(labels)
    rank, last = labels.shape.rank, labels.shape[-1] if labels.shape.rank else None
    if rank == 1 or (rank == 2 and last == 1):
        return tf.cast(
            tf.round(tf.reshape(labels, (-1,))) if labels.dtype.is_floating else tf.reshape(labels, (-1,)), tf.int32
        )
    if rank == 2 and last == num_outputs:
        index = tf.argmax(labels, axis=-1, output_type=tf.int32)
        return tf.where(tf.reduce_max(labels, axis=-1) > 0, index, -1)  # a row of zeros names no class
    raise InputError(
        f"y must be integers of shape (batch,) or class values of shape (batch, {num_outputs}), as many as the "
        f"classifier has outputs. Received shape {labels.shape}."
    )
