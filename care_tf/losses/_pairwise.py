"""Pairs of a batch: which of them share a class, how far apart they are, and averages over some of them."""

from typing import Any

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.labels import same_class
from care_tf.precision import at_least_float32

DISTANCES = ("euclidean", "squared_euclidean")
# Squared distances below this share of the squared lengths are float32's rounding of equal rows: their direction would
# be noise.
_EQUAL_WITHIN = 1e-13


def embedding_vectors(embeddings: tf.Tensor, normalize: bool = False) -> tf.Tensor:
    """Embeddings in at least float32, scaled to length 1 where asked for.

    Args:
      embeddings: float (B, d). A zero vector has no direction: normalized, it stays 0 and has no gradient.
      normalize: Whether to divide each by its Euclidean length.

    Returns:
      (B, d) float32, or float64 of float64.

    Raises:
      InputError: Another shape.

    Example:
      >>> embedding_vectors([[3.0, 4.0], [0.0, 0.0]], normalize=True).numpy().round(3).tolist()
      [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    embeddings = at_least_float32(embeddings)
    if embeddings.shape.rank != 2:
        raise InputError(
            f"embeddings must have shape (batch, dimensions). Received shape {embeddings.shape}. Pool spatial "
            "dimensions away, for example with GlobalAveragePooling2D."
        )
    if not normalize:
        return embeddings
    squared = tf.reduce_sum(embeddings * embeddings, axis=1, keepdims=True)
    return embeddings * tf.where(squared > 0, tf.math.rsqrt(tf.where(squared > 0, squared, 1.0)), 0.0)


def pair_masks(labels: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Which pairs (i, j) are positive (same class, i != j) and which negative (another class): bool (B, B) each.

    Args:
      labels: (B,) or (B, 1) integers, or (B, C) one-hot or soft labels, of which the argmax is taken. Only equality
        counts: any integers name the classes. A row of zeros is no class and in no pair.

    Raises:
      InputError: The labels have another shape, or one is a fraction (in eager mode).
    """
    same, both = same_class(labels)
    itself = tf.eye(tf.shape(same)[0], dtype=tf.bool)
    return same & ~itself, both & ~same


def are_anchors(positive: tf.Tensor, negative: tf.Tensor) -> tf.Tensor:
    """Which examples have both a positive and a negative, bool (n,) of two `pair_masks` (n, m)."""
    return tf.reduce_any(positive, axis=1) & tf.reduce_any(negative, axis=1)


def inner_products(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """a_i . b_j of all rows of a (n, d) and b (m, d): float64 (n, m).

    Accelerators round the factors of a float32 matrix product to 10 bits, and differences of large products would
    lose the rest. For one batch the price is small beside a network's.
    """
    return tf.matmul(tf.cast(a, tf.float64), tf.cast(b, tf.float64), transpose_b=True)


def pair_distances(a: tf.Tensor, b: tf.Tensor, squared: bool = False) -> tf.Tensor:
    """Euclidean distances of all rows of two matrices, exact for near rows and with a finite gradient for equal ones.

        d_ij^2 = |a_i|^2 + |b_j|^2 - 2 a_i . b_j

    Args:
      a: float (n, d).
      b: float (m, d) of the same dtype.
      squared: Whether to return d^2.

    Returns:
      (n, m) >= 0 in the dtype of `a`. Rows closer than 4e-7 of their length count as equal: distance and gradient are
      exactly 0.

    Example:
      >>> pair_distances(tf.constant([[0.0, 0.0]]), tf.constant([[3.0, 4.0], [0.0, 0.0]])).numpy().tolist()
      [[5.0, 0.0]]
    """
    lengths = squared_lengths(a)[:, tf.newaxis] + squared_lengths(b)[tf.newaxis, :]
    # In float32 the difference of near rows would be rounding.
    return tf.cast(_distances(lengths - 2.0 * inner_products(a, b), lengths, squared), a.dtype)


def row_distances(a: tf.Tensor, b: tf.Tensor, squared: bool = False) -> tf.Tensor:
    """Euclidean distance of each row of `a` from the same row of `b`, both (n, d): (n,), otherwise as above."""
    difference = tf.cast(a, tf.float64) - tf.cast(b, tf.float64)
    return tf.cast(_distances(squared_lengths(difference), squared_lengths(a) + squared_lengths(b), squared), a.dtype)


def squared_lengths(rows: tf.Tensor) -> tf.Tensor:
    """|a_i|^2 of all rows of a (n, d): float64 (n,)."""
    rows = tf.cast(rows, tf.float64)
    return tf.reduce_sum(rows * rows, axis=1)


def _distances(squares: tf.Tensor, lengths: tf.Tensor, squared: bool) -> tf.Tensor:
    """Distances of their squares; 0 for equal rows, which have no direction to move in and no gradient.

    The gradient of a square root at 0 is infinite, and `where` would make NaN of it: equal rows take the root of 1.
    """
    is_equal = squares <= _EQUAL_WITHIN * lengths
    roots = squares if squared else tf.sqrt(tf.where(is_equal, tf.ones_like(squares), squares))
    return tf.where(is_equal, tf.zeros_like(squares), roots)


def masked_log_sum_exp(logits: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """log sum over {j : mask_ij} of exp(logits_ij), (n, m) -> (n,); 0 for a row without any, with gradient 0."""
    largest = tf.reduce_max(tf.where(mask, logits, tf.constant(-float("inf"), logits.dtype)), axis=1, keepdims=True)
    has_any = tf.reduce_any(mask, axis=1)
    largest = tf.stop_gradient(tf.where(has_any[:, tf.newaxis], largest, 0.0))
    # The inner `where` keeps what is masked out from overflowing: infinity times the mask's 0 would be NaN.
    terms = tf.where(mask, tf.exp(tf.where(mask, logits - largest, 0.0)), 0.0)
    total = tf.where(has_any, tf.reduce_sum(terms, axis=1), 1.0)
    return tf.math.log(total) + largest[:, 0]


def mean_where(mask: tf.Tensor, values: tf.Tensor, axis: int | None = None) -> tf.Tensor:
    """Mean of the values where the mask is True, 0 where it never is; what is masked out has gradient 0."""
    total = tf.reduce_sum(tf.where(mask, values, 0.0), axis=axis)
    return tf.math.divide_no_nan(total, tf.reduce_sum(tf.cast(mask, values.dtype), axis=axis))


def mean_over_anchors(
    total: tf.Tensor, count: tf.Tensor, is_valid: tf.Tensor, labels: tf.Tensor, class_balanced: bool
) -> tf.Tensor:
    """Mean of terms that belong to anchors; over all at once, or over each class of anchors and then the classes.

        all at once:    sum_i total_i / sum_i count_i
        class-balanced: mean over classes c with a valid anchor of (sum_{i in c} total_i / sum_{i in c} count_i)

    Args:
      total: float (B,), sum of every anchor's terms, 0 for an anchor that is not valid.
      count: float (B,), number of every anchor's terms, 0 for an anchor that is not valid.
      is_valid: bool (B,), the anchors that can have terms: a class without any is no class of the mean.
      labels: As for `pair_masks`.
      class_balanced: Which of the two.

    Returns:
      Scalar; 0 where nothing counts.
    """
    if not class_balanced:
        return tf.math.divide_no_nan(tf.reduce_sum(total), tf.reduce_sum(count))
    same, _ = same_class(labels)
    same = tf.cast(same, total.dtype)
    of_class = tf.math.divide_no_nan(tf.reduce_sum(same * total, axis=1), tf.reduce_sum(same * count, axis=1))
    # Every valid anchor carries its class's mean: n_c anchors with weight 1 / n_c are one vote.
    valid = tf.cast(is_valid, total.dtype)
    votes = tf.math.divide_no_nan(valid, tf.reduce_sum(same * valid, axis=1))
    return tf.math.divide_no_nan(tf.reduce_sum(votes * of_class), tf.reduce_sum(votes))


def nan_where_nan(loss: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """The loss, or NaN when a vector has one: XLA's maximum and minimum pass over NaN, and a mined pair hides it."""
    return tf.where(tf.reduce_any(tf.math.is_nan(vectors)), tf.constant(float("nan"), loss.dtype), loss)
