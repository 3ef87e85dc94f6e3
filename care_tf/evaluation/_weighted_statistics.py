"""All figures of one run as functions of image weights, for many weightings at once (NumPy)."""

from collections.abc import Sequence

import numpy as np

from care_tf.evaluation.bootstrap import Statistics


def weighted_auc(scores: np.ndarray, is_positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve for many weightings of the same images, exact, ties counted half.

        AUC = sum_{i positive} w_i (W(s < s_i) + W(s = s_i) / 2) / (W_positive W_negative),   W(.) over negatives

    Args:
      scores: (n,) float.
      is_positive: (n,) bool.
      weights: (R, n) float >= 0.

    Returns:
      (R,) float64; NaN where positives or negatives have no weight.

    Example:
      >>> weighted_auc(np.array([0.1, 0.4, 0.4]), np.array([False, False, True]), np.ones((1, 3)))
      array([0.75])
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    run_starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    weights = weights[:, order]
    positive = np.add.reduceat(weights * is_positive[order], run_starts, axis=1)
    negative = np.add.reduceat(weights * ~is_positive[order], run_starts, axis=1)
    up_to = np.cumsum(negative, axis=1)
    pairs = positive.sum(axis=1) * up_to[:, -1]
    return _divide((positive * (up_to - negative / 2.0)).sum(axis=1), pairs)


def run_statistics(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    attention_inside: np.ndarray | None = None,
) -> Statistics:
    """The function from image weights to every figure of a run.

    Figures: "mean_class_accuracy", "macro_auc", "attention_inside", and per class "recall/<name>", "auc/<name>",
    "attention_inside/<name>". A figure of a class without weight is NaN; the two class means are over the classes
    for which the figure is defined in that weighting.

    Args:
      labels: (n,) int.
      probabilities: (n, C) float.
      class_names: C names.
      attention_inside: (n,) float, NaN where an image has no box; None for none at all.

    Returns:
      A function of weights (R, n) to a dict of (R,) float64.
    """
    members = labels[:, np.newaxis] == np.arange(len(class_names))
    correct = members & (probabilities.argmax(axis=1) == labels)[:, np.newaxis]
    share = np.full(len(labels), np.nan) if attention_inside is None else attention_inside
    has_box = ~np.isnan(share)
    share = np.where(has_box, share, 0.0)

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        recall = _divide(weights @ correct, weights @ members)
        auc = np.stack([weighted_auc(s, m, weights) for s, m in zip(probabilities.T, members.T, strict=True)], axis=1)
        inside = _divide(weights @ (members * share[:, np.newaxis]), weights @ (members & has_box[:, np.newaxis]))
        figures = {
            "mean_class_accuracy": _mean_of_defined(recall),
            "macro_auc": _mean_of_defined(auc),
            "attention_inside": _divide(weights @ share, weights @ has_box),
        }
        for index, name in enumerate(class_names):
            figures[f"recall/{name}"] = recall[:, index]
            figures[f"auc/{name}"] = auc[:, index]
            figures[f"attention_inside/{name}"] = inside[:, index]
        return figures

    return statistics


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)


def _mean_of_defined(per_class: np.ndarray) -> np.ndarray:
    is_defined = ~np.isnan(per_class)
    return _divide(np.where(is_defined, per_class, 0.0).sum(axis=1), is_defined.sum(axis=1))
