"""Contrastive loss over all pairs of a batch: the Siamese baseline of metric learning."""

import tensorflow as tf

from care_tf.keras_generation import register
from care_tf.losses._pairwise import embedding_vectors, mean_where, pair_distances, pair_masks
from care_tf.losses.arguments import checked_flag, checked_number
from care_tf.losses.embedding import EmbeddingLoss, named


def contrastive_loss(
    labels: tf.Tensor, embeddings: tf.Tensor, margin: float = 1.0, normalize: bool = True, balance_pairs: bool = False
) -> tf.Tensor:
    """Pairs of one class are pulled together, pairs of two classes pushed apart up to a margin.

        L = mean over pairs i < j of   d_ij^2                  same class
                                       max(margin - d_ij, 0)^2  different classes

    With `balance_pairs`, L = (mean over the pairs of one class + mean over the pairs of two classes) / 2: with many
    classes most pairs are of two classes.

    Args:
      labels: int (B,), any integers; also (B, 1) or one-hot (B, C), where a row of zeros is in no pair.
      embeddings: float (B, d).
      margin: Distance from which a pair of two classes costs nothing, > 0. Unit vectors are at most 2 apart, those of
        non-negative activations at most sqrt(2).
      normalize: Whether embeddings are scaled to length 1 first.
      balance_pairs: Whether both kinds of pairs weigh the same.

    Returns:
      float32 scalar >= 0 (float64 of float64); 0 with gradient 0 for a batch without pairs.

    Raises:
      InputError: Labels or embeddings have another shape.

    Example:
      >>> import tensorflow as tf
      >>> float(contrastive_loss([0, 0, 1], tf.constant([[0.0], [2.0], [2.5]]), normalize=False))
      1.4166666269302368

    Source: Hadsell, Chopra and LeCun, CVPR 2006, Eq. 4, without its factor 1/2.
    """
    vectors = embedding_vectors(embeddings, normalize)
    positive, negative = pair_masks(labels)
    distances = pair_distances(vectors, vectors)
    # d^2 from the distance itself would have a kink where pairs coincide.
    pull = pair_distances(vectors, vectors, squared=True)
    push = tf.maximum(margin - distances, 0.0) ** 2
    if balance_pairs:  # every pair is in the matrix twice, which changes no mean
        return (mean_where(positive, pull) + mean_where(negative, push)) / 2.0
    return mean_where(positive | negative, tf.where(positive, pull, push))


@named("contrastive")
@register
class ContrastiveLoss(EmbeddingLoss):
    """`contrastive_loss` as a Keras loss of (labels, embeddings).

    Args:
      margin, normalize, balance_pairs: As for `contrastive_loss`.
      name: Name of the loss.

    Raises:
      InputError: An argument is outside its range, or the loss is called with sample weights.
    """

    def __init__(
        self, margin: float = 1.0, normalize: bool = True, balance_pairs: bool = False, name: str = "contrastive_loss"
    ):
        super().__init__(name)
        self.margin = checked_number("margin", margin, is_open=True)
        self.normalize = checked_flag("normalize", normalize)
        self.balance_pairs = checked_flag("balance_pairs", balance_pairs)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The batch's loss."""
        return contrastive_loss(y_true, y_pred, self.margin, self.normalize, self.balance_pairs)
