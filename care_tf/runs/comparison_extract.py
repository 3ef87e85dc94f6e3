"""What a finished comparison says, small enough to be kept beside a page about it: figures, no images, no paths."""

import dataclasses
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from care_tf.data import read_manifest
from care_tf.errors import InputError
from care_tf.evaluation import Comparison, Estimate, MethodSpec, compare_methods, comparison_rows
from care_tf.files import write_text
from care_tf.runs._training_rows import read_training_rows
from care_tf.runs.comparison_plan import method_specs
from care_tf.runs.comparison_runs import classes_compared, read_cells
from care_tf.runs.config import RunConfig
from care_tf.runs.earlier_runs import earlier_runs
from care_tf.runs.image_groups import read_image_groups
from care_tf.text_files import read_record

_DECIMALS = 6
_NUMBERS = ("value", "low", "high", "min", "max", "num_cells")
_DIFFERENCES = ("difference", *(f"difference_{name}" for name in _NUMBERS[1:]))
# /a, ~/a, ~me/a, ../a, C:/a, file:///a, or any backslash; "MEL/NV" and "No Lung Opacity / Not Normal" are names.
_PATH = re.compile(r"""(?:^|[\s"'(\[=:,;.])(?:/|~\w*/)\S|\\""")


@dataclasses.dataclass(frozen=True)
class KeptFigure:
    """A figure's mean over trained models with its interval, the lowest and the highest model, and their number."""

    estimate: Estimate
    minimum: float | None
    maximum: float | None
    num_models: int

    @classmethod
    def of(cls, numbers: Sequence[float | int | None]) -> "KeptFigure":
        """Of value, low, high, minimum, maximum, number of models."""
        value, low, high, minimum, maximum, num_models = numbers
        return cls(Estimate(value, low, high), minimum, maximum, int(num_models or 0))

    @property
    def numbers(self) -> list[float | int | None]:
        """What `of` takes."""
        estimate = self.estimate
        return [estimate.value, estimate.low, estimate.high, self.minimum, self.maximum, self.num_models]


@dataclasses.dataclass(frozen=True)
class ComparisonExtract:
    """A comparison's figures, without the images and without the machine.

    Attributes:
      titles: Method -> title.
      baselines: Method -> the method that it is compared with; those without one are not in it.
      focus: Classes that it is about, the rarest in training first.
      seeds: Of the trained models.
      folds: Fold -> numbers of images and of lesions or patients tested.
      num_resamples: Of the bootstrap.
      training_images: Class -> number of training images, in the first fold.
      cue_share: Share of them whose cue goes with the class, in [.5, 1]; None where they have no cue, or not two
        classes and two kinds of cue.
      setting: How the methods were trained, in words.
      figures: (method, figure) -> its mean.
      differences: (method, other method, figure) -> method minus other, paired.

    Raises:
      InputError: A text holds a path.
    """

    titles: dict[str, str]
    baselines: dict[str, str]
    focus: tuple[str, ...]
    seeds: tuple[int, ...]
    folds: dict[str, tuple[int, int]]
    num_resamples: int
    training_images: dict[str, int]
    cue_share: float | None
    setting: str
    figures: dict[tuple[str, str], KeptFigure]
    differences: dict[tuple[str, str, str], KeptFigure]

    def __post_init__(self) -> None:
        for text in (*self.titles, *self.titles.values(), *self.training_images, *self.folds, self.setting):
            if _PATH.search(text):
                raise InputError(
                    f"What is kept of a comparison holds no paths, which are of one machine. Received {text!r:.200} "
                    "among its titles, names and settings. Use a name that holds no path."
                )

    @property
    def num_planned(self) -> int:
        """Trained models of a method that has all folds and seeds."""
        return len(self.seeds) * len(self.folds)


def extract_comparison(
    folder: Path,
    rivals: Callable[[str, Sequence[str]], Sequence[str]] = lambda method, methods: (),
    group: str | None = None,
    pairs: str | None = None,
    num_resamples: int = 1000,
) -> ComparisonExtract:
    """What the finished runs in a folder of `care compare` say.

    Args:
      folder: Of the comparison. Its manifest must be where it was.
      rivals: Of a method and all methods: those that it is compared with, too, beside its own baseline.
      group: Column of the manifest to give recalls by, such as "cue"; None for none.
      pairs: Column of the manifest that names pairs; None for none.
      num_resamples: Bootstrap resamples.

    Returns:
      Figures of the classes in focus, as in the comparison's tables, and differences on the same resamples.

    Raises:
      InputError: No run is finished, the data have changed since, or a title holds a path.
    """
    configs, cells = earlier_runs(folder, {}, [])
    predictions = read_cells(cells, read_image_groups(cells, group, pairs) if cells else None)
    if not predictions:
        raise InputError(
            f"A comparison's folder must hold a finished run. Received {folder}. Run `care compare` first."
        )
    class_names, focus = cells[0].config.data.class_names or (), classes_compared(cells)
    comparison = compare_methods(method_specs(configs), predictions, class_names, num_resamples)
    figures, differences = _kept(comparison, focus)
    for other, methods in _by_rival(rivals, list(configs)).items():
        beside = compare_methods(
            [MethodSpec(name, name, other if name in methods else None) for name in (other, *methods)],
            [cell for cell in predictions if cell.method in (other, *methods)],
            *(class_names, num_resamples),
        )
        differences |= _kept(beside, focus)[1]
    rows = read_training_rows(cells[0].config).train
    return ComparisonExtract(
        titles={name: config.title or name for name, config in configs.items()},
        baselines={m.spec.name: m.spec.baseline for m in comparison.methods if m.spec.baseline is not None},
        focus=tuple(focus),
        seeds=tuple(sorted({cell.seed for cell in comparison.cells})),
        folds={fold.fold: (fold.num_images, fold.num_groups) for fold in comparison.folds},
        num_resamples=num_resamples,
        training_images=rows.class_counts,
        cue_share=None if group is None else _cue_share(cells[0].config, group),
        setting="; ".join(dict.fromkeys(map(_setting, configs.values()))),
        figures=figures,
        differences=differences,
    )


def write_extract(path: str | os.PathLike, extract: ComparisonExtract) -> None:
    """Writes an extract as JSON, a line for each figure."""
    content = dataclasses.asdict(extract)
    content["figures"] = [[*key, *figure.numbers] for key, figure in extract.figures.items()]
    content["differences"] = [[*key, *figure.numbers] for key, figure in extract.differences.items()]
    write_text(
        path, "{\n" + ",\n".join(f" {json.dumps(key)}: {_lines(value)}" for key, value in content.items()) + "\n}\n"
    )


def read_extract(path: str | os.PathLike) -> ComparisonExtract:
    """The extract that `write_extract` has written.

    Raises:
      InputError: It is damaged, or holds a path.
    """
    return read_record(path, _from_json)


def _from_json(content: Any) -> ComparisonExtract:
    figures = {(row[0], row[1]): KeptFigure.of(row[2:]) for row in content.pop("figures")}
    differences = {(row[0], row[1], row[2]): KeptFigure.of(row[3:]) for row in content.pop("differences")}
    folds = {name: (images, groups) for name, (images, groups) in content.pop("folds").items()}
    focus, seeds = tuple(content.pop("focus")), tuple(content.pop("seeds"))
    return ComparisonExtract(**content, focus=focus, seeds=seeds, folds=folds, figures=figures, differences=differences)


def _lines(value: Any) -> str:
    if not (isinstance(value, list) and value and isinstance(value[0], list)):
        return json.dumps(value)
    return "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in value) + "\n ]"


def _by_rival(rivals: Callable[[str, Sequence[str]], Sequence[str]], methods: Sequence[str]) -> dict[str, list[str]]:
    """Rival -> the methods that are compared with it."""
    found: dict[str, list[str]] = {}
    for method in methods:
        for other in rivals(method, methods):
            found.setdefault(other, []).append(method)
    return found


def _kept(
    comparison: Comparison, focus: Sequence[str]
) -> tuple[dict[tuple[str, str], KeptFigure], dict[tuple[str, str, str], KeptFigure]]:
    figures, differences = {}, {}
    for row in comparison_rows(comparison, focus):
        figures[row["method"], row["figure"]] = _rounded(row, _NUMBERS)
        if row["baseline"] is not None:
            differences[row["method"], row["baseline"], row["figure"]] = _rounded(row, _DIFFERENCES)
    return figures, differences


def _rounded(row: Mapping[str, Any], names: Sequence[str]) -> KeptFigure:
    numbers = [row[name] for name in names]
    return KeptFigure.of([None if number is None else round(number, _DECIMALS) for number in numbers])


def _cue_share(config: RunConfig, group: str) -> float | None:
    """The share of training images whose cue goes with the class; None where there are not two of both."""
    data = config.data
    rows = read_manifest(data.manifest, class_names=data.class_names, inputs=[group], check_images=False)
    cues = dict(zip(rows.image_paths, rows.inputs[group], strict=True))
    train = read_training_rows(config).train
    has_cue = np.array([cues[path] for path in train.image_paths])
    names = np.unique(has_cue)
    if len(train.class_names) != 2 or len(names) != 2:
        return None
    agrees = float(np.mean((has_cue == names[0]) == (train.labels == 0)))
    return round(max(agrees, 1 - agrees), _DECIMALS)


def _setting(config: RunConfig) -> str:
    height, width = config.data.image_size_px
    weights = "random weights" if config.model.weights is None else Path(config.model.weights).stem
    epochs = " + ".join(str(stage.epochs) for stage in config.stages)
    frozen = sorted({stage.frozen_through for stage in config.stages if stage.frozen_through is not None})
    trained = f"frozen through {', '.join(frozen)}" if frozen else "all layers trained"
    return f"{config.model.backbone} from {weights}, {height} x {width} px, {epochs} epochs, {trained}"
