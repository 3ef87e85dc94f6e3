"""ROC and precision-recall curves of every class, with intervals (NumPy)."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from care_tf.evaluation._thresholds import ranked_calls
from care_tf.evaluation.bootstrap import group_bootstrap, percentile_interval
from care_tf.evaluation.scores import checked_groups, checked_predictions

GRID = np.linspace(0.0, 1.0, 101)
"""Where a curve is read: the false positive rate of an ROC curve, the recall of a precision-recall curve."""


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """A curve on `GRID` with its pointwise 95 % interval, (101,) each; NaN where undefined."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class ClassCurves:
    """Both curves of a class against all others together, and where the predicted classes lie on them.

    Attributes:
      name: The class.
      roc: Recall (sensitivity) over the false positive rate (1 - specificity).
      precision: Precision over recall.
      num_positive: Images of the class; of `num_images`.
      num_images: All images.
      at_prediction: (false positive rate, recall, precision) of calling what the argmax predicts; None where undefined.
    """

    name: str
    roc: Curve
    precision: Curve
    num_positive: int
    num_images: int
    at_prediction: tuple[float, float, float] | None


def class_curves(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    groups: Sequence | None = None,
    num_resamples: int = 200,
    seed: int = 0,
) -> list[ClassCurves]:
    """The curves of every class that has images, and others beside them.

    An ROC curve is the highest recall among the thresholds whose false positive rate is not above x; a
    precision-recall curve the highest precision among those whose recall is not below x. So neither promises a point
    between two thresholds.

    Args:
      labels, probabilities, class_names, groups, seed: As for `evaluate_predictions`.
      num_resamples: Bootstrap resamples over groups, for the intervals.

    Raises:
      InputError: As `evaluate_predictions`.
    """
    labels, probabilities = checked_predictions(labels, probabilities, class_names)
    group_of_image = checked_groups(groups, len(labels))
    predicted = probabilities.argmax(axis=1)
    members = {name: labels == index for index, name in enumerate(class_names)}
    rankings = {
        name: ranked_calls(probabilities[:, index], members[name])
        for index, name in enumerate(class_names)
        if members[name].any() and not members[name].all()
    }

    def curves(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {name: _both_curves(*ranking(weights)) for name, ranking in rankings.items()}

    all_points = curves(np.ones((1, len(labels))))
    replicates = group_bootstrap(curves, group_of_image, num_resamples, seed) if rankings else {}
    found = []
    for index, name in enumerate(class_names):
        if name not in rankings:
            continue
        is_positive, called, points = members[name], predicted == index, all_points[name][0]
        bands = np.array([percentile_interval(column) for column in replicates[name].T])
        roc, precision = (
            Curve(points[part], bands[part, 0], bands[part, 1]) for part in (slice(len(GRID)), slice(len(GRID), None))
        )
        recall, false = called[is_positive].mean(), called[~is_positive].mean()
        at_prediction = None
        if called.any():
            at_prediction = (float(false), float(recall), float(is_positive[called].mean()))
        found.append(ClassCurves(name, roc, precision, int(is_positive.sum()), len(labels), at_prediction))
    return found


def _both_curves(called: np.ndarray, found: np.ndarray) -> np.ndarray:
    """ROC curve and precision-recall curve on `GRID`, side by side, (R, 202), of `calls_by_threshold`."""
    curves = np.full((len(called), 2 * len(GRID)), np.nan)
    for row, (c, f) in enumerate(zip(called, found, strict=True)):
        negatives, positives = c[-1] - f[-1], f[-1]
        if positives == 0 or negatives == 0:
            continue
        drawn = c > 0  # thresholds above every image of the resample call nothing
        recall, false, precision = f[drawn] / positives, (c - f)[drawn] / negatives, f[drawn] / c[drawn]
        last = np.searchsorted(false, GRID + 1e-9, side="right") - 1
        curves[row, : len(GRID)] = np.where(last >= 0, recall[last], 0.0)
        # The best precision at this recall or a higher one.
        best = np.maximum.accumulate(precision[::-1])[::-1]
        curves[row, len(GRID) :] = best[np.searchsorted(recall, GRID - 1e-9)]
    return curves
