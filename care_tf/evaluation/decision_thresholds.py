"""A threshold for every class's probability, chosen on validation images (NumPy)."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from care_tf.errors import InputError
from care_tf.evaluation._thresholds import calls_by_threshold
from care_tf.evaluation.bootstrap import group_bootstrap
from care_tf.evaluation.calibration import tempered
from care_tf.evaluation.scores import Estimate, checked_groups, checked_predictions

RULES = "f1, youden, sensitivity=NUMBER, specificity=NUMBER"


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a threshold is chosen for.

    Attributes:
      name: "f1": the highest F1. "youden": the highest sensitivity + specificity. "sensitivity", "specificity": the
        highest other one where this one is at least `least`.
      least: In (0, 1]; None for the first two.
    """

    name: str
    least: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """The rule of a text such as "f1" or "sensitivity=.9"; an `InputError` for another."""
        name, has_number, number = text.partition("=")
        try:
            least = float(number) if has_number else None
        except ValueError:
            least = 0.0
        is_share = least is not None and 0 < least <= 1
        if (name in ("f1", "youden") and not has_number) or (name in ("sensitivity", "specificity") and is_share):
            return cls(name, least)
        raise InputError(
            f"A rule for thresholds must be one of {RULES}, the number in (0, 1]. Received {text!r}. "
            "Write, for example, sensitivity=.9."
        )

    def __str__(self) -> str:
        return self.name if self.least is None else f"{self.name}={self.least:g}"


def choose_thresholds(
    labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str], rule: Rule | str = "f1"
) -> tuple[float | None, ...]:
    """The threshold t_c of every class: an image is called c where p_c >= t_c.

    Classes are judged one by one, so an image may be called several classes or none. A threshold lies half way between
    the lowest probability that is called and the highest that is not. Among equally good ones the highest is taken: it
    calls the fewest images.

    Args:
      labels: (n,) integers in [0, C).
      probabilities: (n, C) finite, of images that the network was not trained on.
      class_names: C different names.
      rule: What to choose them for, a `Rule` or its text.

    Returns:
      C thresholds in [0, 1]; None for a class that all images have, or none, and where no threshold reaches the share
      that the rule asks for.

    Raises:
      InputError: Shapes that do not fit, labels out of range, an unknown rule.

    Example:
      >>> choose_thresholds([0, 0, 1], [[0.9, 0.1], [0.7, 0.3], [0.5, 0.5]], ["NV", "DF"])
      (0.6, 0.4)
    """
    rule = Rule.parse(rule) if isinstance(rule, str) else rule
    labels, probabilities = checked_predictions(labels, probabilities, class_names)
    return tuple(_threshold(probabilities[:, index], labels == index, rule) for index in range(len(class_names)))


@dataclasses.dataclass(frozen=True)
class Decision:
    """How a run's probabilities are read: calibrated by a temperature, then called at a threshold for each class.

    Attributes:
      class_names: C names.
      temperature: Of `fit_temperature`.
      thresholds: Of `choose_thresholds`, for calibrated probabilities; a class without one is never called.
    """

    class_names: tuple[str, ...]
    temperature: float
    thresholds: tuple[float | None, ...]

    @property
    def limits(self) -> list[float]:
        """The thresholds, infinity for a class without one."""
        return [np.inf if threshold is None else threshold for threshold in self.thresholds]

    def calibrated(self, probabilities: np.ndarray) -> np.ndarray:
        """The network's probabilities (n, C), tempered."""
        return tempered(probabilities, self.temperature)

    def calls(self, probabilities: np.ndarray) -> np.ndarray:
        """Which classes each image is called, (n, C) bool, of the network's own probabilities (n, C)."""
        return self.calibrated(probabilities) >= self.limits


@dataclasses.dataclass(frozen=True)
class CallScores:
    """What calling a class at its threshold finds: of its images, of the others, and among what is called."""

    name: str
    threshold: float
    num_calls: int
    sensitivity: Estimate
    specificity: Estimate
    precision: Estimate


def call_scores(
    labels: np.ndarray,
    probabilities: np.ndarray,
    decision: Decision,
    groups: Sequence | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[CallScores]:
    """What each threshold of a decision finds on images it was not chosen on, with 95 % intervals over groups.

    Args:
      labels, probabilities, groups, num_resamples, seed: As for `evaluate_predictions`.
      decision: Temperature and thresholds.

    Returns:
      One entry for each class that has a threshold.
    """
    labels, probabilities = checked_predictions(labels, probabilities, decision.class_names)
    calls, group_of_image = decision.calls(probabilities), checked_groups(groups, len(labels))
    chosen = [(index, threshold) for index, threshold in enumerate(decision.thresholds) if threshold is not None]

    def shares(weights: np.ndarray) -> dict[str, np.ndarray]:
        figures = {}
        for index, _ in chosen:
            member, called = labels == index, calls[:, index]
            pairs = {"sensitivity": (called, member), "specificity": (~called, ~member), "precision": (member, called)}
            with np.errstate(invalid="ignore"):
                for key, (part, whole) in pairs.items():
                    figures[f"{key}/{index}"] = weights @ (part & whole) / (weights @ whole)
        return figures

    points = shares(np.ones((1, len(labels))))
    replicates = group_bootstrap(shares, group_of_image, num_resamples, seed) if chosen else {}
    found = []
    for index, threshold in chosen:
        names = {key: f"{key}/{index}" for key in ("sensitivity", "specificity", "precision")}
        estimates = {key: Estimate.of(points[name][0], replicates[name]) for key, name in names.items()}
        found.append(CallScores(decision.class_names[index], threshold, int(calls[:, index].sum()), **estimates))
    return found


def _threshold(scores: np.ndarray, is_positive: np.ndarray, rule: Rule) -> float | None:
    positives = int(is_positive.sum())
    if positives in (0, len(scores)):
        return None
    called, found = (row[0] for row in calls_by_threshold(scores, is_positive, np.ones((1, len(scores)))))
    sensitivity, specificity = found / positives, 1 - (called - found) / (len(scores) - positives)
    if rule.name == "f1":
        gain = 2 * found / (called + positives)
    elif rule.name == "youden":
        gain = sensitivity + specificity
    elif rule.name == "sensitivity":
        gain = np.where(sensitivity >= rule.least, specificity, -1.0)
    else:
        gain = np.where(specificity >= rule.least, sensitivity, -1.0)
    best = int(gain.argmax())
    if gain[best] < 0:
        return None
    values = np.unique(scores)[::-1]
    below = values[best + 1] if best + 1 < len(values) else 0.0
    return float((values[best] + below) / 2)
