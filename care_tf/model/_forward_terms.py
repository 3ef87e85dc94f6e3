"""What one forward pass gives: all that the losses and metrics of a step are made of."""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from care_tf.model._attention_watch import AttentionSums
from care_tf.model._learned_masks import MaskTerms


class AttentionTerms(NamedTuple):
    """What the attention loss is made of, for the images of a batch.

    Attributes:
      loss: (B,), L_a of each image.
      has_mask: bool (B,), whether it enters the loss.
      index: int32 (B,), the class of its mask.
    """

    loss: tf.Tensor
    has_mask: tf.Tensor
    index: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Terms:
    """What one forward pass gives; without masks, a mask head, or an embedding loss, None of theirs.

    Attributes:
      predictions: (B, classes).
      attention: What L_a is made of.
      share: (B,), share of each map's energy inside the image's own mask.
      is_measured: bool (B,), whether it has one that counts; a learned mask is no measure.
      sums: For the watch.
      embedding: (B, d), the input of the last Dense layer.
      masks: What the mask head's loss is made of.
    """

    predictions: tf.Tensor
    attention: AttentionTerms | None = None
    share: tf.Tensor | None = None
    is_measured: tf.Tensor | None = None
    sums: AttentionSums | None = None
    embedding: tf.Tensor | None = None
    masks: MaskTerms | None = None
