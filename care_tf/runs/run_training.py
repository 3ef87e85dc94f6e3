"""A configuration becomes a trained run folder."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from care_tf.errors import InputError
from care_tf.files import atomic_path
from care_tf.images.decoding import corrupt_files_refused
from care_tf.network.freezing import unfreeze
from care_tf.runs import folder as run_folder
from care_tf.runs import run_parts as parts
from care_tf.runs.config import RunConfig
from care_tf.runs.epoch_lines import EpochLines
from care_tf.runs.rebuilt_classifier import chooses_tau
from care_tf.runs.run_parts import Manifests
from care_tf.runs.shared_images import SharedImages
from care_tf.runs.stage import Stage
from care_tf.runs.stage_setups import StageParts, check_models, stage_parts, stage_setup_function
from care_tf.runs.stages import StageRun, check_progress, check_start_weights, run_stages


@corrupt_files_refused()
def train_run(
    config: RunConfig,
    command: Sequence[str] = (),
    show_progress: bool = True,
    images: SharedImages | None = None,
) -> Path:
    """Trains all stages of a configuration; started again, it goes on behind the last finished epoch.

    Args:
      config: What to train, and where to.
      command: The command line, for the record.
      show_progress: Prints one line per epoch with the time left, and a bar within it on a terminal.
      images: Decoded images and activations that several runs share; None keeps the run's own.

    Returns:
      The run folder with config.yaml, environment.json, history.csv, checkpoints and model.keras.

    Raises:
      InputError: The configuration or the data are bad, or the folder holds another run.
    """
    folder = Path(config.output)
    run = prepare_run(config)
    # Everything that can be refused has been, before anything is written: a wrong command costs no finished run.
    _check_folder(folder)
    check_progress(folder / run_folder.CHECKPOINTS, run.fingerprints)
    run_folder.write_config(folder, run.config)
    run_folder.write_environment(folder, run.config, command, run.manifests.train)
    stage_run = StageRun(
        setup=stage_setup_function(
            run.config, run.parts, run.manifests, run.classifier, images or SharedImages(config.data.cache)
        ),
        fingerprints=run.fingerprints,
        checkpoints=folder / run_folder.CHECKPOINTS,
        seed=config.seed,
        on_epoch=functools.partial(run_folder.write_history, folder),
        callbacks=lambda index: [EpochLines(config.stages, index)] if show_progress else [],
    )
    run_stages(run.classifier, config.stages, stage_run)
    unfreeze(run.classifier)
    with atomic_path(folder / run_folder.MODEL) as temporary:
        run.classifier.save(temporary)
    return folder


@dataclasses.dataclass(frozen=True)
class PreparedRun:
    """A run that has passed every check, and has written nothing yet.

    Attributes:
      config: With the class names.
      manifests: The rows to train and validate on.
      classifier: The network with its initial weights.
      parts: What each stage's settings stand for.
      fingerprints: Of each stage.
    """

    config: RunConfig
    manifests: Manifests
    classifier: keras.Model
    parts: list[StageParts]
    fingerprints: list[str]


def prepare_run(config: RunConfig) -> PreparedRun:
    """Reads the data, builds the network, and checks every stage.

    Raises:
      InputError: The configuration or the data are bad.
    """
    manifests = parts.read_training_manifests(config)
    train = manifests.train
    config = config.model_copy(update={"data": config.data.model_copy(update={"class_names": train.class_names})})
    if any(stage.alpha > 0 for stage in config.stages) and not train.has_boxes.any():
        raise InputError(
            f"Stages with alpha > 0 need boxes, but no training row of {train.source} has one"
            + (f" for {', '.join(config.data.mask_classes)}" if config.data.mask_classes else "")
            + ". Add boxes to the manifest, or set alpha to 0."
        )
    classifier = parts.build_network(config, len(train.class_names))
    all_parts = [stage_parts(config, stage, manifests, classifier) for stage in config.stages]
    check_models(config, all_parts, manifests, classifier)
    check_start_weights(classifier, config.stages)
    fingerprints = [stage_fingerprint(config, manifests, index) for index in range(len(config.stages))]
    return PreparedRun(config, manifests, classifier, all_parts, fingerprints)


def stage_fingerprint(config: RunConfig, manifests: Manifests, index: int) -> str:
    """Changes with everything the result of stage `index` depends on, and with nothing else.

    Boxes and attention settings count only from the first stage on that uses them: runs that differ in those share
    their first stage.
    """
    train = manifests.train
    stages = [_result_settings(stage) for stage in config.stages[: index + 1]]
    content = config.model_dump(mode="json", include={"seed", "model", "training"})
    content["image_size_px"] = config.data.image_size_px
    content["stages"] = stages
    uses_attention = any(stage["alpha"] > 0 or "attention" in stage["monitor"] for stage in stages)
    content["care"] = config.care.model_dump(mode="json") if uses_attention else None
    content["data"] = (train if uses_attention else train.without_boxes()).fingerprint()
    is_validated = any(stage["monitor"].startswith("val_") or stage["chooses_tau"] for stage in stages)
    if manifests.validation is not None and is_validated:
        content["validation"] = manifests.validation.fingerprint()
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
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else name


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"The output {folder} is a file. Choose a folder.")
    if folder.exists() and any(folder.iterdir()) and not (folder / run_folder.CONFIG).exists():
        raise InputError(f"The output folder {folder} holds something that is not a run. Choose another output.")
