"""What is called at every threshold of a score, for many weightings of the same images at once (NumPy)."""

from collections.abc import Callable

import numpy as np


def calls_by_threshold(
    scores: np.ndarray, is_positive: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The weight of the images called, and of the positives among them, from the highest threshold down.

        called_t = sum_{s_i >= t} w_i,   found_t = sum_{s_i >= t, i positive} w_i

    Args:
      scores: (n,) float; each of its T different values is a threshold.
      is_positive: (n,) bool.
      weights: (R, n) float >= 0.

    Returns:
      called, found: (R, T) float64, rising along each row.
    """
    return ranked_calls(scores, is_positive)(weights)


def ranked_calls(scores: np.ndarray, is_positive: np.ndarray) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """`calls_by_threshold` as a function of weights alone: the scores are sorted once for many of them."""
    order = np.argsort(-scores, kind="stable")
    ranked, is_positive = scores[order], is_positive[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))

    def calls(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ordered = weights[:, order]
        called = np.cumsum(np.add.reduceat(ordered, starts, axis=1), axis=1)
        return called, np.cumsum(np.add.reduceat(ordered * is_positive, starts, axis=1), axis=1)

    return calls
