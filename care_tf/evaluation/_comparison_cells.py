"""The cells of a comparison: what every method's models predicted, checked and brought into one order of images."""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from care_tf.errors import InputError
from care_tf.evaluation._group_scores import check_one_unit, checked_image_groups, drawn_together
from care_tf.evaluation.lesion_figures import LesionColumns
from care_tf.evaluation.scores import checked_columns, checked_groups, checked_predictions, checked_shares


@dataclasses.dataclass(frozen=True)
class MethodSpec:
    """A method: its name in files, its display title, and the name of the method it is compared with, if any."""

    name: str
    title: str
    baseline: str | None = None


class CellKey(NamedTuple):
    """Which of a method's trained models: the fold it is tested on and the seed it was trained with."""

    fold: str
    seed: int


@dataclasses.dataclass(frozen=True, eq=False)
class CellPredictions:
    """What one trained model predicted on its test fold.

    Attributes:
      method: Name of the method.
      fold: Name of the test fold.
      seed: Seed of the training.
      image_names: n different names; they align the cells of a fold, whatever order each holds its images in.
      labels: (n,) integers in [0, C).
      probabilities: (n, C) finite.
      groups: (n,) patient or lesion of every image, or None: every image is its own group.
      attention_inside: (n,) share in [0, 1], NaN where an image has no box; None when attention was not measured.
      lesion_check: What it said of images whose lesion was hidden; None when that was not tried.
      image_groups: n names, such as "frame" or "none", to give recalls of; None for none. Not patients or lesions.
      pairs: n names of pairs of images with two `image_groups`, "" for an image that is in none; None for none.
    """

    method: str
    fold: str
    seed: int
    image_names: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    groups: Sequence | np.ndarray | None = None
    attention_inside: np.ndarray | None = None
    lesion_check: LesionColumns | None = None
    image_groups: Sequence[str] | None = None
    pairs: Sequence[str] | None = None

    @property
    def key(self) -> CellKey:
        """Fold and seed."""
        return CellKey(self.fold, self.seed)

    def __str__(self) -> str:
        return f"{self.method} (fold {self.fold}, seed {self.seed})"


class CheckedCell(NamedTuple):
    """A cell's arrays with images sorted by name: groups without gaps, NaN for what an image has not.

    Without groups of images, `image_groups` is "" everywhere; without pairs, `pairs` is.
    """

    fold: str
    image_names: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray
    attention_inside: np.ndarray
    image_groups: np.ndarray
    pairs: np.ndarray
    lesion_check: Mapping[str, np.ndarray]

    @property
    def has_pairs(self) -> bool:
        """Whether any image is in a pair."""
        return bool((self.pairs != "").any())


def checked_cells(
    methods: Sequence[MethodSpec], cells: Sequence[CellPredictions], class_names: Sequence[str]
) -> dict[tuple[str, CellKey], CheckedCell]:
    """All cells, checked as `compare_methods` says, in one order: methods as given, then by fold and seed.

    Returns:
      (method, key) -> its arrays. Cells of one fold hold equal images, labels and groups in equal order, by name.
    """
    names = [method.name for method in methods]
    _check_methods(methods, names)
    if not cells:
        raise InputError("A comparison needs predictions of at least one cell. Received: none. Train a method first.")
    strangers = sorted({cell.method for cell in cells} - set(names))
    if strangers:
        raise InputError(f"Cells must be of the methods {names}. Received: cells of {strangers}.")
    checked: dict[tuple[str, CellKey], CheckedCell] = {}
    first_of_fold: dict[str, CellPredictions] = {}
    for cell in sorted(cells, key=lambda cell: (names.index(cell.method), cell.key)):
        if (cell.method, cell.key) in checked:
            raise InputError(f"A method has one cell per fold and seed. Received: two of {cell}.")
        try:
            own = _checked_cell(cell, class_names)
        except InputError as error:
            raise InputError(f"Cell {cell}: {error}") from error
        first = first_of_fold.setdefault(cell.fold, cell)
        _check_same_images(own, cell, checked.get((first.method, first.key), own), first)
        checked[cell.method, cell.key] = own
    return checked


def warn_of_shared_groups(cells: Sequence[CheckedCell]) -> None:
    """Warns when two folds share groups; one cell per fold is enough."""
    fold_of_group: dict[object, str] = {}
    for cell in cells:
        for group in cell.groups.tolist():
            other = fold_of_group.setdefault(group, cell.fold)
            if other != cell.fold:
                warnings.warn(
                    f"group {group!r} is in folds {other} and {cell.fold}: folds are resampled independently, so "
                    "intervals come out too narrow. Split by group (patient or lesion).",
                    UserWarning,
                    stacklevel=3,  # the line that asked for the comparison
                )
                return


def _check_methods(methods: Sequence[MethodSpec], names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise InputError(f"Names of methods must differ. Received: {list(names)}.")
    for method in methods:
        if method.baseline is not None and method.baseline not in set(names) - {method.name}:
            raise InputError(
                f"A baseline must be another of the methods {list(names)}. Received: {method.baseline!r} as the "
                f"baseline of {method.name!r}. Add that method, or compare without a baseline (None)."
            )


def _checked_cell(cell: CellPredictions, class_names: Sequence[str]) -> CheckedCell:
    labels, probabilities = checked_predictions(cell.labels, cell.probabilities, class_names)
    image_names = np.asarray(cell.image_names, dtype=object)
    if image_names.shape != labels.shape or len(set(image_names)) != len(labels):
        raise InputError(
            f"image_names must be {len(labels)} different names, one per image. "
            f"Received: {len(image_names)} names, {len(set(image_names))} of them different."
        )
    # An image that is its own group goes by its name: the same in every order of the images.
    units = drawn_together(cell.groups, cell.pairs, cell.image_names)
    groups = checked_groups(cell.image_names if units is None else units, len(labels))
    share = checked_shares("attention_inside", cell.attention_inside, len(labels))
    nothing = np.full(len(labels), "")
    of_image = nothing if cell.image_groups is None else checked_image_groups(cell.image_groups, len(labels))
    pairs = nothing if cell.pairs is None else np.array(cell.pairs)
    if cell.pairs is not None and any(cell.pairs):
        check_one_unit(cell.pairs, of_image.tolist(), groups)
    order = np.argsort(image_names)
    check = {name: values[order] for name, values in checked_columns(cell.lesion_check, len(labels)).items()}
    return CheckedCell(
        cell.fold,
        image_names[order],
        labels[order],
        probabilities[order],
        groups[order],
        attention_inside=share[order],
        image_groups=of_image[order],
        pairs=pairs[order],
        lesion_check=check,
    )


def _check_same_images(
    own: CheckedCell, cell: CellPredictions, first: CheckedCell, first_cell: CellPredictions
) -> None:
    for what in ("image_names", "labels", "groups", "image_groups", "pairs"):
        values, expected = getattr(own, what), getattr(first, what)
        if np.array_equal(values, expected):
            continue
        if what == "image_names":
            different = set(values) ^ set(expected)
            detail = f"{len(different)} images are in one of them only, such as {min(different)!r}"
        else:
            wrong = int(np.flatnonzero(values != expected)[0])
            detail = f"image {own.image_names[wrong]!r} has {values[wrong]!s} and {expected[wrong]!s}"
        raise InputError(
            f"Cells of one fold must hold the same images, labels and groups. Received: other {what} in {cell} than "
            f"in {first_cell}: {detail}. Test all methods with the same manifest and folds."
        )
