"""Triplet loss against class centers: one positive and one negative distance for each example."""

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
    row_distances,
)
from care_tf.losses.arguments import checked_choice, checked_flag, checked_number
from care_tf.losses.embedding import EmbeddingLoss, named


def class_center_triplet_loss(
    labels: tf.Tensor,
    embeddings: tf.Tensor,
    margin: float = 0.2,
    distance: str = "euclidean",
    class_balanced: bool = False,
    normalize: bool = True,
) -> tf.Tensor:
    """Every example closer to the center of its own class than to any other class's, by a margin.

        L = mean over i of max(margin + d(x_i, c_i) - min over classes k != y_i of d(x_i, c_k), 0)

    c_k is the mean of the batch's embeddings of class k; c_i that of the *other* examples of class y_i, because a
    center that holds x_i is close to it for that reason alone: of a class with two examples at half their distance.

    Args:
      labels: int (B,), any integers; also (B, 1) or one-hot (B, C), where a row of zeros is in no pair.
      embeddings: float (B, d).
      margin: In units of the distance, > 0.
      distance: "euclidean", or "squared_euclidean".
      class_balanced: Whether the mean is taken within each class first, then over the classes.
      normalize: Whether embeddings are scaled to length 1 first; their centers are shorter and stay so.

    Returns:
      float32 scalar >= 0 (float64 of float64); 0 with gradient 0 for a batch without two classes or without a second
      example of any class. The only example of its class is left out, but is a center for the others.

    Raises:
      InputError: `distance` is unknown, or labels or embeddings have another shape.

    Example:
      >>> import tensorflow as tf
      >>> x = tf.constant([[0.0], [1.0], [1.5]])
      >>> float(class_center_triplet_loss([0, 0, 1], x, margin=1.0, normalize=False))
      1.0

    Source: He et al., CVPR 2018 (triplet-center loss), whose centers are learned parameters and whose distance is half
      the squared one; batch means need no state and no learning rate, and gradients flow through them. Leaving the
      example itself out is ours.
    """
    checked_choice("distance", distance, DISTANCES)
    squared = distance == "squared_euclidean"
    vectors = embedding_vectors(embeddings, normalize)
    positive, negative = pair_masks(labels)
    is_valid = are_anchors(positive, negative)
    to_own = row_distances(vectors, _means(positive, vectors), squared)
    # Column j holds the center of example j's class: a class takes up as many columns as it has examples.
    own_class = positive | tf.eye(tf.shape(positive)[0], dtype=tf.bool)
    to_centers = pair_distances(vectors, _means(own_class, vectors), squared)
    nearest = tf.reduce_min(tf.where(negative, to_centers, float("inf")), axis=1)
    difference = tf.where(is_valid, to_own - nearest, 0.0)
    terms = tf.where(is_valid, tf.maximum(difference + margin, 0.0), 0.0)
    loss = mean_over_anchors(terms, tf.cast(is_valid, terms.dtype), is_valid, labels, class_balanced)
    return nan_where_nan(loss, vectors)


def _means(members: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """Mean of the vectors (B, d) that each row of the mask (B, B) names; 0 where it names none."""
    members = tf.cast(members, tf.float64)  # in float64 for the reason given in `inner_products`
    shares = tf.math.divide_no_nan(members, tf.reduce_sum(members, axis=1, keepdims=True))
    return tf.cast(tf.matmul(shares, tf.cast(vectors, tf.float64)), vectors.dtype)


@named("class_center")
@register
class ClassCenterTripletLoss(EmbeddingLoss):
    """`class_center_triplet_loss` as a Keras loss of (labels, embeddings).

    Args:
      margin, distance, class_balanced, normalize: As for `class_center_triplet_loss`.
      name: Name of the loss.

    Raises:
      InputError: An argument is outside its range, or the loss is called with sample weights.
    """

    def __init__(
        self,
        margin: float = 0.2,
        distance: str = "euclidean",
        class_balanced: bool = False,
        normalize: bool = True,
        name: str = "class_center_triplet_loss",
    ):
        super().__init__(name)
        self.margin = checked_number("margin", margin, is_open=True)
        self.distance = checked_choice("distance", distance, DISTANCES)
        self.class_balanced = checked_flag("class_balanced", class_balanced)
        self.normalize = checked_flag("normalize", normalize)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The batch's loss."""
        return class_center_triplet_loss(
            y_true, y_pred, self.margin, self.distance, self.class_balanced, self.normalize
        )
