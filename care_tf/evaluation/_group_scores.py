"""Recall in groups of images, such as those with and without a cue; the worst of them; and how often a cue decides."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from care_tf.errors import InputError
from care_tf.evaluation.bootstrap import group_bootstrap
from care_tf.evaluation.scores import Estimate, checked_groups, checked_predictions


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
    groups = _checked_names("image_groups", image_groups, len(labels))
    drawn_together = checked_groups(lesions, len(labels))
    is_correct = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    names = sorted(set(groups.tolist()))
    members = {(c, name): (labels == c) & (groups == name) for name in names for c in range(len(class_names))}
    members = {cell: own.astype(np.float64) for cell, own in members.items() if own.any()}

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        with np.errstate(invalid="ignore"):
            recall = {cell: (weights @ (own * is_correct)) / (weights @ own) for cell, own in members.items()}
        every = np.stack(list(recall.values()))
        found = {f"{c}/{name}": values for (c, name), values in recall.items()}
        # A cell that a resample has not drawn has no recall in it; some cell has, for some image is drawn.
        found["worst"] = np.nanmin(every, axis=0)
        for name in names:
            own = [values for (_, group), values in recall.items() if group == name]
            is_whole = len(own) == len(class_names)
            found[f"mean/{name}"] = np.mean(own, axis=0) if is_whole else np.full(len(weights), np.nan)
        return found

    points = statistics(np.ones((1, len(labels))))
    replicates = group_bootstrap(statistics, drawn_together, num_resamples, seed)
    estimates = {name: Estimate.of(points[name][0], replicates[name]) for name in points}
    cells = tuple(
        GroupRecall(class_names[c], name, int(own.sum()), int((own * is_correct).sum()), estimates[f"{c}/{name}"])
        for (c, name), own in members.items()
    )
    return GroupScores(cells, estimates["worst"], {name: estimates[f"mean/{name}"] for name in names})


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
    if not len(calls) == len(pairs) == len(cues):
        raise InputError(
            f"pairs and cues need one entry per image ({len(calls)}). Received {len(pairs)} and {len(cues)}."
        )
    own_lesions = None if lesions is None else checked_groups(lesions, len(calls))
    first, second = _pair_rows(pairs, cues)
    if own_lesions is not None and (torn := np.flatnonzero(own_lesions[first] != own_lesions[second])).size:
        name = pairs[first[torn[0]]]
        raise InputError(f"The images of a pair must be of one lesion. Received two for the pair {name}.")
    is_flipped = (calls[first] != calls[second]).astype(np.float64)
    drawn_together = np.arange(len(first)) if own_lesions is None else own_lesions[first]
    replicates = group_bootstrap(
        lambda weights: {"rate": weights @ is_flipped / weights.sum(axis=1)}, drawn_together, num_resamples, seed
    )
    return Estimate.of(float(is_flipped.mean()), replicates["rate"])


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


def _checked_names(what: str, names: Sequence[str], num_images: int) -> np.ndarray:
    if len(names) != num_images or not all(names):
        missing = sum(not name for name in names)
        raise InputError(
            f"{what} must name a group for each of {num_images} images. Received {len(names)}, {missing} of them empty."
        )
    return np.array([str(name) for name in names])
