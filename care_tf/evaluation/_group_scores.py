"""Recall in groups of images, such as those with and without a cue; the worst of them; and how often a cue decides."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from care_tf.errors import InputError
from care_tf.evaluation.bootstrap import Statistics, group_bootstrap
from care_tf.evaluation.scores import Estimate, checked_groups, checked_predictions

WORST, FLIPS = "worst_group_recall", "flip_rate"
FEW_IMAGES = 20
"""Of fewer images one is more than five points of their recall."""


@dataclasses.dataclass(frozen=True)
class GroupRecall:
    """The recall of one class among the images of one group: num_correct / num_images."""

    class_name: str
    group: str
    num_images: int
    num_correct: int
    recall: Estimate


@dataclasses.dataclass(frozen=True)
class GroupScores:
    """What a classifier does in groups of images.

    Attributes:
      cells: The recall of every class in every group that has images of it.
      worst: The lowest of these recalls. Its interval is that of the lowest in each resample, whichever cell that is;
        the lowest of several noisy recalls is biased downwards, the more so the smaller the cells.
      mean_class_accuracy: Group -> the mean of its classes' recalls; None where a class has no image in it.
    """

    cells: tuple[GroupRecall, ...]
    worst: Estimate
    mean_class_accuracy: dict[str, Estimate]

    @property
    def worst_cell(self) -> GroupRecall:
        """The cell with the lowest recall; of several the first."""
        return min(self.cells, key=lambda cell: cell.num_correct / cell.num_images)

    def to_dict(self) -> dict[str, Any]:
        """A dict that `json.dump` takes."""
        return dataclasses.asdict(self)


def group_scores(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    image_groups: Sequence[str],
    lesions: Sequence | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> GroupScores:
    """Recall of every class in every group of images, with 95 % percentile bootstrap intervals over lesions.

    Args:
      labels: (n,) integers in [0, C).
      probabilities: (n, C) finite; the prediction is the argmax.
      class_names: C different names.
      image_groups: n names, such as "frame" or "none"; all given.
      lesions: n lesions or patients, drawn together; None: every image is its own.
      num_resamples: Number of bootstrap resamples.
      seed: Seed of the resamples.

    Returns:
      The scores. A cell without images does not count for the worst.

    Raises:
      InputError: Shapes that do not fit, labels out of range, values that are not finite, an image without a group.

    Example:
      >>> probabilities = [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]
      >>> scores = group_scores([0, 0, 1], probabilities, ["NV", "DF"], ["with", "without", "with"])
      >>> scores.worst.value, scores.worst_cell.group
      (0.0, 'without')

    Source: Sagawa et al., Distributionally Robust Neural Networks, ICLR 2020 (lowest accuracy over class x attribute).
    """
    labels, probabilities = checked_predictions(labels, probabilities, class_names)
    groups = checked_image_groups(image_groups, len(labels))
    names = sorted(set(groups.tolist()))
    statistics = group_statistics(labels, probabilities, class_names, groups, names)
    points = statistics(np.ones((1, len(labels))))
    replicates = group_bootstrap(statistics, checked_groups(lesions, len(labels)), num_resamples, seed)
    estimates = {name: Estimate.of(points[name][0], replicates[name]) for name in points}
    is_correct = probabilities.argmax(axis=1) == labels
    cells = []
    for group, (c, name) in itertools.product(names, enumerate(class_names)):
        members = (labels == c) & (groups == group)
        if members.any():
            recall = estimates[f"group_recall/{name}/{group}"]
            cells.append(GroupRecall(name, group, int(members.sum()), int(is_correct[members].sum()), recall))
    means = {name: estimates[f"group_mean_class_accuracy/{name}"] for name in names}
    return GroupScores(tuple(cells), estimates[WORST], means)


def group_differences(
    labels: np.ndarray,
    baseline_probabilities: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    image_groups: Sequence[str],
    lesions: Sequence | None = None,
    pairs: Sequence[str] | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """What a run gains over a baseline in groups of images: run minus baseline, on the same resamples.

    Args:
      labels, class_names, image_groups, num_resamples, seed: As for `group_scores`.
      baseline_probabilities, probabilities: (n, C) of the baseline and of the run, images in the same order.
      lesions: n lesions or patients, drawn together; None: every pair, and every image in none, is its own.
      pairs: As for `flip_rate`; None: no flip rate.

    Returns:
      Figure name -> difference with its 95 % interval, for the names of `group_statistics`.

    Raises:
      InputError: As `group_scores` and `flip_rate`.
    """
    labels, probabilities = checked_predictions(labels, probabilities, class_names)
    _, baseline_probabilities = checked_predictions(labels, baseline_probabilities, class_names)
    groups = checked_image_groups(image_groups, len(labels))
    names = sorted(set(groups.tolist()))
    units = checked_groups(drawn_together(lesions, pairs, range(len(labels))), len(labels))
    if pairs is not None:
        check_one_unit(pairs, image_groups, units)
    of_run, of_baseline = (
        group_statistics(labels, each, class_names, groups, names, pairs)
        for each in (probabilities, baseline_probabilities)
    )

    def difference(weights: np.ndarray) -> dict[str, np.ndarray]:
        run, baseline = of_run(weights), of_baseline(weights)
        return {name: run[name] - baseline[name] for name in run}

    points = difference(np.ones((1, len(labels))))
    replicates = group_bootstrap(difference, units, num_resamples, seed)
    return {name: Estimate.of(points[name][0], replicates[name]) for name in points}


def group_statistics(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    image_groups: np.ndarray,
    group_names: Sequence[str],
    pairs: Sequence[str] | None = None,
) -> Statistics:
    """The function from image weights to what a classifier does in groups of images.

    Figures: "group_recall/<class>/<group>" and "group_mean_class_accuracy/<group>", NaN where there are no such images
    or the weighting has none; "worst_group_recall", the lowest of the recalls that are defined; and with pairs
    "flip_rate", the share of pairs whose images are called differently.

    Args:
      labels: (n,) int.
      probabilities: (n, C) float.
      class_names: C names.
      image_groups: (n,) names.
      group_names: The groups to give figures of.
      pairs: As of `flip_rate`; both images of a pair must have one weight.

    Returns:
      A function of weights (R, n) to a dict of (R,) float64.
    """
    is_correct = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    members = {
        f"{name}/{group}": ((labels == c) & (image_groups == group)).astype(np.float64)
        for group, (c, name) in itertools.product(group_names, enumerate(class_names))
    }
    rows = None if pairs is None else _pair_rows(pairs, image_groups.tolist())
    calls = probabilities.argmax(axis=1)

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        with np.errstate(invalid="ignore"):
            recalls = {cell: (weights @ (own * is_correct)) / (weights @ own) for cell, own in members.items()}
        figures = {f"group_recall/{cell}": values for cell, values in recalls.items()}
        # A cell that a resample has not drawn has no recall in it; some cell has, for some image is drawn.
        figures[WORST] = np.nanmin(np.stack(list(recalls.values())), axis=0)
        for group in group_names:
            own = [recalls[f"{name}/{group}"] for name in class_names]
            figures[f"group_mean_class_accuracy/{group}"] = np.mean(own, axis=0)
        if rows is not None:
            of_pair, is_flipped = weights[:, rows[0]], calls[rows[0]] != calls[rows[1]]
            with np.errstate(invalid="ignore"):
                figures[FLIPS] = of_pair @ is_flipped / of_pair.sum(axis=1)
        return figures

    return statistics


def flip_rate(
    probabilities: np.ndarray,
    pairs: Sequence[str],
    cues: Sequence[str],
    lesions: Sequence | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """How often the predicted class of a pair changes with the cue: the share of pairs, 0 where no cue decides.

    Images of one lesion with and without a real cue differ in more than that, so that of a classifier that the cue
    does not touch some change, too: compare the rate with that of a classifier trained without the cue.

    Args:
      probabilities: (n, C) finite.
      pairs: n names, "" for an image that is in none; every other name twice, with two cues.
      cues: n names, such as "frame" or "none".
      lesions: n lesions or patients, drawn together; None: every pair is its own.
      num_resamples: Number of bootstrap resamples.
      seed: Seed of the resamples.

    Returns:
      The rate with its 95 % percentile bootstrap interval.

    Raises:
      InputError: There is no pair, a name does not occur twice with two cues, or the two are of different lesions.

    Example:
      >>> flip_rate([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1]], ["a", "a", ""], ["none", "frame", "none"]).value
      1.0
    """
    calls = np.asarray(probabilities, np.float64).argmax(axis=1)
    _check_lengths(len(calls), pairs, cues)
    own_lesions = None if lesions is None else checked_groups(lesions, len(calls))
    first, second = _pair_rows(pairs, cues)
    if own_lesions is not None:
        check_one_unit(pairs, cues, own_lesions)
    is_flipped = (calls[first] != calls[second]).astype(np.float64)
    units = np.arange(len(first)) if own_lesions is None else own_lesions[first]
    replicates = group_bootstrap(
        lambda weights: {"rate": weights @ is_flipped / weights.sum(axis=1)}, units, num_resamples, seed
    )
    return Estimate.of(float(is_flipped.mean()), replicates["rate"])


def drawn_together(
    lesions: Sequence | np.ndarray | None, pairs: Sequence[str] | None, image_names: Sequence
) -> list | None:
    """What a resample draws as a whole: the lesions; without any, the images of a pair, and every image in none."""
    if lesions is not None or pairs is None:
        return None if lesions is None else list(lesions)
    return [f"pair {pair}" if pair else f"image {name}" for pair, name in zip(pairs, image_names, strict=True)]


def check_one_unit(pairs: Sequence[str], cues: Sequence[str], units: np.ndarray) -> None:
    """Raises an InputError where the images of a pair are not drawn together, or the pairs are none."""
    _check_lengths(len(units), pairs, cues)
    first, second = _pair_rows(pairs, cues)
    torn = np.flatnonzero(units[first] != units[second])
    if torn.size:
        name = pairs[first[torn[0]]]
        raise InputError(f"The images of a pair must be of one lesion. Received two for the pair {name}.")


def _check_lengths(num_images: int, pairs: Sequence[str], cues: Sequence[str]) -> None:
    if not num_images == len(pairs) == len(cues):
        raise InputError(
            f"pairs and cues need one entry per image ({num_images}). Received {len(pairs)} and {len(cues)}."
        )


def _pair_rows(pairs: Sequence[str], cues: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the first and of the second image of every pair."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(pairs):
        if name:
            rows.setdefault(name, []).append(row)
    for name, own in rows.items():
        if len(own) != 2 or cues[own[0]] == cues[own[1]]:
            received = ", ".join(cues[row] for row in own)
            raise InputError(f"A pair must be two images with two cues. Received {received} for the pair {name}.")
    if not rows:
        raise InputError("The flip rate needs pairs of images. Received none. Choose rows such as split test_balanced.")
    first, second = zip(*rows.values(), strict=True)
    return np.array(first), np.array(second)


def checked_image_groups(names: Sequence[str], num_images: int) -> np.ndarray:
    """The groups as an array; raises an InputError where an image has none."""
    if len(names) != num_images or not all(names):
        missing = sum(not name for name in names)
        raise InputError(
            f"image_groups must name a group for each of {num_images} images. Received {len(names)}, {missing} of "
            "them empty."
        )
    return np.array([str(name) for name in names])
