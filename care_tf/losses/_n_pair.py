"""N-pair loss: every anchor tells its positive from all negatives at once."""

import tensorflow as tf

from care_tf.keras_generation import register
from care_tf.losses._pairwise import (
    are_anchors,
    embedding_vectors,
    inner_products,
    masked_log_sum_exp,
    mean_where,
    pair_masks,
    squared_lengths,
)
from care_tf.losses.arguments import checked_number
from care_tf.losses.embedding import EmbeddingLoss, named


def n_pair_loss(labels: tf.Tensor, embeddings: tf.Tensor, l2_regularization: float = 0.0) -> tf.Tensor:
    """Softmax cross entropy of one positive against all negatives, on inner products of unscaled embeddings.

        L = mean over i of mean over positives p of log(1 + sum over negatives n of exp(x_i . x_n - x_i . x_p))
            + l2_regularization * mean over i of |x_i|^2

    Args:
      labels: int (B,), any integers; also (B, 1) or one-hot (B, C), where a row of zeros is in no pair.
      embeddings: float (B, d), not normalized: their length is the loss's temperature.
      l2_regularization: Weight of the squared lengths, >= 0.

    Returns:
      float32 scalar >= 0 (float64 of float64); 0 with gradient 0, the regularization included, for a batch of one
      class or of single examples. Anchors i without a positive or without a negative are left out.

    Raises:
      InputError: Labels or embeddings have another shape.

    Example:
      >>> import tensorflow as tf
      >>> float(n_pair_loss([0, 0, 1], tf.zeros((3, 2))))  # log 2: one positive, one negative
      0.6931471824645996

    Source: Sohn, NIPS 2016, Eq. 6, whose batches are one anchor and one positive of each class, the other classes'
      positives being the negatives; `n_pair_terms` on those gives its value. Here every example is an anchor, with
      each of its positives and against every example of another class, so that any batch can be used.
    """
    vectors = embedding_vectors(embeddings)
    positive, negative = pair_masks(labels)
    terms, is_valid = n_pair_terms(inner_products(vectors, vectors), positive, negative)
    return tf.cast(mean_where(is_valid, terms + l2_regularization * squared_lengths(vectors)), vectors.dtype)


def n_pair_terms(similarity: tf.Tensor, positive: tf.Tensor, negative: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Every anchor's N-pair loss against given positives and negatives.

    Args:
      similarity: float (n, m), of n anchors to m examples.
      positive, negative: bool (n, m), which examples are of the anchor's class, and which are not.

    Returns:
      (terms, is_valid): float (n,), 0 for an anchor without a positive or without a negative; bool (n,), the others.
    """
    is_valid = are_anchors(positive, negative)
    of_negatives = masked_log_sum_exp(similarity, negative)[:, tf.newaxis]
    terms = mean_where(positive & is_valid[:, tf.newaxis], tf.nn.softplus(of_negatives - similarity), axis=1)
    return terms, is_valid


@named("n_pair")
@register
class NPairLoss(EmbeddingLoss):
    """`n_pair_loss` as a Keras loss of (labels, embeddings).

    Args:
      l2_regularization: As for `n_pair_loss`.
      name: Name of the loss.

    Raises:
      InputError: An argument is outside its range, or the loss is called with sample weights.
    """

    def __init__(self, l2_regularization: float = 0.0, name: str = "n_pair_loss"):
        super().__init__(name)
        self.l2_regularization = checked_number("l2_regularization", l2_regularization)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The batch's loss."""
        return n_pair_loss(y_true, y_pred, self.l2_regularization)
