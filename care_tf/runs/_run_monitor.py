"""TensorBoard for a run: which images its maps are shown on, and the settings as text."""

import importlib.util
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from care_tf import run_files
from care_tf.backbones import get_backbone
from care_tf.callbacks.care_tensorboard import NUM_EXAMPLES, CARETensorBoard
from care_tf.data import encoded_inputs, evaluation_dataset
from care_tf.data.class_focus import focus_classes
from care_tf.evaluation.picture_grid import short_name
from care_tf.runs._example_maps import first_examples
from care_tf.runs._prepared_stage import PreparedStage
from care_tf.runs._progress import Row
from care_tf.runs._training_rows import TrainingRows
from care_tf.runs.config import RunConfig, dump_config

Monitor = Callable[[PreparedStage, Sequence[Row]], list[keras.callbacks.Callback]]


def run_monitor(config: RunConfig, rows: TrainingRows, folder: Path) -> Monitor:
    """What makes a stage's monitor, from the stage and the rows of all epochs before it; none where none is asked for.

    The maps are those of validation images, where one has a box, else of training images: those of the supervised
    classes first, and always the same.
    """
    if not config.training.tensorboard:
        return lambda stage, history: []
    source = rows.validation
    if source is None or not source.has_boxes.any():
        source = rows.train
    focus = focus_classes(rows.train.class_counts, config.data.mask_classes or ())
    shown = first_examples(source, focus, NUM_EXAMPLES)
    images, labels = next(iter(evaluation_dataset(shown, config.data.image_size_px, len(shown), masks=True)))
    pictures = np.round(images["image"]).astype(np.uint8)
    prepared = get_backbone(config.model.backbone).preprocess(images["image"])
    further = {"mask": images["mask"], **encoded_inputs(shown, rows.inputs)}
    names = [short_name(Path(path).stem) for path in shown.image_paths]

    def monitor(stage: PreparedStage, history: Sequence[Row]) -> list[keras.callbacks.Callback]:
        lower = stage.batches.lower
        x = {"image": prepared} if lower is None else {"activation": lower(prepared, training=False)}
        examples = ({**x, **further}, labels)
        told = settings_text(config)
        return [
            CARETensorBoard(folder / run_files.TENSORBOARD, examples, shown.class_names, pictures, names, told, history)
        ]

    return monitor


def how_to_look(folder: str | os.PathLike) -> str:
    """What to type to see a log, and what to install first where it is missing."""
    missing = importlib.util.find_spec("tensorboard") is None
    return f"TensorBoard: tensorboard --logdir {folder}" + (" (first: pip install tensorboard)" if missing else "")


def settings_text(config: RunConfig) -> str:
    """The resolved configuration in Markdown: tables of what is set, a column for each stage, and the whole as YAML."""
    content = config.model_dump(mode="json")
    stages = {stage.pop("name"): stage for stage in content.pop("stages")}
    del content["every_stage"]
    general = [[key, value] for key, value in _by_full_key(content)]
    keys = dict.fromkeys(key for stage in stages.values() for key, value in stage.items() if _is_set(value))
    staged = [[key, *(stage[key] for stage in stages.values())] for key in keys]
    tables = _table(["stage", *stages], staged), _table(["setting", "value"], general)
    return "\n\n".join([*tables, f"```yaml\n{dump_config(config)}```"])


def _by_full_key(content: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """Settings by their full keys, such as care.tau; without those that say nothing."""
    pairs = []
    for key, value in content.items():
        if isinstance(value, dict) and value:
            pairs += _by_full_key(value, f"{above}{key}.")
        elif _is_set(value):
            pairs.append((above + key, value))
    return pairs


def _is_set(value: Any) -> bool:
    return value not in (None, [], {})


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def line(cells: Sequence[Any]) -> str:
        texts = [cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False) for cell in cells]
        texts = [f"`{text}`" if _is_set(cell) else "" for cell, text in zip(cells, texts, strict=True)]
        return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"

    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(line([*row]) for row in rows)])
