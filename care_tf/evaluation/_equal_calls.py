"""The recall that a baseline reaches when it calls a class as often as a method does (NumPy).

A method that calls a rare class more often gains recall without ranking any image better. Adding a constant to a
baseline's logit of the class does the same, so only what a method's recall has beyond that is a gain.
"""

from collections.abc import Callable

import numpy as np

from care_tf.evaluation._thresholds import ranked_calls


def recall_at_equal_calls(
    labels: np.ndarray, baseline: np.ndarray, calls: np.ndarray, index: int, weights: np.ndarray
) -> np.ndarray:
    """Recall of a class when the baseline's logit of it is shifted until it is called as often as by a method.

        image i is called c at a shift d where  m_i + d > 0,   m_i = log p_ic - max_{k != c} log p_ik
        recall(d) = sum_{i in c, called} w_i / sum_{i in c} w_i,   d such that  sum_called w_i = sum_{i in calls} w_i

    So the images of the largest m are called. Where the last weight fits only in part, or several images have one m,
    their share of images of the class counts.

    Args:
      labels: (n,) int.
      baseline: (n, C) probabilities of the baseline.
      calls: (n,) bool, the images that the method calls c.
      index: c.
      weights: (R, n) float >= 0.

    Returns:
      (R,) float64 in [0, 1]; NaN where the class has no weight.

    Example:
      >>> baseline = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]])
      >>> recall_at_equal_calls(np.array([0, 1, 1]), baseline, np.array([True, True, False]), 1, np.ones((1, 3)))
      array([1.])
    """
    return equal_calls(labels, baseline, calls, index)(weights)


def equal_calls(
    labels: np.ndarray, baseline: np.ndarray, calls: np.ndarray, index: int
) -> Callable[[np.ndarray], np.ndarray]:
    """`recall_at_equal_calls` as a function of weights alone: the margins are sorted once for many of them."""
    ranking = ranked_calls(_margin(baseline, index), labels == index)

    def recall(weights: np.ndarray) -> np.ndarray:
        called, found = (np.pad(each, ((0, 0), (1, 0))) for each in ranking(weights))
        hits = [np.interp(w, c, f) for w, c, f in zip(weights @ calls, called, found, strict=True)]
        members = found[:, -1]
        return np.divide(hits, members, out=np.full(len(weights), np.nan), where=members > 0)

    return recall


def _margin(probabilities: np.ndarray, index: int) -> np.ndarray:
    """How far the logit of a class lies above the highest other one, (n,)."""
    logits = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    return logits[:, index] - np.delete(logits, index, axis=1).max(axis=1)
