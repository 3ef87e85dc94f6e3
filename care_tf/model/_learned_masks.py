"""What a mask head learns from in a batch, and the masks that it gives."""

from typing import NamedTuple

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.losses import AttentionLoss, dice_loss
from care_tf.masks import resize_map
from care_tf.model._mask_head import (
    MaskHead,
    dice_coefficient,
    mask_of_region,
    predicted_region,
    with_gradient_share,
)
from care_tf.model._on_replicas import call_on_replica


class MaskTerms(NamedTuple):
    """What the head's loss and its logs are made of, for the images of a batch.

    Attributes:
      loss: (B,), the Dice loss of each image; 0 without a mask of its own.
      has_mask: bool (B,), whether it has one that counts.
      dice: (B,), the overlap of the predicted region with it.
      is_wanted: bool (B,), whether it is of a class that gets masks, and has none.
      is_learned: bool (B,), whether it got one.
    """

    loss: tf.Tensor
    has_mask: tf.Tensor
    dice: tf.Tensor
    is_wanted: tf.Tensor
    is_learned: tf.Tensor


def mask_terms(
    head: MaskHead, features: tf.Tensor, mask: tf.Tensor, has_mask: tf.Tensor, index: tf.Tensor, training: bool
) -> tuple[MaskTerms, tf.Tensor]:
    """One prediction of the head, as what it is trained on and as masks.

    Args:
      head: Built for the features.
      features: (B, h, w, d), of the pass that is trained.
      mask: float32 (B, H, W), the images' own masks; zeros where there is none.
      has_mask: bool (B,), whether an own mask counts.
      index: int32 (B,), the class of each image that may get a mask; -1 for none.
      training: False gives no masks.

    Returns:
      The terms, and the learned masks, float32 (B, H, W) of 0 and 1 without gradient: all zeros but where `is_learned`.
    """
    size = tuple(mask.shape[axis] or tf.shape(mask)[axis] for axis in (1, 2))
    shared = with_gradient_share(features, head.backbone_weight)
    probabilities = resize_map(call_on_replica(head, head, shared), size)
    losses = dice_loss(mask, probabilities)
    region = predicted_region(probabilities)
    is_wanted = tf.reduce_any(index[:, tf.newaxis] == tf.constant(list(head.classes)), axis=1) & training
    learned = mask_of_region(region) * tf.cast(is_wanted & head.is_ready, tf.float32)[:, tf.newaxis, tf.newaxis]
    is_learned = tf.reduce_any(learned > 0, axis=(1, 2))
    loss = tf.where(has_mask, losses, tf.zeros_like(losses))
    return MaskTerms(loss, has_mask, dice_coefficient(mask, region), is_wanted, is_learned), learned


def mean_mask_loss(terms: MaskTerms) -> tf.Tensor:
    """L_m: the mean loss of the images with a mask of their own; 0 without any."""
    count = tf.reduce_sum(tf.cast(terms.has_mask, terms.loss.dtype))
    return tf.math.divide_no_nan(tf.reduce_sum(terms.loss), count)


def check_mask_head(head: MaskHead | None, loss: object) -> MaskHead | None:
    """The head.

    Raises:
      InputError: It is none, or the attention loss cannot take its masks.
    """
    if head is None:
        return None
    if not isinstance(head, MaskHead):
        raise InputError(
            f"mask_head must be a MaskHead, or None. Received {type(head).__name__}. Make one with "
            "care_tf.model.MaskHead(classes=[...])."
        )
    if not isinstance(loss, AttentionLoss):  # which passes the masked images before their features are known
        raise InputError(
            "mask_head gives masks to losses of attention maps. Received one beside "
            f"{type(loss).__name__}. Choose an AttentionLoss (in configurations the form care, outside, energy or l1), "
            "or leave mask_head out."
        )
    return head


def check_head_classes(head: MaskHead, num_classes: int) -> None:
    """Raises an InputError where a class of the head is none of the network's."""
    unknown = [label for label in head.classes if label >= num_classes]
    if unknown:
        raise InputError(
            f"The classes of mask_head must be labels of the network, 0 to {num_classes - 1}. Received "
            f"{', '.join(map(str, unknown))}. Give positions in the list of classes, from 0 on."
        )


def check_has_masks(head: MaskHead | None, training: bool) -> None:
    """Raises an InputError for a training batch without masks where there is a head, which learns from them."""
    if head is not None and training:
        raise InputError(
            "mask_head learns from masks: x of every training batch must be a dict with a mask. Received a batch "
            'without one. Give {"image": ..., "mask": ...}, with masks of zeros for images that have none.'
        )
