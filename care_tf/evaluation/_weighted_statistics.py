"""All figures of one run as functions of image weights, for many weightings at once (NumPy)."""

from collections.abc import Sequence

import numpy as np

from care_tf.evaluation._equal_calls import equal_calls
from care_tf.evaluation._operating_points import sensitivity_at_specificity, specificity_at_sensitivity
from care_tf.evaluation._thresholds import ranked_calls
from care_tf.evaluation.bootstrap import Statistics
from care_tf.evaluation.calibration import calibration_statistic
from care_tf.evaluation.lesion_figures import LesionColumns, lesion_figures

CLASS_FIGURES = (
    "recall",
    "precision",
    "f1",
    "auc",
    "average_precision",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
    "attention_inside",
)
"""What a run is scored by for every class; beside these, the figures of `LESION_FIGURES`."""


def _auc(called: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, exact, ties counted half; NaN where positives or negatives have no weight.

    AUC = sum_{i positive} w_i (W(s < s_i) + W(s = s_i) / 2) / (W_positive W_negative),   W(.) over negatives
    """
    positive, passed = np.diff(found, axis=1, prepend=0.0), called - found
    negative = np.diff(passed, axis=1, prepend=0.0)
    pairs = found[:, -1] * passed[:, -1]
    return _divide((positive * (passed[:, -1:] - passed + negative / 2.0)).sum(axis=1), pairs)


def _average_precision(called: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Average precision, exact, images of one score called together; NaN where positives have no weight.

    AP = sum_t (recall_t - recall_{t-1}) precision_t over the thresholds t, from the highest down
    """
    precision = np.divide(found, called, out=np.zeros_like(called), where=called > 0)
    return _divide((np.diff(found, axis=1, prepend=0.0) * precision).sum(axis=1), found[:, -1])


def run_statistics(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    attention_inside: np.ndarray | None = None,
    lesion_check: LesionColumns | None = None,
) -> Statistics:
    """The function from image weights to every figure of a run.

    Figures: "mean_class_accuracy", "macro_auc", "attention_inside", and per class "recall/<name>", "precision/<name>",
    "f1/<name>" and so on through `CLASS_FIGURES` and `LESION_FIGURES`, and "calibration_error". A figure of a class
    without weight is NaN, and so is the precision of a class that is never called; the two class means are over the
    classes for which the figure is defined in that weighting.

    Args:
      labels: (n,) int.
      probabilities: (n, C) float.
      class_names: C names.
      attention_inside: (n,) float, NaN where an image has no box; None for none at all.
      lesion_check: What is known of images whose lesion was hidden; None for none.

    Returns:
      A function of weights (R, n) to a dict of (R,) float64.
    """
    members = labels[:, np.newaxis] == np.arange(len(class_names))
    calls = probabilities.argmax(axis=1)[:, np.newaxis] == np.arange(len(class_names))
    is_correct = members & calls
    share = np.full(len(labels), np.nan) if attention_inside is None else attention_inside
    has_box = ~np.isnan(share)
    share = np.where(has_box, share, 0.0)
    shares, boxed = members * share[:, np.newaxis], members & has_box[:, np.newaxis]
    of_images = lesion_figures(labels, probabilities, lesion_check or {})
    known_of_images = {name: _members_known(members, values) for name, values in of_images.items()}
    rankings = [ranked_calls(s, m) for s, m in zip(probabilities.T, members.T, strict=True)]
    calibration_error = calibration_statistic(labels, probabilities)

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        num_members, num_calls, num_correct = weights @ members, weights @ calls, weights @ is_correct
        num_others = weights.sum(axis=1, keepdims=True) - num_members
        # One class after the other: what is called at every threshold takes as much memory as the weights.
        by_rank = [_rank_figures(*ranking(weights), n) for ranking, n in zip(rankings, num_others.T, strict=True)]
        of_class = {
            "recall": _divide(num_correct, num_members),
            "precision": _divide(num_correct, num_calls),
            "f1": _divide(2 * num_correct, np.where(num_members > 0, num_members + num_calls, 0.0)),
            **{name: np.stack([figures[name] for figures in by_rank], axis=1) for name in by_rank[0]},
            "attention_inside": _divide(weights @ shares, weights @ boxed),
            **{name: _divide(weights @ total, weights @ known) for name, (total, known) in known_of_images.items()},
        }
        figures = {
            "mean_class_accuracy": _mean_of_defined(of_class["recall"]),
            "macro_auc": _mean_of_defined(of_class["auc"]),
            "attention_inside": _divide(weights @ share, weights @ has_box),
            "calibration_error": calibration_error(weights),
        }
        for index, name in enumerate(class_names):
            figures |= {f"{key}/{name}": values[:, index] for key, values in of_class.items()}
        return figures

    return statistics


def equal_calls_statistics(
    labels: np.ndarray, baseline: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> Statistics:
    """The function from image weights to what a method's recalls have beyond its baseline's at as many calls.

    Figures: "recall_at_equal_calls/<name>", recall of the method minus `recall_at_equal_calls` of the baseline.

    Args:
      labels: (n,) int.
      baseline, probabilities: (n, C) float, of the baseline and of the method.
      class_names: C names.

    Returns:
      A function of weights (R, n) to a dict of (R,) float64.
    """
    called = probabilities.argmax(axis=1)
    pairs = [(called == index, labels == index) for index in range(len(class_names))]
    at_equal_calls = [equal_calls(labels, baseline, calls, index) for index, (calls, _) in enumerate(pairs)]

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        figures = {}
        for name, (calls, members), equal in zip(class_names, pairs, at_equal_calls, strict=True):
            recall = _divide(weights @ (calls & members), weights @ members)
            figures[f"recall_at_equal_calls/{name}"] = recall - equal(weights)
        return figures

    return statistics


def _rank_figures(called: np.ndarray, found: np.ndarray, negatives: np.ndarray) -> dict[str, np.ndarray]:
    """The figures of a class that depend on the order of the images alone."""
    return {
        "auc": _auc(called, found),
        "average_precision": _average_precision(called, found),
        "sensitivity_at_specificity": sensitivity_at_specificity(called, found, negatives),
        "specificity_at_sensitivity": specificity_at_sensitivity(called, found, negatives),
    }


def _members_known(members: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An image's value in the column of its class, and whether it has one, (n, C) each."""
    is_known = members & ~np.isnan(values)[:, np.newaxis]
    return np.where(is_known, values[:, np.newaxis], 0.0), is_known.astype(np.float64)


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)


def _mean_of_defined(per_class: np.ndarray) -> np.ndarray:
    is_defined = ~np.isnan(per_class)
    return _divide(np.where(is_defined, per_class, 0.0).sum(axis=1), is_defined.sum(axis=1))
