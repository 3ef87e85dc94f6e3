"""What the result of a stage depends on, as one text: equal texts, equal weights."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from care_tf.backbones.keras_hub_networks import HUB_PREFIX
from care_tf.files import path_sha256
from care_tf.images.outside_choice import KEEP
from care_tf.runs._stage import Stage
from care_tf.runs._training_rows import TrainingRows
from care_tf.runs.config import RunConfig


def stage_fingerprints(config: RunConfig, rows: TrainingRows) -> list[str]:
    """One per stage, which changes with everything that the stage's result depends on, and with nothing else.

    Boxes and attention settings count only from the first stage on that uses them: runs that differ in those share
    their first stage, unless their images are changed by boxes. Of images and masks the names count alone, lest a copy
    of the data be taken for others; `stage_files` are what may have changed under them.
    """
    content = config.model_dump(mode="json", include={"seed", "model", "training"})
    for name in ("distribution", "tensorboard", "largest_loss"):
        del content["training"][name]  # the result is the same
    content["image_size_px"] = config.data.image_size_px
    if config.data.inputs:
        content["inputs"] = config.data.inputs
    preset = config.model.backbone.removeprefix(HUB_PREFIX)
    if preset != config.model.backbone and Path(preset).is_dir():
        content["model"]["backbone"] = HUB_PREFIX + path_sha256(preset)
    content["model"]["weights"] = _content_digest(config.model.weights, config.model.weights != "imagenet")
    for name in ("callbacks", "metrics"):
        if not content["training"][name]:
            del content["training"][name]  # what runs from before they could be named have
    care = config.care.model_dump(mode="json")
    for name, default in (("outside", "uniform"), ("form", "care"), ("mask_head", None)):
        if care[name] == default:
            del care[name]  # what runs from before there was a choice have
    with_boxes = rows.train.fingerprint()
    # Where boxes change the images, everything depends on them.
    without_boxes = rows.train.without_boxes().fingerprint() if rows.train.outside_boxes == KEEP else with_boxes
    validation = {} if rows.validation is None else {"validation": rows.validation.fingerprint()}
    settings = [_result_settings(stage) for stage in config.stages]
    fingerprints = []
    for number, (uses_attention, is_validated) in enumerate(_uses(config), start=1):
        stages = settings[:number]
        data = {"care": care, "data": with_boxes} if uses_attention else {"care": None, "data": without_boxes}
        own = {**content, "stages": stages, **data, **(validation if is_validated else {})}
        fingerprints.append(hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest())
    return fingerprints


def stage_files(config: RunConfig, rows: TrainingRows) -> list[list[str]]:
    """Paths of the images and masks that the result of each stage depends on, in the order of the rows."""
    train, validation = rows.train, rows.validation
    files = []
    for uses_attention, is_validated in _uses(config):
        paths = list(train.image_paths)
        if uses_attention or train.outside_boxes != KEEP:
            paths += train.mask_paths
        if is_validated and validation is not None:
            paths += validation.image_paths + validation.mask_paths
        files.append([path for path in paths if path])
    return files


def _uses(config: RunConfig) -> list[tuple[bool, bool]]:
    """Of each stage, whether it or one before it uses attention and, so, boxes; and whether one uses validation."""
    stages = config.stages
    attention = [stage.alpha > 0 or "attention" in stage.monitor for stage in stages]
    validated = [stage.monitor.startswith("val_") or stage.chooses_tau for stage in stages]
    return [(any(attention[:number]), any(validated[:number])) for number in range(1, len(stages) + 1)]


def _result_settings(stage: Stage) -> dict[str, Any]:
    """The settings of a stage that its result depends on."""
    settings = dataclasses.asdict(stage)
    del settings["reuse"], settings["cache_activations"]
    if stage.embedding_loss is None:
        del settings["embedding_weight"]
    return {**settings, "start_from": _content_digest(stage.start_from), "chooses_tau": stage.chooses_tau}


def _content_digest(name: str | None, may_be_folder: bool = False) -> str | None:
    """A file, or a preset's folder, is known by what is in it, not by where it lies; another name by itself."""
    if name and (Path(name).is_file() or (may_be_folder and Path(name).is_dir())):
        return path_sha256(name)
    return name
