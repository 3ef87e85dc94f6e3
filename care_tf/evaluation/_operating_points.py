"""Sensitivity at a fixed specificity and the reverse, for many weightings of the same images at once (NumPy)."""

import numpy as np

FIXED = 0.9
"""The specificity, and the sensitivity, at which a run's report gives the other."""

_ROUNDING = 1e-9  # a sum of weights that should reach a share exactly may miss it by this


def sensitivity_at_specificity(called: np.ndarray, found: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """The highest sensitivity among the thresholds whose specificity is at least .9; 0 where none is.

        sensitivity_t = found_t / P,   specificity_t = 1 - (called_t - found_t) / N

    Args:
      called, found: (R, T) of `calls_by_threshold`; P is the last column of `found`.
      negatives: (R,) weight N of the images of other classes.

    Returns:
      (R,) float64; NaN where positives or negatives have no weight.

    Source: a point of scikit-learn's `roc_curve`, with no line drawn between two thresholds: a rule can only call all
      images of one score or none.
    """
    sensitivity, specificity = _rates(called, found, negatives)
    return _best(sensitivity, specificity >= FIXED - _ROUNDING)


def specificity_at_sensitivity(called: np.ndarray, found: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """The highest specificity among the thresholds whose sensitivity is at least .9; as the reverse above."""
    sensitivity, specificity = _rates(called, found, negatives)
    return _best(specificity, sensitivity >= FIXED - _ROUNDING)


def _rates(called: np.ndarray, found: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    positives = found[:, -1:]
    negatives = negatives[:, np.newaxis]
    with np.errstate(divide="ignore", invalid="ignore"):
        return found / positives, 1 - (called - found) / negatives


def _best(values: np.ndarray, is_allowed: np.ndarray) -> np.ndarray:
    best = np.where(is_allowed, values, 0.0).max(axis=1)
    return np.where(np.isfinite(values).all(axis=1) & np.isfinite(best), best, np.nan)
