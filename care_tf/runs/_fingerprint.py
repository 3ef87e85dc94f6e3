"""What the result of a stage depends on, as one text: equal texts, equal weights."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from care_tf.files import file_sha256
from care_tf.runs._rebuilt_classifier import chooses_tau
from care_tf.runs._stage import Stage
from care_tf.runs._training_rows import TrainingRows
from care_tf.runs.config import RunConfig


def stage_fingerprint(config: RunConfig, rows: TrainingRows, index: int) -> str:
    """Changes with everything the result of stage `index` depends on, and with nothing else.

    Boxes and attention settings count only from the first stage on that uses them: runs that differ in those share
    their first stage.
    """
    train = rows.train
    stages = [_result_settings(stage) for stage in config.stages[: index + 1]]
    content = config.model_dump(mode="json", include={"seed", "model", "training"})
    content["image_size_px"] = config.data.image_size_px
    content["stages"] = stages
    uses_attention = any(stage["alpha"] > 0 or "attention" in stage["monitor"] for stage in stages)
    content["care"] = config.care.model_dump(mode="json") if uses_attention else None
    content["data"] = (train if uses_attention else train.without_boxes()).fingerprint()
    is_validated = any(stage["monitor"].startswith("val_") or stage["chooses_tau"] for stage in stages)
    if rows.validation is not None and is_validated:
        content["validation"] = rows.validation.fingerprint()
    content["model"]["weights"] = _content_digest(config.model.weights)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _result_settings(stage: Stage) -> dict[str, Any]:
    """The settings of a stage that its result depends on."""
    settings = dataclasses.asdict(stage)
    del settings["reuse"], settings["cache_activations"]
    if stage.embedding_loss is None:
        del settings["embedding_weight"]
    settings["start_from"] = _content_digest(stage.start_from)
    return {**settings, "chooses_tau": chooses_tau(stage)}


def _content_digest(name: str | None) -> str | None:
    """A file is known by what is in it, not by where it lies; another name by itself."""
    path = Path(name or "")
    return file_sha256(path) if path.is_file() else name
