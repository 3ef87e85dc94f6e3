"""A comparison of methods as text: long CSV files with every figure, and Markdown tables of the ones in focus."""

import functools
import os
from collections.abc import Sequence
from typing import Any

from care_tf.csv_files import write_table
from care_tf.evaluation._group_scores import FEW_IMAGES
from care_tf.evaluation._method_comparison import CellMean, Comparison, MethodScores, focus_figures
from care_tf.evaluation.estimate_text import PARTIAL_NOTE, as_fraction, estimate_text, partial_text

_NUMBERS = ("value", "low", "high", "min", "max", "num_cells")
_COLUMNS = ("method", "figure", *_NUMBERS, "baseline", "difference", *(f"difference_{name}" for name in _NUMBERS[1:]))
_CELL_COLUMNS = ("method", "fold", "seed", "figure", "value")


def comparison_rows(comparison: Comparison, focus_classes: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """One row per method and figure.

    Args:
      comparison: The comparison.
      focus_classes: Names of classes: only the figures of `focus_figures`; None for every figure.

    Returns:
      Rows with "method", "figure", "value", "low", "high" (its interval), "min", "max" (over cells), "num_cells",
      "baseline" (a method or None), "difference" and "difference_low", "_high", "_min", "_max", "_num_cells" over
      the cells that both have; None where undefined. A method without any cell has rows with num_cells 0.

    Raises:
      InputError: A class in focus that is not in the comparison.
    """
    names = None if focus_classes is None else focus_figures(comparison, focus_classes)
    rows = []
    for method in comparison.methods:
        for name in method.figures if names is None else names:
            numbers = _numbers(method.differences[name]) if method.differences else dict.fromkeys(_NUMBERS)
            difference = {"difference" if k == "value" else f"difference_{k}": v for k, v in numbers.items()}
            rows.append(
                {"method": method.spec.name, "figure": name, **_numbers(method.figures[name])}
                | {"baseline": method.spec.baseline, **difference}
            )
    return rows


def write_comparison_csv(path: str | os.PathLike, comparison: Comparison) -> None:
    """Writes the rows of `comparison_rows` with every figure; empty where undefined.

    Args:
      path: The CSV file.
      comparison: The comparison.
    """
    rows = comparison_rows(comparison)
    write_table(path, [_COLUMNS, *([row[column] for column in _COLUMNS] for row in rows)])


def write_cells_csv(path: str | os.PathLike, comparison: Comparison) -> None:
    """Writes every cell's own value of every figure that is defined there: method, fold, seed, figure, value.

    Args:
      path: The CSV file.
      comparison: The comparison.
    """
    rows = [
        (method.spec.name, key.fold, key.seed, name, value)
        for method in comparison.methods
        for name, figure in method.figures.items()
        for key, value in figure.by_cell.items()
    ]
    write_table(path, [_CELL_COLUMNS, *rows])


def comparison_markdown(comparison: Comparison, focus_classes: Sequence[str], has_ranges: bool = True) -> str:
    """Two Markdown tables, figures and paired differences, and how to read them.

    A difference is bold where its interval excludes 0. "(k of n)" after an interval: see `PARTIAL_NOTE`.

    Args:
      comparison: The comparison.
      focus_classes: Names of the classes it is about.
      has_ranges: Whether a second line in each table cell gives the lowest and the highest trained model; without,
        every row is one line, for a terminal.

    Raises:
      InputError: A class in focus that is not in the comparison.
    """
    titles = focus_figures(comparison, focus_classes)
    compared = [method for method in comparison.methods if method.spec.baseline is not None]
    title_of = {method.spec.name: method.spec.title for method in comparison.methods}
    own = [name for name in titles if any(method.figures[name].num_cells for method in comparison.methods)]
    figures = [
        [method.spec.title, _count(len(method.cells), comparison)]
        + [_text(method.figures[name], len(method.cells), has_ranges) for name in own]
        for method in comparison.methods
    ]
    parts = [_table(["method", "models", *(titles[name] for name in own)], figures)]
    if compared:
        differences = [
            [method.spec.title, title_of[method.spec.baseline or ""], _count(len(method.pairs), comparison)]
            + [_text(method.differences[name], len(method.pairs), has_ranges, is_difference=True) for name in titles]
            for method in compared
        ]
        parts += ["Paired differences, method minus its own baseline:"]
        parts += [_table(["method", "baseline", "models", *titles.values()], differences)]
    return "\n\n".join([*parts, *_notes(comparison, compared, list(titles), has_ranges)]) + "\n"


def _numbers(figure: CellMean) -> dict[str, float | int | None]:
    mean = figure.mean
    numbers = (mean.value, mean.low, mean.high, figure.minimum, figure.maximum, figure.num_cells)
    return dict(zip(_NUMBERS, numbers, strict=True))


def _count(number: int, comparison: Comparison) -> str:
    return f"{number} of {len(comparison.cells)}"


def _text(figure: CellMean, num_models: int, has_range: bool, is_difference: bool = False) -> str:
    mean = figure.mean
    if mean.value is None:
        return estimate_text(mean)
    number = functools.partial(as_fraction, is_signed=is_difference)
    text = estimate_text(mean, number)
    text = f"**{text}**" if is_difference and mean.excludes_zero else text
    text += partial_text(figure.num_cells, num_models)
    return text + (f"<br>{number(figure.minimum)} to {number(figure.maximum)}" if has_range else "")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    escaped = [[text.replace("|", "\\|") for text in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in escaped) for column in range(len(header))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(r, widths, strict=True)) + " |" for r in escaped
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _notes(
    comparison: Comparison, compared: Sequence[MethodScores], names: Sequence[str], has_ranges: bool
) -> list[str]:
    num_images = sum(fold.num_images for fold in comparison.folds)
    num_groups = sum(fold.num_groups for fold in comparison.folds)
    unit = "images" if num_groups == num_images else "groups (patients or lesions)"
    size = f"{num_images:,} images" + ("" if num_groups == num_images else f" in {num_groups:,} groups")
    notes = [
        "A value is the mean over a method's trained models (one per fold and seed), each scored on its own test fold; "
        "AUCs are never pooled across models. In brackets: the 95 % interval"
        + (". Below: the lowest and the highest model." if has_ranges else "."),
        f"Intervals: percentile bootstrap, {comparison.num_resamples:,} resamples of the {unit} within each fold "
        f"({len(comparison.folds)} folds, {size}), the same resamples for every method and seed. They say how much a "
        "figure depends on what was tested; the randomness of training is not in them and shows only in how far the "
        "models lie apart.",
    ]
    shown = [m.differences[name] for m in compared for name in names if m.differences[name].mean.value is not None]
    if shown:
        excluding = [difference for difference in shown if difference.mean.excludes_zero]
        num_mixed = sum((each.minimum or 0) <= 0 <= (each.maximum or 0) for each in excluding)
        notes.append(
            f"Bold: the interval excludes 0, as {len(excluding)} of {len(shown)} in the table do. In {num_mixed} of "
            "these the trained models lie on both sides of 0: another training may give the other sign. The intervals "
            "hold the models fixed, so more than one in twenty excludes 0 though nothing differs, the more the fewer "
            "models there are. Nothing is adjusted for that, nor for the number of differences."
        )
    if shown and any(name.startswith("recall_at_equal_calls/") for name in names):
        notes.append(
            "Recall at equal calls: the baseline's logit of the class is shifted until it calls the class as often as "
            "the method does. What is left of the difference in recall is better ranking; the rest is calling it more."
        )
    notes += _group_notes(comparison)
    figures = [(m.figures[name].num_cells, len(m.cells)) for m in comparison.methods for name in names]
    if any(0 < number < total for number, total in figures):
        notes.append(PARTIAL_NOTE)
    if comparison.unfinished:
        titles = [comparison.method(name).spec.title for name in comparison.unfinished]
        notes.append(f"Unfinished, without any trained model yet: {', '.join(titles)}.")
    if any(0 < len(method.cells) < len(comparison.cells) for method in comparison.methods):
        notes.append(
            "Not every method has all models: values of different methods are then means over different folds and "
            "seeds. Differences are over those that both have."
        )
    return notes


def _group_notes(comparison: Comparison) -> list[str]:
    if not comparison.group_sizes:
        return []
    notes = [
        "The lowest recall is that of any class in any group of images, found within each model, and in each resample "
        "anew. The lowest of several noisy recalls is biased downwards, the more so the fewer images a group has."
    ]
    few: dict[str, list[str]] = {}
    for size in comparison.group_sizes:
        if size.num_images < FEW_IMAGES:
            few.setdefault(f"{size.class_name}, {size.group}", []).append(f"{size.num_images} in fold {size.fold}")
    if few:
        counts = "; ".join(f"{name}: {', '.join(each)}" for name, each in few.items())
        notes.append(
            f"Groups of fewer than {FEW_IMAGES} images of a class, so that one image changes its recall by more than "
            f"{100 // FEW_IMAGES} points, and without any there is no recall: {counts}."
        )
    return notes
