"""The scores of a run on labeled images, and the paired difference between two runs, with intervals."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from care_tf.errors import InputError
from care_tf.evaluation._weighted_statistics import CLASS_FIGURES, equal_calls_statistics, run_statistics
from care_tf.evaluation.bootstrap import Statistics, group_bootstrap, percentile_interval
from care_tf.evaluation.lesion_figures import (
    LESION_COLUMNS,
    LESION_FIGURES,
    LesionColumns,
    columns_known_in_both,
    known_in_both,
)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; None where undefined."""

    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, value: float, replicates: np.ndarray) -> "Estimate":
        """The estimate of a value and its bootstrap replicates (R,), NaN where undefined."""
        numbers = (value, *percentile_interval(replicates))
        return cls(*(None if math.isnan(number) else float(number) for number in numbers))

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0: for a difference, whether one was shown."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


_UNKNOWN = Estimate(None, None, None)  # in the metrics.json of a run evaluated before these figures existed


@dataclasses.dataclass(frozen=True)
class ClassScores:
    """Scores of one class: recall = num_correct / num_images, precision = num_correct / num_calls.

    What is about ranking is of the class against all others together. Average precision falls much more than the AUC
    does with an image of a common class that ranks above those of a rare class. Sensitivity is at the threshold where
    the specificity is .9, and the reverse. From `right_checked` on, figures are means of `lesion_figures` over
    `num_checked` images.
    """

    name: str
    num_images: int
    num_groups: int
    num_correct: int
    num_boxes: int
    recall: Estimate
    auc: Estimate
    attention_inside: Estimate
    attention_references: dict[str, float | None]
    precision: Estimate = _UNKNOWN
    f1: Estimate = _UNKNOWN
    average_precision: Estimate = _UNKNOWN
    sensitivity_at_specificity: Estimate = _UNKNOWN
    specificity_at_sensitivity: Estimate = _UNKNOWN
    num_calls: int | None = None
    num_checked: int = 0
    right_checked: Estimate = _UNKNOWN
    right_without_lesion: Estimate = _UNKNOWN
    right_lesion_only: Estimate = _UNKNOWN
    drop_without_lesion: Estimate = _UNKNOWN
    drop_lesion_only: Estimate = _UNKNOWN
    lesion_reliance: Estimate = _UNKNOWN
    insertion_area: Estimate = _UNKNOWN
    deletion_area: Estimate = _UNKNOWN


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of one run. `confusion[i][j]` counts images of class i predicted as class j.

    `calibration_error` is the expected calibration error of the predicted class.
    """

    num_images: int
    num_groups: int
    num_resamples: int
    seed: int
    mean_class_accuracy: Estimate
    macro_auc: Estimate
    attention_inside: Estimate
    classes: tuple[ClassScores, ...]
    confusion: list[list[int]]
    calibration_error: Estimate = _UNKNOWN

    def to_dict(self) -> dict[str, Any]:
        """A dict that `json.dump` takes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Scores":
        """The inverse of `to_dict`, also after a round trip through JSON."""
        names = ("mean_class_accuracy", "macro_auc", "attention_inside", "calibration_error")
        of_run = {name: Estimate(**data[name]) for name in names if name in data}
        classes = tuple(
            ClassScores(**{**row, **{name: Estimate(**row[name]) for name in _OF_CLASS if name in row}})
            for row in data["classes"]
        )
        return cls(**{**data, **of_run, "classes": classes})


def evaluate_predictions(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    groups: Sequence | None = None,
    attention_inside: np.ndarray | None = None,
    attention_references: Mapping[str, np.ndarray] | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
    lesion_check: LesionColumns | None = None,
) -> Scores:
    """Scores of one run, every figure with a 95 % percentile bootstrap interval over groups.

    A resample that holds no image of a class leaves that class out of its own interval and out of the resample's
    class means; macro AUC is likewise over the classes that have both members and others.

    Args:
      labels: (n,) integers in [0, C).
      probabilities: (n, C) finite; the prediction is the argmax.
      class_names: C different names.
      groups: (n,) patient or lesion of every image, or None: every image is its own group.
      attention_inside: (n,) share of the attention map's energy inside the box, in [0, 1], NaN where an image has no
        box; None when attention was not measured.
      attention_references: Name -> (n,) the same share for maps that need no learning (`attention_references`).
      num_resamples: Number of bootstrap resamples.
      seed: Seed of the resamples.
      lesion_check: What the run says of images whose lesion was hidden; None when that was not tried.

    Returns:
      The scores.

    Raises:
      InputError: Shapes that do not fit, labels out of range, values that are not finite, images without a group.

    Example:
      >>> scores = evaluate_predictions([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], ["NV", "DF"])
      >>> scores.mean_class_accuracy.value
      0.75
    """
    labels, probabilities = checked_predictions(labels, probabilities, class_names)
    group_of_image = checked_groups(groups, len(labels))
    share = checked_shares("attention_inside", attention_inside, len(labels))
    references = {k: checked_shares(k, v, len(labels)) for k, v in (attention_references or {}).items()}
    checks = checked_columns(lesion_check, len(labels))
    statistics = run_statistics(labels, probabilities, class_names, share, checks)
    estimates = _estimates(statistics, group_of_image, num_resamples, seed)
    is_checked = ~np.isnan(checks[LESION_COLUMNS[0]])
    confusion = np.zeros((len(class_names),) * 2, int)
    np.add.at(confusion, (labels, probabilities.argmax(axis=1)), 1)

    def class_scores(index: int, name: str) -> ClassScores:
        members = labels == index
        return ClassScores(
            name=name,
            num_images=int(members.sum()),
            num_groups=len(np.unique(group_of_image[members])),
            num_correct=int(confusion[index, index]),
            num_boxes=int((members & ~np.isnan(share)).sum()),
            num_calls=int(confusion[:, index].sum()),
            num_checked=int((members & is_checked).sum()),
            attention_references={k: _mean_or_none(v[members & ~np.isnan(v)]) for k, v in references.items()},
            **{figure: estimates[f"{figure}/{name}"] for figure in _OF_CLASS},
        )

    return Scores(
        num_images=len(labels),
        num_groups=len(np.unique(group_of_image)),
        num_resamples=num_resamples,
        seed=seed,
        mean_class_accuracy=estimates["mean_class_accuracy"],
        macro_auc=estimates["macro_auc"],
        attention_inside=estimates["attention_inside"],
        classes=tuple(class_scores(index, name) for index, name in enumerate(class_names)),
        confusion=confusion.tolist(),
        calibration_error=estimates["calibration_error"],
    )


def paired_difference(
    labels: np.ndarray,
    baseline_probabilities: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    groups: Sequence | None = None,
    baseline_attention_inside: np.ndarray | None = None,
    attention_inside: np.ndarray | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
    baseline_lesion_check: LesionColumns | None = None,
    lesion_check: LesionColumns | None = None,
) -> dict[str, Estimate]:
    """What a run gains over a baseline on the same images: run minus baseline, on the same resamples.

    Args:
      labels, class_names, groups, num_resamples, seed: As for `evaluate_predictions`.
      baseline_probabilities, probabilities: (n, C) of the baseline and of the run, images in the same order.
      baseline_attention_inside, attention_inside: (n,) each; images count where both have a value.
      baseline_lesion_check, lesion_check: Likewise.

    Returns:
      Figure name -> difference with its 95 % interval, for the names of `run_statistics`, and for
      "recall_at_equal_calls/<class>": the recall beyond what the baseline's is when its logit of the class is shifted
      until it calls the class as often as the run does. Without that, a difference in recall says nothing of ranking.

    Raises:
      InputError: As `evaluate_predictions`.
    """
    labels, probabilities = checked_predictions(labels, probabilities, class_names)
    _, baseline_probabilities = checked_predictions(labels, baseline_probabilities, class_names)
    group_of_image = checked_groups(groups, len(labels))
    share = checked_shares("attention_inside", attention_inside, len(labels))
    baseline_share = checked_shares("baseline_attention_inside", baseline_attention_inside, len(labels))
    share, baseline_share = known_in_both(share, baseline_share)
    checks = (checked_columns(each, len(labels)) for each in (lesion_check, baseline_lesion_check))
    check, baseline_check = columns_known_in_both(*checks)
    of_run = run_statistics(labels, probabilities, class_names, share, check)
    of_baseline = run_statistics(labels, baseline_probabilities, class_names, baseline_share, baseline_check)

    at_equal_calls = equal_calls_statistics(labels, baseline_probabilities, probabilities, class_names)

    def difference(weights: np.ndarray) -> dict[str, np.ndarray]:
        run, baseline = of_run(weights), of_baseline(weights)
        return {name: run[name] - baseline[name] for name in run} | at_equal_calls(weights)

    return _estimates(difference, group_of_image, num_resamples, seed)


def _estimates(statistics: Statistics, groups: np.ndarray, num_resamples: int, seed: int) -> dict[str, Estimate]:
    points = statistics(np.ones((1, len(groups))))
    replicates = group_bootstrap(statistics, groups, num_resamples, seed)
    return {name: Estimate.of(points[name][0], replicates[name]) for name in points}


_OF_CLASS = (*CLASS_FIGURES, *LESION_FIGURES)


def _mean_or_none(values: np.ndarray) -> float | None:
    return float(values.mean()) if values.size else None


def checked_predictions(labels, probabilities, class_names) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities as arrays; raises an InputError where shapes or values do not fit."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    if len(set(class_names)) != len(class_names):
        raise InputError(f"Class names must differ. Received: {list(class_names)}.")
    if labels.ndim != 1 or not labels.size or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"labels must be class indices, one integer per image. Received: shape {labels.shape}, {labels.dtype}."
        )
    if probabilities.shape != (len(labels), len(class_names)):
        raise InputError(
            f"probabilities must be (images, classes) = {(len(labels), len(class_names))}. "
            f"Received: shape {probabilities.shape}. One sigmoid unit p is given as the two columns 1 - p and p."
        )
    if labels.min() < 0 or labels.max() >= len(class_names):
        wrong = int(np.flatnonzero((labels < 0) | (labels >= len(class_names)))[0])
        raise InputError(f"labels must lie in [0, {len(class_names)}). Received: {labels[wrong]} at image {wrong}.")
    if not np.isfinite(probabilities).all():
        wrong = int(np.flatnonzero(~np.isfinite(probabilities).all(axis=1))[0])
        raise InputError(
            f"probabilities must be finite. Received: {probabilities[wrong].tolist()} at image {wrong}. "
            "Training has diverged: lower the learning rate, or look for a NaN loss in history.csv."
        )
    return labels, probabilities


def checked_groups(groups, num_images: int) -> np.ndarray:
    """The groups as an array, each image its own for None; raises an InputError where one is missing."""
    if groups is None:
        return np.arange(num_images)
    listed = groups.tolist() if isinstance(groups, np.ndarray) else list(groups)
    if len(listed) != num_images:
        raise InputError(f"groups must name one group per image ({num_images}). Received: {len(listed)} groups.")
    missing = [i for i, group in enumerate(listed) if group in ("", None) or group != group]
    if missing:
        raise InputError(
            f"Every image needs a group, or none (groups=None). Received: {len(missing)} images without, "
            f"the first at {missing[0]}. Fill the manifest's group column: patient or lesion."
        )
    return np.asarray(listed)


def checked_shares(name: str, values, num_images: int) -> np.ndarray:
    """Shares in [0, 1] as float64 (n,), NaN where unknown; raises an InputError for any other value."""
    if values is None:
        return np.full(num_images, np.nan)
    values = np.asarray(values, np.float64)
    if values.shape != (num_images,):
        raise InputError(f"{name} must hold one value per image ({num_images}). Received: shape {values.shape}.")
    if np.any((values < -1e-6) | (values > 1 + 1e-6)):
        wrong = int(np.flatnonzero((values < -1e-6) | (values > 1 + 1e-6))[0])
        raise InputError(f"{name} must be a share in [0, 1] or NaN. Received: {values[wrong]} at image {wrong}.")
    return values


def checked_columns(columns: LesionColumns | None, num_images: int) -> dict[str, np.ndarray]:
    """All `LESION_COLUMNS`, NaN where unknown; raises an InputError as `checked_shares`."""
    return {name: checked_shares(name, (columns or {}).get(name), num_images) for name in LESION_COLUMNS}
