"""Several methods on the same folds and seeds: what they share is trained once, what is finished is not done again."""

import dataclasses
import datetime
import hashlib
import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tqdm

from care_tf.data import Manifest, get_sampling, read_manifest
from care_tf.data.groups import own_groups
from care_tf.errors import InputError
from care_tf.evaluation import (
    CellPredictions,
    MethodSpec,
    compare_methods,
    comparison_markdown,
    write_cells_csv,
    write_comparison_csv,
    write_comparison_plot,
)
from care_tf.files import atomic_path
from care_tf.images.decoding import corrupt_files_refused
from care_tf.runs import folder as run_folder
from care_tf.runs.config import DataConfig, RunConfig, Selection, load_config
from care_tf.runs.fingerprint import stage_fingerprint
from care_tf.runs.folder import load_run
from care_tf.runs.progress import check_progress
from care_tf.runs.run_evaluation import predict_manifest, write_predictions
from care_tf.runs.run_training import prepare_run, train_run
from care_tf.runs.shared_images import SharedImages
from care_tf.runs.training_rows import read_training_rows, select_rows

NO_FOLD = "test"
CELL_RECORD = "cell.json"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a comparison.

    Attributes:
      method: Name of its method.
      fold: Fold that it is tested on; "test" where the configuration's own rows are taken.
      config: Its configuration, with every stage that another cell trains taken over from there.
      fingerprints: Of its stages.
      prediction_fingerprint: Of everything that its predictions depend on.
    """

    method: str
    fold: str
    config: RunConfig
    fingerprints: tuple[str, ...]
    prediction_fingerprint: str

    @property
    def folder(self) -> Path:
        """Its run folder."""
        return Path(self.config.output)

    @property
    def is_finished(self) -> bool:
        """Whether it has been trained and has predicted its test images, as they are now."""
        record = self.folder / CELL_RECORD
        if not record.exists() or not (self.folder / run_folder.PREDICTIONS).exists():
            return False
        return record.read_text() == self.prediction_fingerprint

    @property
    def num_epochs(self) -> int:
        """Epochs that it trains itself."""
        return sum(stage.epochs for stage in self.config.stages if stage.reuse is None)

    def __str__(self) -> str:
        return f"{self.method}, fold {self.fold}, seed {self.config.seed}"


def read_methods(paths: Sequence[str | os.PathLike], overrides: Sequence[str] = ()) -> dict[str, RunConfig]:
    """Reads the configurations.

    Args:
      paths: YAML files with different names.
      overrides: As for `load_config`; they hold for all.

    Returns:
      Name of the file, without .yaml -> configuration.

    Raises:
      InputError: A configuration is bad, two have one name, or their classes or manifests differ.
    """
    if not paths:
        raise InputError("A comparison needs at least one configuration. Received none.")
    methods: dict[str, RunConfig] = {}
    for path in paths:
        name = Path(path).stem
        if name in methods:
            raise InputError(f"Methods are called by their files' names, and two are called {name!r}. Rename one.")
        methods[name] = load_config(path, overrides)
    first_name, first = next(iter(methods.items()))
    for name, config in methods.items():
        if (config.data.manifest, config.data.class_names) != (first.data.manifest, first.data.class_names):
            raise InputError(
                f"Methods are compared on the same images, but {first_name} and {name} differ in data.manifest or "
                "data.class_names. Give both the same."
            )
    return methods


def method_specs(methods: dict[str, RunConfig]) -> list[MethodSpec]:
    """Names, titles and baselines of `read_methods`; a baseline that is not among them gives no difference."""
    return [
        MethodSpec(name, config.title or name, config.baseline if config.baseline in methods else None)
        for name, config in methods.items()
    ]


def plan_cells(
    methods: dict[str, RunConfig], folds: Sequence[str] | None, seeds: Sequence[int] | None, output: Path
) -> list[Cell]:
    """All runs of a comparison, in the order in which most can be shared: by fold, seed, then method.

    Args:
      methods: Name -> configuration.
      folds: Each is tested on once, with the others in training; None takes the configurations' own rows.
      seeds: None takes the configurations' own.
      output: Folder of the comparison.

    Returns:
      The cells; a stage that an earlier cell trains with the same data and settings is marked for reuse.

    Raises:
      InputError: A fold does not exist, a class has no training image in one, or a finished cell in the folder has
        other settings.
    """
    for name, values in (("folds", folds), ("seeds", seeds)):
        if values is not None and (len(set(values)) < len(values) or not values):
            raise InputError(
                f"--{name} must name different {name}, at least one. Received {', '.join(map(str, values))}."
            )
    cells: list[Cell] = []
    trained: dict[str, Path] = {}
    first = next(iter(methods.values())).data
    manifest = read_manifest(first.manifest, class_names=first.class_names)
    for fold, seed, (method, config) in itertools.product(folds or (None,), seeds or (None,), methods.items()):
        cell = _cell(method, config, manifest, fold, seed, output, trained)
        for fingerprint in cell.fingerprints:
            trained.setdefault(fingerprint, cell.folder)
        check_progress(cell.folder / run_folder.CHECKPOINTS, cell.fingerprints)
        cells.append(cell)
    return cells


@corrupt_files_refused()
def run_cells(cells: Sequence[Cell], command: Sequence[str] = (), show_epochs: bool = True) -> None:
    """Trains and evaluates the cells that are not finished, with progress and the time left.

    Args:
      cells: Of `plan_cells`.
      command: The command line, for the record.
      show_epochs: Prints a line per epoch, too.

    Raises:
      InputError: A configuration is bad; found before anything is trained.
    """
    open_cells = [cell for cell in cells if not cell.is_finished]
    print(f"{len(cells)} runs: {len(cells) - len(open_cells)} finished, {len(open_cells)} to go", flush=True)
    if not open_cells:
        return
    first_cells = {cell.method: cell for cell in reversed(open_cells)}.values()
    for cell in tqdm.tqdm(list(first_cells), desc="checking methods", unit="method"):
        prepare_run(cell.config)  # raises now what would otherwise raise hours later
        keras.backend.clear_session()
    images = SharedImages(open_cells[0].config.data.cache)
    clock = _Clock(open_cells)
    for number, cell in enumerate(open_cells, start=1):
        print(f"run {number} of {len(open_cells)}: {cell}", flush=True)
        start = time.monotonic()
        train_run(cell.config, command=command, show_progress=show_epochs, images=images)
        _predict(cell)
        keras.backend.clear_session()
        clock.finished(cell, time.monotonic() - start)
        print(f"{cell}: {time.monotonic() - start:.0f} s; about {clock.left()} left", flush=True)


def read_cells(cells: Sequence[Cell]) -> list[CellPredictions]:
    """What the finished cells predicted; cells of `plan_cells` that are not finished are left out."""
    return [_read_predictions(cell) for cell in cells if cell.is_finished]


def write_tables(methods: dict[str, RunConfig], cells: Sequence[Cell], output: Path, num_resamples: int = 1000) -> str:
    """Writes comparison.csv, cells.csv, comparison.md and comparison.png of the cells that are finished.

    Args:
      methods: Of `read_methods`.
      cells: Of `plan_cells`.
      output: Folder of the comparison.
      num_resamples: Bootstrap resamples.

    Returns:
      The tables with one line per row, for a terminal.

    Raises:
      InputError: No cell is finished.
    """
    class_names = cells[0].config.data.class_names or ()
    focus = focus_classes(cells)
    comparison = compare_methods(method_specs(methods), read_cells(cells), class_names, num_resamples)
    notes = "\n".join(f"- {line}" for line in [*_coverage_notes(methods, cells), *_training_notes(methods)])
    text = f"{comparison_markdown(comparison, focus).rstrip()}\n\n{notes}\n"
    with atomic_path(output / "comparison.md") as temporary:
        temporary.write_text(text)
    write_comparison_csv(output / "comparison.csv", comparison)
    write_cells_csv(output / "cells.csv", comparison)
    write_comparison_plot(output / "comparison.png", comparison, focus)
    return f"{comparison_markdown(comparison, focus, has_ranges=False).rstrip()}\n\n{notes}"


def focus_classes(cells: Sequence[Cell]) -> list[str]:
    """The classes that a comparison is about: those with boxes in training, the rarest first; else the rarest."""
    train = read_training_rows(cells[0].config).train
    named = {name for cell in cells for name in cell.config.data.mask_classes or ()}
    rarest_first = sorted(train.class_names, key=lambda name: train.class_counts[name])
    return [name for name in rarest_first if name in named] or rarest_first[:1]


def _cell(
    method: str,
    config: RunConfig,
    manifest: Manifest,
    fold: str | None,
    seed: int | None,
    output: Path,
    trained: dict[str, Path],
) -> Cell:
    seed = config.seed if seed is None else seed
    data = config.data if fold is None else _tested_on(config.data, manifest, fold)
    folder = output / "cells" / method / f"fold{fold or NO_FOLD}_seed{seed}"
    config = config.model_copy(update={"seed": seed, "data": data, "output": str(folder)})
    rows = read_training_rows(config, manifest)
    for stage in config.stages:  # what does not fit this fold's images is refused before another fold is trained
        get_sampling(stage.sampling, rows.train, batch_size=config.training.batch_size, num_epochs=stage.epochs or 1)
    data = data.model_copy(update={"class_names": rows.train.class_names})
    config = config.model_copy(update={"data": data})
    fingerprints = tuple(stage_fingerprint(config, rows, index) for index in range(len(config.stages)))
    stages = []
    can_reuse = True
    for stage, fingerprint in zip(config.stages, fingerprints, strict=True):
        can_reuse = can_reuse and fingerprint in trained  # what follows an own stage is an own stage
        stages.append(dataclasses.replace(stage, reuse=str(trained[fingerprint])) if can_reuse else stage)
    config = config.model_copy(update={"stages": tuple(stages)})
    test = select_rows(manifest, data.test, "data.test")
    predicted_by = [*fingerprints, test.fingerprint(), config.care.cam, config.care.attention_layer]
    digest = hashlib.sha256("\n".join(predicted_by).encode()).hexdigest()
    return Cell(method, fold or NO_FOLD, config, fingerprints, digest)


def _tested_on(data: DataConfig, manifest: Manifest, fold: str) -> DataConfig:
    """The data with one fold to test on; of the others, in a circle, as many as before to validate on."""
    if data.test.folds == (fold,):
        return data
    parts = (data.train, data.validation, data.test)
    listed = {name for part in parts if part is not None for name in part.folds or ()}
    available = sorted(listed & set(manifest.folds))
    if fold not in available:
        raise InputError(
            f"--folds names {fold!r}, but the folds that {manifest.source} and the configuration share are "
            f"{', '.join(available) or 'none'}. Choose among them."
        )
    position = available.index(fold)
    others = available[position + 1 :] + available[:position]
    num_validation = len(data.validation.folds or ()) if data.validation is not None else 0
    if len(others) <= num_validation:
        raise InputError(f"--folds {fold} leaves no fold to train on. The folds are {', '.join(available)}.")
    changes = {"test": _in_folds(data.test, [fold]), "train": _in_folds(data.train, others[num_validation:])}
    if data.validation is not None and num_validation:
        changes["validation"] = _in_folds(data.validation, others[:num_validation])
    return data.model_copy(update=changes)


def _in_folds(selection: Selection, folds: Sequence[str]) -> Selection:
    return selection.model_copy(update={"folds": tuple(sorted(folds))})


def _predict(cell: Cell) -> None:
    run = load_run(cell.folder)
    rows = read_manifest(cell.config.data.manifest, class_names=run.class_names)
    rows = select_rows(rows, cell.config.data.test, "data.test")
    write_predictions(cell.folder, rows, predict_manifest(run, rows))
    with atomic_path(cell.folder / CELL_RECORD) as temporary:
        temporary.write_text(cell.prediction_fingerprint)


def _read_predictions(cell: Cell) -> CellPredictions:
    import pandas as pd

    table = pd.read_csv(
        cell.folder / run_folder.PREDICTIONS, dtype={"label": str, "group": str, "image": str}, keep_default_na=False
    )
    class_names = list(cell.config.data.class_names or ())
    groups = table["group"].tolist()
    named = own_groups(groups)
    return CellPredictions(
        method=cell.method,
        fold=cell.fold,
        seed=cell.config.seed,
        image_names=tuple(table["image"]),
        labels=np.array([class_names.index(name) for name in table["label"]]),
        probabilities=table[class_names].to_numpy(),
        groups=named if any(groups) else None,
        attention_inside=pd.to_numeric(table["attention_inside"], errors="coerce").to_numpy(float),
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


class _Clock:
    """Time left, from the time per epoch of the same method where one was measured, else of all."""

    def __init__(self, cells: Sequence[Cell]):
        self._open = list(cells)
        self._measured: list[tuple[Cell, float]] = []

    def finished(self, cell: Cell, seconds: float) -> None:
        self._open.remove(cell)
        self._measured.append((cell, seconds))

    def left(self) -> datetime.timedelta:
        return datetime.timedelta(seconds=round(sum(self._expected(cell) for cell in self._open)))

    def _expected(self, cell: Cell) -> float:
        same = [entry for entry in self._measured if entry[0].method == cell.method] or self._measured
        return (cell.num_epochs + 1) * sum(s for _, s in same) / sum(c.num_epochs + 1 for c, _ in same)
