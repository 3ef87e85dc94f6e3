"""Several methods on the same folds and seeds: what they share is trained once, what is finished is not done again."""

import collections
import dataclasses
import io
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tqdm

from care_tf import run_files
from care_tf.data import read_manifest
from care_tf.data.class_focus import focus_classes
from care_tf.data.groups import groups_or_none
from care_tf.errors import InputError, clause
from care_tf.evaluation import (
    CellPredictions,
    compare_methods,
    comparison_markdown,
    write_cells_csv,
    write_comparison_csv,
    write_comparison_plot,
)
from care_tf.evaluation.lesion_figures import LESION_COLUMNS
from care_tf.files import write_text
from care_tf.images.decoding import corrupt_files_refused
from care_tf.images.outside_choice import KEEP
from care_tf.runs._cell_training import train_cell
from care_tf.runs._parallel_cells import check_one_device_each, results_in_parallel
from care_tf.runs._run_training import prepare_run
from care_tf.runs._shared_images import SharedImages
from care_tf.runs._training_rows import read_training_rows
from care_tf.runs.comparison_plan import Cell, method_specs
from care_tf.runs.config import RunConfig
from care_tf.runs.distribution import distributed
from care_tf.runs.image_groups import ImageGroups
from care_tf.text_files import read_bytes
from care_tf.time_left import as_duration, seconds_left
from care_tf.workers import Workers


@corrupt_files_refused()
def run_cells(
    cells: Sequence[Cell], command: Sequence[str] = (), show_epochs: bool = True, workers: Workers | None = None
) -> None:
    """Trains and evaluates the cells that are not finished, with progress and the time left.

    Args:
      cells: Of `plan_cells`.
      command: The command line, for the record.
      show_epochs: Prints a line per epoch, too, where one is trained after the other.
      workers: Who trains them, several at a time; None: this process, one after the other.

    Raises:
      InputError: A configuration is bad, found before anything is trained; or runs of several at a time have failed,
        said when the others have ended.

    Warns:
      UserWarning: Images or masks have changed since a run was finished.
    """
    open_cells = [cell if workers is None else _on_one_device(cell) for cell in cells if not cell.is_finished]
    if _changed_note(cells):
        warnings.warn(_changed_note(cells), UserWarning, stacklevel=3)
    print(f"{len(cells)} runs: {len(cells) - len(open_cells)} finished, {len(open_cells)} to go", flush=True)
    if not open_cells:
        return
    if workers is not None:
        check_one_device_each(open_cells)
    first_cells = {cell.method: cell for cell in reversed(open_cells)}.values()
    for cell in tqdm.tqdm(list(first_cells), desc="checking methods", unit="method"):
        with distributed(cell.config.training):  # several workers must join before anything is computed
            prepare_run(cell.config)  # raises now what would otherwise raise hours later
        keras.backend.clear_session()
    if workers is None:
        _one_after_the_other(open_cells, command, show_epochs)
    else:
        _several_at_a_time(open_cells, command, workers)


def _one_after_the_other(cells: Sequence[Cell], command: Sequence[str], show_epochs: bool) -> None:
    images = SharedImages(cells[0].config.data.cache)
    epoch_seconds: dict[str, list[float]] = collections.defaultdict(list)
    for number, cell in enumerate(cells, start=1):
        print(f"run {number} of {len(cells)}: {cell}", flush=True)
        start = time.monotonic()
        train_cell(cell, command, images, show_epochs)
        keras.backend.clear_session()
        seconds = time.monotonic() - start
        epoch_seconds[cell.method].append(seconds / (cell.num_epochs + 1))  # predicting counts as one more
        left = as_duration(_seconds_left(epoch_seconds, cells[number:]))
        print(f"{cell}: {seconds:.0f} s; about {left} left", flush=True)


def _on_one_device(cell: Cell) -> Cell:
    """The cell with `auto` meaning one device, wherever a worker runs it; other choices are refused later."""
    if cell.config.training.distribution != "auto":
        return cell
    training = cell.config.training.model_copy(update={"distribution": "none"})
    return dataclasses.replace(cell, config=cell.config.model_copy(update={"training": training}))


def _several_at_a_time(cells: Sequence[Cell], command: Sequence[str], workers: Workers) -> None:
    start, epochs_done, failures = time.monotonic(), 0, []
    epochs_left = sum(cell.num_epochs + 1 for cell in cells)
    for number, result in enumerate(results_in_parallel(cells, command, workers), start=1):
        message = result.message
        if not message and not result.cell.is_finished:
            message = f"{result.cell.folder} of its worker is not to be seen from here"
        epochs_left -= result.cell.num_epochs + 1
        if message:  # how long it took says nothing of the others
            failures.append(f"{result.cell}: {clause(message)}")
        else:
            epochs_done += result.cell.num_epochs + 1
        said = f"failed: {clause(message)}" if message else f"{result.seconds:.0f} s"
        if epochs_done:
            said += f"; about {as_duration((time.monotonic() - start) * epochs_left / epochs_done)} left"
        print(f"run {number} of {len(cells)}, {result.cell}: {said}", flush=True)
    if failures:
        raise InputError(
            f"{len(failures)} of {len(cells)} runs failed ({'; '.join(failures)}). What is finished is kept: the same "
            "command continues from there."
        )


def read_cells(cells: Sequence[Cell], image_groups: ImageGroups | None = None) -> list[CellPredictions]:
    """What the finished cells predicted; cells of `plan_cells` that are not finished are left out."""
    return [_read_predictions(cell, image_groups) for cell in cells if cell.is_finished]


def write_tables(
    methods: dict[str, RunConfig],
    cells: Sequence[Cell],
    output: Path,
    num_resamples: int = 1000,
    image_groups: ImageGroups | None = None,
) -> str:
    """Writes comparison.csv, cells.csv, comparison.md and comparison.png of the cells that are finished.

    Args:
      methods: Of `read_methods`.
      cells: Of `plan_cells`.
      output: Folder of the comparison.
      num_resamples: Bootstrap resamples.
      image_groups: Of `read_image_groups`: figures in groups of images are shown, too.

    Returns:
      The tables with one line per row, for a terminal.

    Raises:
      InputError: No cell is finished.
    """
    class_names = cells[0].config.data.class_names or ()
    focus = classes_compared(cells)
    comparison = compare_methods(method_specs(methods), read_cells(cells, image_groups), class_names, num_resamples)
    notes = comparison_notes(methods, cells)
    text = f"{comparison_markdown(comparison, focus).rstrip()}\n\n{notes}\n"
    write_text(output / "comparison.md", text)
    write_comparison_csv(output / "comparison.csv", comparison)
    write_cells_csv(output / "cells.csv", comparison)
    write_comparison_plot(output / "comparison.png", comparison, focus)
    return f"{comparison_markdown(comparison, focus, has_ranges=False).rstrip()}\n\n{notes}"


def classes_compared(cells: Sequence[Cell]) -> list[str]:
    """The classes in focus: those whose boxes are used by the methods that keep their images, or else by the first.

    Images are cropped or painted by the boxes of all classes, lest the change tell the class: that is no focus on them.
    """
    whole = [cell for cell in cells if cell.config.data.outside_boxes == KEEP] or cells[:1]
    with_boxes = {name for cell in whole for name in cell.config.data.mask_classes or ()}
    return focus_classes(read_training_rows(cells[0].config).train.class_counts, with_boxes)


def comparison_notes(methods: dict[str, RunConfig], cells: Sequence[Cell]) -> str:
    """What a reader must know of a comparison, as a Markdown list: what is finished, how the methods were trained."""
    lines = [*_coverage_notes(methods, cells), *_unchecked_notes(cells), *_training_notes(methods)]
    lines += filter(None, [_changed_note(cells)])
    lines += [*_image_notes(methods), *_box_notes(methods)]
    return "\n".join(f"- {line}" for line in lines)


def _read_predictions(cell: Cell, image_groups: ImageGroups | None) -> CellPredictions:
    import pandas as pd

    table = pd.read_csv(_predictions(cell), dtype={"label": str, "group": str, "image": str}, keep_default_na=False)
    class_names, images = list(cell.config.data.class_names or ()), table["image"].tolist()
    return CellPredictions(
        method=cell.method,
        fold=cell.fold,
        seed=cell.config.seed,
        image_names=tuple(images),
        labels=np.array([class_names.index(name) for name in table["label"]]),
        probabilities=table[class_names].to_numpy(),
        groups=groups_or_none(table["group"].tolist()),
        attention_inside=pd.to_numeric(table["attention_inside"], errors="coerce").to_numpy(float),
        lesion_check={
            name: pd.to_numeric(table[name], errors="coerce").to_numpy(float)
            for name in LESION_COLUMNS
            if name in table  # not in one that was predicted before there was this check
        },
        image_groups=None if image_groups is None else image_groups.groups_of(images),
        pairs=None if image_groups is None else image_groups.pairs_of(images),
    )


def _coverage_notes(methods: dict[str, RunConfig], cells: Sequence[Cell]) -> list[str]:
    """What the comparison covers: how much of the plan is finished, and which baselines are not in it."""
    num_finished = sum(cell.is_finished for cell in cells)
    folds = ", ".join(dict.fromkeys(cell.fold for cell in cells))
    seeds = ", ".join(dict.fromkeys(str(cell.config.seed) for cell in cells))
    lines = [f"{num_finished} of {len(cells)} planned runs are finished. Folds tested on: {folds}. Seeds: {seeds}."]
    for name, config in methods.items():
        if config.baseline is not None and config.baseline not in methods:
            lines.append(f"{config.title or name} has no difference: its baseline {config.baseline!r} is not compared.")
    return lines


def _unchecked_notes(cells: Sequence[Cell]) -> list[str]:
    """Which runs have no figures of their lesions although they have boxes, and how they get them."""
    folders = [cell.folder for cell in cells if cell.is_finished and _is_unchecked(cell)]
    if not folders:
        return []
    return [
        "Predicted before lesions were checked as they are now, and therefore without all these figures: "
        f"{len(folders)} of the finished runs, such as {folders[0]}. `care evaluate FOLDER` predicts a run again; the "
        "tables written after that have its figures."
    ]


def _predictions(cell: Cell) -> io.BytesIO:
    return io.BytesIO(read_bytes(cell.folder / run_files.PREDICTIONS))


def _is_unchecked(cell: Cell) -> bool:
    import pandas as pd

    table = pd.read_csv(_predictions(cell))
    return bool(table["attention_inside"].notna().any()) and not all(name in table for name in LESION_COLUMNS)


def _changed_note(cells: Sequence[Cell]) -> str:
    """Which finished runs come from images or masks that are others now, and what to do; "" where none does."""
    changed = [cell for cell in cells if cell.changes]
    if not changed:
        return ""
    return (
        f"Images or masks have changed since {len(changed)} of the finished runs, which are kept as they are. Of "
        f"{changed[0].folder}: {changed[0].changes}. Where files were only copied or touched, nothing is wrong; else "
        "compare in another --output, lest one table hold both."
    )


def _training_notes(methods: dict[str, RunConfig]) -> list[str]:
    """What the table's readers must know of the training: lengths, and layers that were frozen or cached."""
    notes: dict[str, list[str]] = {}
    for name, config in methods.items():
        for stage in config.stages:
            if stage.frozen_through is not None:
                cached = ", their activations computed once per flip" if stage.cache_activations else ""
                text = f"Stage {stage.name} does not train the layers up to {stage.frozen_through}{cached}"
                notes.setdefault(text, []).append(config.title or name)
    lengths = {" + ".join(str(stage.epochs) for stage in config.stages) for config in methods.values()}
    capped = {str(dict(config.data.max_images_per_class)) for config in methods.values()} - {"{}"}
    lines = [f"Epochs per stage: {'; '.join(sorted(lengths))}."]
    lines += [f"Training images are capped: {cap}." for cap in sorted(capped)]
    lines += [
        f"{text}: {'all methods' if len(names) == len(methods) else ', '.join(names)}." for text, names in notes.items()
    ]
    return lines


def _image_notes(methods: dict[str, RunConfig]) -> list[str]:
    """Whose images are changed by their boxes, and whose training boxes are others than those given."""
    notes: dict[str, list[str]] = {}
    for name, config in methods.items():
        for text in config.data.notes:
            notes.setdefault(text, []).append(config.title or name)
    return [f"{', '.join(names)}: {text}" for text, names in notes.items()]


def _box_notes(methods: dict[str, RunConfig]) -> list[str]:
    """Who made the training boxes that are not the manifest's own, and in how many images."""
    notes: dict[str, list[str]] = {}
    for name, config in methods.items():
        if config.data.train_boxes is None:
            continue
        rows = read_manifest(config.data.train_boxes, check_images=False)
        used = config.data.mask_classes or rows.class_names
        counts = collections.Counter(
            source or "an unknown source"
            for source, label, has_box in zip(rows.box_sources, rows.labels, rows.has_boxes, strict=True)
            if has_box and rows.class_names[label] in used
        )
        counted = (f"{source} ({count} images in the file)" for source, count in counts.most_common())
        made = ", ".join(counted) or "nobody: it has none"
        text = f"Training boxes of {', '.join(used)} from {config.data.train_boxes}, made by {made}"
        notes.setdefault(text, []).append(config.title or name)
    return [f"{text}: {', '.join(names)}." for text, names in notes.items()]


def _seconds_left(epoch_seconds: dict[str, list[float]], cells: Sequence[Cell]) -> float:
    """What cells take at the time per epoch of their own method where one was measured, else of all methods."""
    of_all = [seconds for measured in epoch_seconds.values() for seconds in measured]
    return sum(seconds_left(epoch_seconds.get(cell.method, of_all), cell.num_epochs + 1) for cell in cells)
