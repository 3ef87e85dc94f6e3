"""Supervised contrastive loss: every anchor recognizes all examples of its class among the rest of the batch."""

import tensorflow as tf

from care_tf.keras_generation import register
from care_tf.losses._pairwise import (
    are_anchors,
    embedding_vectors,
    inner_products,
    masked_log_sum_exp,
    mean_where,
    pair_masks,
)
from care_tf.losses.arguments import checked_number
from care_tf.losses.embedding import EmbeddingLoss, named


def supervised_contrastive_loss(labels: tf.Tensor, embeddings: tf.Tensor, temperature: float = 0.1) -> tf.Tensor:
    """Mean negative log softmax of an anchor's positives, on unit vectors z.

        L = mean over i of - mean over positives p of log( exp(z_i . z_p / temperature) /
                                                           sum over a != i of exp(z_i . z_a / temperature) )

    Args:
      labels: int (B,), any integers; also (B, 1) or one-hot (B, C), where a row of zeros is in no pair.
      embeddings: float (B, d), scaled to length 1 here.
      temperature: > 0; the smaller, the more the nearest negatives count.

    Returns:
      float32 scalar >= 0 (float64 of float64); 0 with gradient 0 for a batch of one class or of single examples.
      Anchors without a positive or without a negative are left out. An anchor with n positives costs at least log n.

    Raises:
      InputError: Labels or embeddings have another shape.

    Example:
      >>> import tensorflow as tf
      >>> float(supervised_contrastive_loss([0, 0, 1], tf.ones((3, 2))))  # log 2: both others are as close
      0.6931471824645996

    Source: Khosla et al., NeurIPS 2020, Eq. 2 (L_out), without their code's factor temperature / base temperature. A
      batch of one class has a loss there; here nothing is learned from it.
    """
    vectors = embedding_vectors(embeddings, normalize=True)
    positive, negative = pair_masks(labels)
    logits = inner_products(vectors, vectors) / temperature
    log_share = logits - masked_log_sum_exp(logits, positive | negative)[:, tf.newaxis]
    is_valid = are_anchors(positive, negative)
    return tf.cast(mean_where(is_valid, mean_where(positive, -log_share, axis=1)), vectors.dtype)


@named("supervised_contrastive")
@register
class SupervisedContrastiveLoss(EmbeddingLoss):
    """`supervised_contrastive_loss` as a Keras loss of (labels, embeddings).

    Args:
      temperature: As for `supervised_contrastive_loss`.
      name: Name of the loss.

    Raises:
      InputError: An argument is outside its range, or the loss is called with sample weights.
    """

    def __init__(self, temperature: float = 0.1, name: str = "supervised_contrastive_loss"):
        super().__init__(name)
        self.temperature = checked_number("temperature", temperature, is_open=True)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The batch's loss."""
        return supervised_contrastive_loss(y_true, y_pred, self.temperature)
