"""The runs that earlier comparisons left in a folder, as far as they may stand in one table with those planned now."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from care_tf import run_files
from care_tf.data import Manifest, read_manifest
from care_tf.errors import InputError
from care_tf.runs._source_files import FileStates
from care_tf.runs.comparison_plan import Cell, planned_cell
from care_tf.runs.config import RunConfig, load_config
from care_tf.text_files import read_text

_PARTS = ("train", "validation", "test")


def earlier_runs(
    output: Path, methods: Mapping[str, RunConfig], cells: Sequence[Cell], with_others: bool = True
) -> tuple[dict[str, RunConfig], list[Cell]]:
    """The finished runs that earlier comparisons left in a folder, beside those that are planned now.

    A run of a method, seed and test images that are planned now, under another fold's name, is left out, and said.

    Args:
      output: Folder of the comparison.
      methods: Of `read_methods`.
      cells: Of `plan_cells`; none: all that the folder holds, whose methods `methods` need not name.
      with_others: Whether methods that are not planned now count, too.

    Returns:
      Their methods, and their cells.

    Raises:
      InputError: They were compared on other images, their data have changed since, or a method that is planned now
        had other settings.
    """
    planned = {cell.folder for cell in cells}
    configs = {
        record.parent: load_config(record.parent / run_files.CONFIG)
        for record in sorted(output.glob(f"cells/*/*/{run_files.CELL_RECORD}"))
        if record.parent not in planned and (with_others or record.parent.parent.name in methods)
    }
    data = next((config.data for config in [*(cell.config for cell in cells), *configs.values()]), None)
    if data is None:
        return {}, []
    for folder, config in configs.items():
        if (config.data.manifest, config.data.class_names) != (data.manifest, data.class_names):
            raise InputError(
                f"{output} holds a comparison on other images: {folder} was tested on {config.data.manifest}. Choose "
                "another --output."
            )
    every = [*configs.values(), *methods.values()]
    inputs = list(dict.fromkeys(name for config in every for name in config.data.inputs))
    manifest = read_manifest(data.manifest, class_names=data.class_names, inputs=inputs, check_images=False)
    counted = {_tested(cell.method, cell.config): cell.folder for cell in cells}
    earlier: dict[str, RunConfig] = {}
    earlier_cells = []
    states = FileStates()
    for folder, config in configs.items():
        method = folder.parent.name
        first = counted.setdefault(_tested(method, config), folder)
        if first != folder:
            print(f"{folder} is left out: {first.name} tests the same method and seed on the same images", flush=True)
            continue
        earlier[method] = config = config.model_copy(update={"output": str(folder)})
        earlier_cells.append(_earlier_cell(folder, config, methods.get(method, config), manifest, states))
    return earlier, earlier_cells


def _tested(method: str, config: RunConfig) -> tuple:
    """Equal for runs that would count twice in a mean."""
    test = config.data.test
    return method, config.seed, test.split, None if test.folds is None else frozenset(test.folds)


def _earlier_cell(folder: Path, config: RunConfig, now: RunConfig, manifest: Manifest, states: FileStates) -> Cell:
    """The cell of an earlier run; refused unless its method as it is now would give it on the same rows."""
    parts = {name: getattr(config.data, name) for name in _PARTS}
    now = now.model_copy(update={"data": now.data.model_copy(update=parts)})
    try:
        cell = planned_cell(folder.parent.name, now, manifest, None, config.seed, folder, {}, states)
    except InputError as error:
        raise InputError(f"{folder} cannot be compared again: {error}") from error
    if cell.prediction_fingerprint != read_text(folder / run_files.CELL_RECORD):
        before, after = _settings(config), _settings(cell.config)
        keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        received = f"other values of {', '.join(keys)}" if keys else "another manifest, boxes or weights"
        raise InputError(
            f"A method must have the same settings and data on every fold and seed. Received {received} than those of "
            f"{folder}. Choose another --output, or the former settings."
        )
    fold = folder.name.removeprefix("fold").rpartition("_seed")[0]
    return dataclasses.replace(cell, fold=fold, config=config)


def _settings(config: RunConfig) -> dict[str, Any]:
    """Full key -> value of every setting that is the same in all runs of a method."""
    settings: dict[str, Any] = {}

    def collect(content: Mapping[str, Any], above: str) -> None:
        for key, value in content.items():
            if isinstance(value, dict) and value:
                collect(value, f"{above}{key}.")
            else:
                settings[above + key] = value

    content = config.model_dump(mode="json", exclude={"output", "title", "baseline", "seed", "every_stage"})
    content["data"] = {key: value for key, value in content["data"].items() if key not in _PARTS}
    content["stages"] = {stage["name"]: {**stage, "reuse": None} for stage in content["stages"]}
    collect(content, "")
    return settings
