"""Methods compared over folds and seeds: means over trained models, bootstrap intervals, paired differences."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from care_tf.data.class_focus import check_focus
from care_tf.evaluation._comparison_cells import (
    CellKey,
    CellPredictions,
    CheckedCell,
    MethodSpec,
    checked_cells,
    warn_of_shared_groups,
)
from care_tf.evaluation._group_scores import FLIPS, WORST, group_statistics
from care_tf.evaluation._weighted_statistics import equal_calls_statistics, run_statistics
from care_tf.evaluation.bootstrap import Statistics, group_bootstrap
from care_tf.evaluation.lesion_figures import columns_known_in_both
from care_tf.evaluation.scores import Estimate


@dataclasses.dataclass(frozen=True)
class CellMean:
    """A figure's mean over cells with its interval, and the cells' own values, of those where it is defined."""

    mean: Estimate
    by_cell: dict[CellKey, float]

    @property
    def num_cells(self) -> int:
        """Number of cells in the mean."""
        return len(self.by_cell)

    @property
    def minimum(self) -> float | None:
        """Lowest cell; None without any."""
        return min(self.by_cell.values(), default=None)

    @property
    def maximum(self) -> float | None:
        """Highest cell; None without any."""
        return max(self.by_cell.values(), default=None)


@dataclasses.dataclass(frozen=True)
class MethodScores:
    """One method: every figure of `run_statistics` over its cells, and its paired differences over `pairs`.

    `pairs` are the cells that its baseline has too; without a baseline, `pairs` and `differences` are empty.
    """

    spec: MethodSpec
    cells: tuple[CellKey, ...]
    pairs: tuple[CellKey, ...]
    figures: dict[str, CellMean]
    differences: dict[str, CellMean]


class FoldSize(NamedTuple):
    """What a fold tests on."""

    fold: str
    num_images: int
    num_groups: int


class GroupSize(NamedTuple):
    """How many images of a class in a group of images a fold tests on."""

    fold: str
    class_name: str
    group: str
    num_images: int


@dataclasses.dataclass(frozen=True)
class Comparison:
    """All methods, in the order given. `cells` holds every (fold, seed) that at least one method has finished.

    `group_sizes` has every class in every group of images, 0 included; it is empty where no groups were named.
    """

    class_names: tuple[str, ...]
    num_resamples: int
    seed: int
    folds: tuple[FoldSize, ...]
    cells: tuple[CellKey, ...]
    methods: tuple[MethodScores, ...]
    group_sizes: tuple[GroupSize, ...] = ()

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Names of the methods without any cell."""
        return tuple(method.spec.name for method in self.methods if not method.cells)

    def method(self, name: str) -> MethodScores:
        """The method of that name."""
        return next(method for method in self.methods if method.spec.name == name)


def compare_methods(
    methods: Sequence[MethodSpec],
    cells: Sequence[CellPredictions],
    class_names: Sequence[str],
    num_resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Every method's figures as means over its cells, and its paired differences to its own baseline.

        value      = mean over the method's cells of the figure within the cell
        difference = mean over the cells that both methods have of (method - baseline) within the cell

    A cell is one trained model on its test fold. A figure is computed within a cell and then averaged: scores of
    different models are on different scales, so an AUC is never pooled across them. A cell where the figure is
    undefined (an absent class) is left out of the mean.

    Intervals are 95 % percentile bootstrap intervals. The groups of a fold are resampled with replacement, folds
    independently of each other; within a fold every method and every seed get the same resamples. A replicate of the
    mean is the mean over cells of the cells' replicates; a cell whose resample did not draw a class is left out of it.

    What the intervals do not say: the trained models are held fixed, so an interval covers which patients or lesions
    were tested, not what another training run would give. How far the training's randomness and the folds move a
    figure shows only in the cells' own values: `CellMean.minimum` and `maximum` belong beside every interval.

    Methods may have finished different cells. Values of two methods are then means over different cells; only the
    paired difference compares like with like. It may therefore differ from the difference of the two values.

    Args:
      methods: The methods, in the order to show.
      cells: Predictions of every finished cell, in any order; those with `image_groups` get the figures of
        `group_statistics`, too.
      class_names: C different names.
      num_resamples: Number of bootstrap resamples.
      seed: Seed of the resamples: of the first fold in sorted order, from which those of the others are derived.

    Returns:
      The comparison; a method without any cell is in it, with undefined figures.

    Raises:
      InputError: No cell; methods of one name; a baseline or a cell's method that is not among the methods; two cells
        of one method, fold and seed; cells of a fold with different images, labels or groups; predictions that
        `evaluate_predictions` would refuse.

    Warns:
      UserWarning: Folds that share groups: their resamples are not independent.

    Example:
      >>> cell = CellPredictions("care", "0", 1, ("a", "b"), np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]]))
      >>> compare_methods([MethodSpec("care", "CARE")], [cell], ["NV", "DF"]).method("care").figures["macro_auc"].mean
      Estimate(value=1.0, low=1.0, high=1.0)

    Source:
      Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 (resample the independent units) and
      13 (percentile intervals). Intervals are not adjusted for the number of comparisons.
    """
    checked = checked_cells(methods, cells, class_names)
    warn_of_shared_groups(list(checked.values()))
    folds = {cell.fold: FoldSize(cell.fold, len(cell.labels), len(np.unique(cell.groups))) for cell in checked.values()}
    group_names = sorted({name for cell in checked.values() for name in cell.image_groups.tolist()} - {""})
    bootstrap = _FoldBootstrap(class_names, sorted(folds), num_resamples, seed, group_names)
    samples = {cell: bootstrap.figures(arrays) for cell, arrays in tqdm(checked.items(), "bootstrap", unit="model")}
    names = list(dict.fromkeys(name for figures in samples.values() for name in figures))
    names += [f"recall_at_equal_calls/{name}" for name in class_names]

    def scores(spec: MethodSpec) -> MethodScores:
        keys = [key for name, key in checked if name == spec.name]
        figures = _means(names, {key: samples[spec.name, key] for key in keys})
        if spec.baseline is None:
            return MethodScores(spec, tuple(keys), (), figures, {})
        pairs = {key: ((spec.name, key), (spec.baseline, key)) for key in keys if (spec.baseline, key) in checked}
        differences = {
            key: bootstrap.difference(checked[own], samples[own], checked[other], samples[other])
            for key, (own, other) in pairs.items()
        }
        return MethodScores(spec, tuple(keys), tuple(pairs), figures, _means(names, differences))

    return Comparison(
        class_names=tuple(class_names),
        num_resamples=num_resamples,
        seed=seed,
        folds=tuple(folds[fold] for fold in sorted(folds)),
        cells=tuple(sorted({key for _, key in checked})),
        methods=tuple(scores(spec) for spec in methods),
        group_sizes=_group_sizes({cell.fold: cell for cell in checked.values()}, class_names, group_names),
    )


def focus_figures(comparison: Comparison, focus_classes: Sequence[str]) -> dict[str, str]:
    """The figures to show: mean class accuracy, macro AUC, and those of the classes in focus.

    A recall never stands without its precision, nor a difference in recall without the one at equal calls.

    Args:
      comparison: The comparison.
      focus_classes: Names of the classes it is about, usually those with boxes in training.

    Returns:
      Figure name -> title, without the figures that no method has (attention where no image has a box).

    Raises:
      InputError: A class in focus that is not in the comparison.
    """
    check_focus(focus_classes, comparison.class_names)
    titles = {"mean_class_accuracy": "Mean class accuracy", "macro_auc": "Macro AUC"}
    for name in dict.fromkeys(focus_classes):
        of_class = {"recall": "recall", "recall_at_equal_calls": "recall at equal calls", "precision": "precision"}
        of_class |= {"f1": "F1", "average_precision": "average precision", "auc": "AUC"}
        of_class |= {"attention_inside": "attention inside", "lesion_reliance": "lesion reliance"}
        of_class |= {"insertion_area": "insertion", "deletion_area": "deletion"}
        titles |= {f"{figure}/{name}": f"{name} {title}" for figure, title in of_class.items()}
    titles |= _group_titles(comparison, focus_classes)
    found = [figures for m in comparison.methods for figures in (m.figures, m.differences) if figures]
    return {
        key: title
        for key, title in titles.items()
        if any(key in figures and figures[key].num_cells for figures in found)
    }


def _group_titles(comparison: Comparison, focus_classes: Sequence[str]) -> dict[str, str]:
    """The figures in groups of images: all that there are of two classes, of more those of the classes in focus."""
    groups = dict.fromkeys(size.group for size in comparison.group_sizes)
    if not groups:
        return {}
    classes = comparison.class_names if len(comparison.class_names) == 2 else dict.fromkeys(focus_classes)
    recalls = {f"group_recall/{name}/{group}": f"{name} recall, {group}" for name in classes for group in groups}
    return {WORST: "Lowest recall of a class in a group", **recalls, FLIPS: "Pairs whose call changes"}


def _group_sizes(
    cells: Mapping[str, CheckedCell], class_names: Sequence[str], group_names: Sequence[str]
) -> tuple[GroupSize, ...]:
    """Of one cell of each fold."""
    return tuple(
        GroupSize(fold, name, group, int(((cells[fold].labels == c) & (cells[fold].image_groups == group)).sum()))
        for group in group_names
        for c, name in enumerate(class_names)
        for fold in sorted(cells)
    )


_Samples = Mapping[str, np.ndarray]
"""Figure name -> (1 + num_resamples,): on the images themselves, then on every resample; NaN where undefined."""


class _FoldBootstrap:
    """Figures of cells on the resamples of their folds."""

    def __init__(
        self,
        class_names: Sequence[str],
        folds: Sequence[str],
        num_resamples: int,
        seed: int,
        group_names: Sequence[str] = (),
    ):
        self._class_names, self._group_names = class_names, group_names
        self._num_resamples = num_resamples
        derived = (np.random.SeedSequence([seed, i]).generate_state(1, np.uint64)[0] for i in range(1, len(folds)))
        self._seeds = dict(zip(folds, [seed, *map(int, derived)], strict=False))

    def figures(self, cell: CheckedCell) -> _Samples:
        """All figures of one cell."""
        predicted = cell.labels, cell.probabilities, self._class_names
        every = [run_statistics(*predicted, cell.attention_inside, cell.lesion_check)]
        if self._group_names:
            pairs = cell.pairs.tolist() if cell.has_pairs else None
            every.append(group_statistics(*predicted, cell.image_groups, self._group_names, pairs))
        return self._resampled(lambda weights: {k: v for each in every for k, v in each(weights).items()}, cell)

    def difference(self, cell: CheckedCell, own: _Samples, baseline: CheckedCell, other: _Samples) -> _Samples:
        """Cell minus baseline, and recalls at equal calls; of what few images have, those where both have it."""
        both = columns_known_in_both(_image_values(cell), _image_values(baseline))
        own, other = self._known(cell, own, both[0]), self._known(baseline, other, both[1])
        at_equal_calls = equal_calls_statistics(
            cell.labels, baseline.probabilities, cell.probabilities, self._class_names
        )
        return {**{name: own[name] - other[name] for name in own}, **self._resampled(at_equal_calls, cell)}

    def _resampled(self, statistics: Statistics, cell: CheckedCell) -> _Samples:
        points = statistics(np.ones((1, len(cell.labels))))
        replicates = group_bootstrap(statistics, cell.groups, self._num_resamples, self._seeds[cell.fold])
        return {name: np.concatenate([points[name], replicates[name]]) for name in points}

    def _known(self, cell: CheckedCell, known: _Samples, values: dict[str, np.ndarray]) -> _Samples:
        if all(np.array_equal(each, values[name], equal_nan=True) for name, each in _image_values(cell).items()):
            return known
        check = {name: values[name] for name in cell.lesion_check}
        return self.figures(cell._replace(attention_inside=values[_ATTENTION], lesion_check=check))


_ATTENTION = "attention_inside"


def _image_values(cell: CheckedCell) -> dict[str, np.ndarray]:
    """What some images of a cell have and others do not."""
    return {_ATTENTION: cell.attention_inside, **cell.lesion_check}


def _means(names: Sequence[str], samples: Mapping[CellKey, _Samples]) -> dict[str, CellMean]:
    """The mean of every figure; undefined where no cell has it, as a recall at equal calls without a baseline."""
    return {name: _cell_mean({k: values[name] for k, values in samples.items() if name in values}) for name in names}


def _cell_mean(samples: Mapping[CellKey, np.ndarray]) -> CellMean:
    """The mean over the cells where the figure is defined, of the value and of every replicate."""
    defined = {key: values for key, values in samples.items() if not np.isnan(values[0])}
    if not defined:
        return CellMean(Estimate(None, None, None), {})
    stacked = np.stack(list(defined.values()))
    is_drawn = ~np.isnan(stacked)
    total, count = np.where(is_drawn, stacked, 0.0).sum(axis=0), is_drawn.sum(axis=0)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return CellMean(Estimate.of(mean[0], mean[1:]), {key: float(values[0]) for key, values in defined.items()})
