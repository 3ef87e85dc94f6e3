"""The runs of a comparison: every method on every fold with every seed, and what they share."""

import collections
import dataclasses
import itertools
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from care_tf import run_files
from care_tf.csv_files import parse_columns
from care_tf.data import Manifest, get_sampling, read_manifest
from care_tf.errors import InputError
from care_tf.evaluation import MethodSpec
from care_tf.images.outside_choice import KEEP
from care_tf.runs._cell_record import cell_record
from care_tf.runs._fingerprint import stage_files, stage_fingerprints
from care_tf.runs._progress import check_progress, file_states, finished_stages, stage_weights
from care_tf.runs._source_files import FileStates, changes_since, files_of_rows
from care_tf.runs._training_rows import read_training_rows, select_rows
from care_tf.runs.config import DataConfig, RunConfig, Selection, load_config
from care_tf.runs.named_configs import value_name
from care_tf.text_files import read_text

NO_FOLD = "test"
# Settings that change nothing in a method without attention, and those that would make it one with; what is left of
# care. says how its attention is measured.
ATTENTION_KEYS = (
    *("care.form", "care.tau", "care.lam", "care.reduction", "care.outside", "care.second_order", "care.mask_head*"),
    *("data.train_boxes", "data.train_box_scale", "data.train_box_share", "data.train_box_place", "data.mask_classes"),
)
ALPHA_KEYS = ("every_stage.alpha", "stages.*.alpha")


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a comparison.

    Attributes:
      method: Name of its method.
      fold: Fold that it is tested on; "test" where the configuration's own rows are taken.
      config: Its configuration, with every stage that another cell trains taken over from there.
      fingerprints: Of its stages.
      prediction_fingerprint: Of everything that its predictions depend on.
      changes: Of a finished one, what of its images and masks has changed since, as of `changes_since`.
    """

    method: str
    fold: str
    config: RunConfig
    fingerprints: tuple[str, ...]
    prediction_fingerprint: str
    changes: str = ""

    @property
    def folder(self) -> Path:
        """Its run folder."""
        return Path(self.config.output)

    @property
    def is_finished(self) -> bool:
        """Whether it has been trained and has predicted its test images, those of its rows as they are now."""
        record = self.folder / run_files.CELL_RECORD
        if not record.exists() or not (self.folder / run_files.PREDICTIONS).exists():
            return False
        return read_text(record) == self.prediction_fingerprint

    @property
    def num_epochs(self) -> int:
        """Epochs that it trains itself."""
        return sum(stage.epochs for stage in self.config.stages if stage.reuse is None)

    def __str__(self) -> str:
        return f"{self.method}, fold {self.fold}, seed {self.config.seed}"


def read_methods(
    paths: Sequence[str | os.PathLike],
    overrides: Sequence[str] = (),
    varied: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, RunConfig]:
    """Reads the configurations, each in all its variants.

    Args:
      paths: YAML files with different names.
      overrides: As for `load_config`; they hold for all.
      varied: Key of a configuration -> values; a method has a variant for each, for each combination where there are
        several keys. A method without attention has no variants of `ALPHA_KEYS`, and a variant without it none of
        `ATTENTION_KEYS`.

    Returns:
      Name of the file, without .yaml -> configuration; "care@tau=.5" for a variant, with as much of a key as tells it
      from the other keys. A variant's baseline is the same variant of its method's, where that varies, too.

    Raises:
      InputError: A configuration is bad, two methods or variants have one name, their classes or manifests differ, or
        what is varied changes none of them.
    """
    if not paths:
        raise InputError("A comparison needs at least one configuration. Received none.")
    variants: dict[str, _Variant] = {}
    for path in paths:
        name = Path(path).stem
        if any(variant.method == name for variant in variants.values()):
            raise InputError(f"Methods are called by their files' names, and two are called {name!r}. Rename one.")
        for variant in _variants(path, name, overrides, varied or {}):
            if variant.name in variants:
                raise InputError(
                    f"Variants are called by their settings, and two are called {variant.name!r}. Rename a file, or "
                    "vary over other values."
                )
            variants[variant.name] = variant
    for key in varied or {}:
        if not any(key in variant.settings for variant in variants.values()):
            raise InputError(
                f"A setting of the attention is varied in methods that have it. Received {key}, and alpha is 0 in "
                f"{', '.join(variants)}: a baseline stays one. Add a method with alpha above 0, or leave {key} out."
            )
    methods = {name: _with_own_baseline(variant, variants.values()) for name, variant in variants.items()}
    first_name, first = next(iter(methods.items()))
    for name, config in methods.items():
        if (config.data.manifest, config.data.class_names) != (first.data.manifest, first.data.class_names):
            raise InputError(
                f"Methods are compared on the same images, but {first_name} and {name} differ in data.manifest or "
                "data.class_names. Give both the same."
            )
    return methods


class _Variant(NamedTuple):
    """A configuration with some settings: their full keys -> values."""

    name: str
    method: str
    settings: dict[str, str]
    config: RunConfig


def _variants(
    path: str | os.PathLike, method: str, overrides: Sequence[str], varied: Mapping[str, Sequence[str]]
) -> list[_Variant]:
    config = load_config(path, overrides)
    keys = [key for key in varied if config.supervises_attention or not _is_among(ALPHA_KEYS, key)]
    variants: list[_Variant] = []
    for values in itertools.product(*(varied[key] for key in keys)):
        wanted = dict(zip(keys, values, strict=True))
        variant = load_config(path, [*overrides, *_as_overrides(wanted)])
        settings = {key: value for key, value in wanted.items() if _has_part_in(variant, key)}
        if len(settings) < len(wanted):
            if any(each.settings == settings for each in variants):
                continue
            variant = load_config(path, [*overrides, *_as_overrides(settings)])
        variants.append(_named_variant(variant, method, settings, config.title or method, varied))
    return variants


def _as_overrides(settings: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()]


def _named_variant(
    config: RunConfig, method: str, settings: dict[str, str], title: str, varied: Collection[str]
) -> _Variant:
    if not settings:
        return _Variant(method, method, settings, config)
    words = [
        f"{_short_key(key, varied)}={Path(value).stem if '/' in value else value_name(value)}"
        for key, value in settings.items()
    ]
    config = config.model_copy(update={"title": ", ".join([title, *words])})
    return _Variant(f"{method}@{','.join(words)}", method, settings, config)


def _has_part_in(variant: RunConfig, key: str) -> bool:
    """Whether a setting changes anything in a variant, or is none of the attention."""
    has_changed_images = key.startswith("data.") and variant.data.outside_boxes != KEEP
    return variant.supervises_attention or has_changed_images or not _is_among(ATTENTION_KEYS, key)


def _is_among(patterns: Iterable[str], key: str) -> bool:
    return any(fnmatchcase(key, each) for each in patterns)


def _short_key(key: str, others: Collection[str]) -> str:
    """The shortest end of a key that no other key has: "tau" for "care.tau"."""
    parts = key.split(".")
    ends = [".".join(parts[start:]) for start in reversed(range(len(parts)))]
    return next((end for end in ends if sum(f".{other}".endswith(f".{end}") for other in others) == 1), key)


def _with_own_baseline(variant: _Variant, variants: Iterable[_Variant]) -> RunConfig:
    """The configuration with the variant of its baseline that has the same settings, as far as they change that one."""
    for other in variants:
        if other.method == variant.config.baseline and other.settings.items() <= variant.settings.items():
            return variant.config.model_copy(update={"baseline": other.name})
    return variant.config


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
      The cells; a stage that an earlier cell trains with the same data and settings, or that another run in the folder
      has finished, is marked for reuse. Planned again, a cell keeps the origin of its stages.

    Raises:
      InputError: A fold does not exist, a class has no training image in one, or a finished cell in the folder has
        other settings, or predictions of other images.
    """
    for name, values in (("folds", folds), ("seeds", seeds)):
        if values is not None and (len(set(values)) < len(values) or not values):
            raise InputError(
                f"--{name} must name different {name}, at least one. Received {', '.join(map(str, values))}."
            )
    cells: list[Cell] = []
    planned = list(itertools.product(folds or (None,), seeds or (None,), methods.items()))
    own = [
        _cell_folder(output, name, fold, config.seed if seed is None else seed)
        for fold, seed, (name, config) in planned
    ]
    trained = _trained_stages(dict.fromkeys([*own, *sorted(output.glob("cells/*/*"))]))
    first = next(iter(methods.values())).data
    inputs = list(dict.fromkeys(name for config in methods.values() for name in config.data.inputs))
    manifest = read_manifest(first.manifest, class_names=first.class_names, inputs=inputs)
    states = FileStates()
    for folder, (fold, seed, (method, config)) in zip(own, planned, strict=True):
        cell = planned_cell(method, config, manifest, fold, seed, folder, trained, states)
        for fingerprint in cell.fingerprints:
            trained.setdefault(fingerprint, cell.folder)
        check_progress(cell.folder, cell.fingerprints)
        cells.append(cell)
    return cells


def planned_cell(
    method: str,
    config: RunConfig,
    manifest: Manifest,
    fold: str | None,
    seed: int | None,
    folder: Path,
    trained: Mapping[str, Path],
    states: FileStates,
) -> Cell:
    """One of `plan_cells`, in its folder; `trained` has the run folder that trains a stage, by its fingerprint."""
    seed = config.seed if seed is None else seed
    data = config.data if fold is None else _tested_on(config.data, manifest, fold)
    config = config.model_copy(update={"seed": seed, "data": data, "output": str(folder)})
    rows = read_training_rows(config, manifest)
    for stage in config.stages:  # what does not fit this fold's images is refused before another fold is trained
        get_sampling(stage.sampling, rows.train, batch_size=config.training.batch_size, num_epochs=stage.epochs or 1)
    data = data.model_copy(update={"class_names": rows.train.class_names})
    config = config.model_copy(update={"data": data})
    fingerprints = tuple(stage_fingerprints(config, rows))
    stages = []
    can_reuse = True
    for stage, fingerprint in zip(config.stages, fingerprints, strict=True):
        # What follows an own stage is an own stage.
        can_reuse = can_reuse and trained.get(fingerprint, folder) != folder
        stages.append(dataclasses.replace(stage, reuse=str(trained[fingerprint])) if can_reuse else stage)
    config = config.model_copy(update={"stages": tuple(stages)})
    test = dataclasses.replace(
        select_rows(manifest, data.test, "data.test"), outside_boxes=data.test_reading["outside_boxes"]
    )
    cell = Cell(method, fold or NO_FOLD, config, fingerprints, cell_record(fingerprints, test, config.care))
    if not cell.is_finished:
        return cell
    _check_predicted(cell, test)
    records = [(cell.folder / run_files.PREDICTED_FILES, states.of(files_of_rows(test)))]
    for index, (stage, paths) in enumerate(zip(config.stages, stage_files(config, rows), strict=True)):
        records.append((file_states(stage_weights(cell.folder, index, stage)), states.of(paths)))
    return dataclasses.replace(cell, changes=changes_since(records))


def _check_predicted(cell: Cell, test: Manifest) -> None:
    """Refuses predictions of other images than those that the cell is tested on."""
    path = cell.folder / run_files.PREDICTIONS
    predicted = parse_columns(read_text(path), str(path), ("image",)).cells["image"]
    wanted = test.image_names
    if sorted(predicted) != sorted(wanted):
        differ = collections.Counter(predicted) - collections.Counter(wanted)
        differ += collections.Counter(wanted) - collections.Counter(predicted)
        raise InputError(
            f"{path} must have the {len(wanted)} images that the run is tested on. Received {len(predicted)} images; "
            f"one of the two has {min(differ)} more often. Predict them again: `care evaluate {cell.folder}`; give "
            "other rows an --output of their own."
        )


def _trained_stages(folders: Iterable[Path]) -> dict[str, Path]:
    """Finished stage -> the folder to take it over from: one that trained it itself, so that runs name one origin."""
    holders: dict[str, list[tuple[int, Path]]] = {}
    for folder in folders:
        for index, stage in enumerate(finished_stages(folder)):
            holders.setdefault(stage, []).append((index, folder))
    return {stage: _origin(found) for stage, found in holders.items()}


def _origin(found: Sequence[tuple[int, Path]]) -> Path:
    if len(found) == 1:
        return found[0][1]
    reused = ((folder, load_config(folder / run_files.CONFIG).stages[index].reuse) for index, folder in found)
    return next((folder for folder, origin in reused if origin is None), found[0][1])


def _cell_folder(output: Path, method: str, fold: str | None, seed: int) -> Path:
    return output / "cells" / method / f"fold{fold or NO_FOLD}_seed{seed}"


def _tested_on(data: DataConfig, manifest: Manifest, fold: str) -> DataConfig:
    """The data with one fold to test on; of the others, in a circle, as many as before to validate on."""
    if data.test.folds == (fold,):
        return data
    parts = (data.train, data.validation, data.test)
    # A fold that no part lists is tested on like any other: the listed ones are then what is trained on.
    listed = {fold, *(name for part in parts if part is not None for name in part.folds or ())}
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
