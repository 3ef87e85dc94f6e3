"""Triplet loss: an anchor closer to its own class than to any other, by a margin, on triplets mined in the batch."""

import tensorflow as tf

from care_tf.keras_generation import register
from care_tf.losses._pairwise import (
    DISTANCES,
    are_anchors,
    embedding_vectors,
    mean_over_anchors,
    nan_where_nan,
    pair_distances,
    pair_masks,
)
from care_tf.losses.arguments import checked_choice, checked_flag, checked_number
from care_tf.losses.embedding import EmbeddingLoss, named

_INFINITY = float("inf")


def triplet_loss(
    labels: tf.Tensor,
    embeddings: tf.Tensor,
    margin: float = 0.2,
    mining: str = "batch_hard",
    distance: str = "euclidean",
    class_balanced: bool = False,
    normalize: bool = True,
) -> tf.Tensor:
    """Mean of max(margin + d(anchor, positive) - d(anchor, negative), 0) over triplets.

    | mining       | triplets                                                                   | mean over          |
    |--------------|----------------------------------------------------------------------------|--------------------|
    | "batch_hard" | for every anchor its farthest positive and its nearest negative            | anchors            |
    | "semi_hard"  | for every (anchor, positive) the nearest negative farther than the         | (anchor, positive) |
    |              | positive; where there is none, the farthest negative                       |                    |
    | "batch_all"  | all                                                                        | triplets with loss |

    With `class_balanced` the mean is taken within each class of anchors first, then over the classes: a batch's
    large classes have most anchors, and their pairs grow with the square of their number.

    Args:
      labels: int (B,), any integers; also (B, 1) or one-hot (B, C), where a row of zeros is in no pair.
      embeddings: float (B, d).
      margin: In units of the distance, > 0.
      mining: Which triplets; "semi_hard" and "batch_all" hold B^3 numbers.
      distance: "euclidean", or "squared_euclidean".
      class_balanced: Whether every class of anchors weighs the same.
      normalize: Whether embeddings are scaled to length 1 first.

    Returns:
      float32 scalar >= 0 (float64 of float64); 0 with gradient 0 for a batch without a triplet. Anchors without a
      positive or without a negative are left out.

    Raises:
      InputError: `mining` or `distance` is unknown, or labels or embeddings have another shape.

    Example:
      >>> import tensorflow as tf
      >>> float(triplet_loss([0, 0, 1], tf.constant([[0.0], [1.0], [3.0]]), margin=1.5, normalize=False))
      0.25

    Source: "batch_hard" and "batch_all" (its mean over non-zero terms): Hermans, Beyer and Leibe, arXiv 1703.07737;
      "semi_hard": Schroff, Kalenichenko and Philbin, CVPR 2015, which mines on squared distances; the fallback to the
      farthest negative and the mean over all (anchor, positive) are TensorFlow Addons'. Addons' hard loss counts
      anchors without a positive as if they were their own; here they are left out. `class_balanced` is an extension.
    """
    checked_choice("distance", distance, DISTANCES)
    checked_choice("mining", mining, tuple(MINING))
    vectors = embedding_vectors(embeddings, normalize)
    positive, negative = pair_masks(labels)
    distances = pair_distances(vectors, vectors, squared=distance == "squared_euclidean")
    is_valid = are_anchors(positive, negative)
    total, count = MINING[mining](distances, positive & is_valid[:, tf.newaxis], negative, margin)
    loss = mean_over_anchors(total, count, is_valid, labels, class_balanced)
    return nan_where_nan(loss, vectors)


# Every rule returns (sum, number) of each anchor's terms, float (B,) both. `positive` holds no pair of an anchor that
# is without negatives. Where a minimum or maximum is over nothing it is infinite, and masked out before it counts.


def _batch_hard(distances, positive, negative, margin):
    farthest_positive = tf.reduce_max(tf.where(positive, distances, -_INFINITY), axis=1)
    nearest_negative = tf.reduce_min(tf.where(negative, distances, _INFINITY), axis=1)
    has_triplet = tf.reduce_any(positive, axis=1)
    difference = tf.where(has_triplet, farthest_positive - nearest_negative, 0.0)
    return _hinge(difference, margin, has_triplet), tf.cast(has_triplet, distances.dtype)


def _semi_hard(distances, positive, negative, margin):
    to_negative = distances[:, tf.newaxis, :]
    # (anchor, positive, negative)
    is_farther = negative[:, tf.newaxis, :] & (to_negative > distances[:, :, tf.newaxis])
    nearest_farther = tf.reduce_min(tf.where(is_farther, to_negative, _INFINITY), axis=2)
    farthest = tf.reduce_max(tf.where(negative, distances, -_INFINITY), axis=1, keepdims=True)
    chosen = tf.where(tf.reduce_any(is_farther, axis=2), nearest_farther, farthest)
    terms = _hinge(tf.where(positive, distances - chosen, 0.0), margin, positive)
    return tf.reduce_sum(terms, axis=1), tf.reduce_sum(tf.cast(positive, distances.dtype), axis=1)


def _batch_all(distances, positive, negative, margin):
    is_triplet = positive[:, :, tf.newaxis] & negative[:, tf.newaxis, :]
    terms = _hinge(distances[:, :, tf.newaxis] - distances[:, tf.newaxis, :], margin, is_triplet)
    return tf.reduce_sum(terms, axis=(1, 2)), tf.reduce_sum(tf.cast(terms > 0, distances.dtype), axis=(1, 2))


def _hinge(difference: tf.Tensor, margin: float, counts: tf.Tensor) -> tf.Tensor:
    """max(difference + margin, 0) where it counts, else 0."""
    return tf.where(counts, tf.maximum(difference + margin, 0.0), 0.0)


MINING = {"batch_hard": _batch_hard, "semi_hard": _semi_hard, "batch_all": _batch_all}


@named("triplet")
@register
class TripletLoss(EmbeddingLoss):
    """`triplet_loss` as a Keras loss of (labels, embeddings).

    Args:
      margin, mining, distance, class_balanced, normalize: As for `triplet_loss`.
      name: Name of the loss.

    Raises:
      InputError: An argument is outside its range, or the loss is called with sample weights.
    """

    def __init__(
        self,
        margin: float = 0.2,
        mining: str = "batch_hard",
        distance: str = "euclidean",
        class_balanced: bool = False,
        normalize: bool = True,
        name: str = "triplet_loss",
    ):
        super().__init__(name)
        self.margin = checked_number("margin", margin, is_open=True)
        self.mining = checked_choice("mining", mining, tuple(MINING))
        self.distance = checked_choice("distance", distance, DISTANCES)
        self.class_balanced = checked_flag("class_balanced", class_balanced)
        self.normalize = checked_flag("normalize", normalize)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The batch's loss."""
        return triplet_loss(
            y_true, y_pred, self.margin, self.mining, self.distance, self.class_balanced, self.normalize
        )
