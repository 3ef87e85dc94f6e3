"""A configuration becomes a trained run folder."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from care_tf.config import RunConfig
from care_tf.data import (
    Augmentation,
    Manifest,
    corrupt_files_refused,
    evaluation_dataset,
    image_loader,
    steps_per_epoch,
    training_dataset,
)
from care_tf.errors import InputError
from care_tf.files import atomic_path
from care_tf.runs import folder as run_folder
from care_tf.runs import parts
from care_tf.runs.epoch_lines import EpochLines
from care_tf.runs.parts import Manifests
from care_tf.training import StageRun, run_stages
from care_tf.training.stages import check_progress

# Stages draw their shuffling and augmentation from seeds this far apart, so that a stage sees the same batches
# however long the one before it took.
STAGE_SEED_STEP = 1_000_003


@corrupt_files_refused()
def train_run(config: RunConfig, command: Sequence[str] = (), show_progress: bool = True) -> Path:
    """Trains all stages of a configuration; started again, it goes on behind the last finished epoch.

    Args:
      config: What to train, and where to.
      command: The command line, for the record.
      show_progress: Prints one line per epoch with the time left, and a bar within it on a terminal.

    Returns:
      The run folder with config.yaml, environment.json, history.csv, checkpoints and model.keras.

    Raises:
      InputError: The configuration or the data are bad, or the folder holds another run.
    """
    folder = Path(config.output)
    manifests = parts.read_training_manifests(config)
    train = manifests.train
    config = config.model_copy(update={"data": config.data.model_copy(update={"class_names": train.class_names})})
    model = parts.build_care_model(config, len(train.class_names))
    counts = np.bincount(train.labels, minlength=len(train.class_names))
    if any(stage.alpha > 0 for stage in config.stages) and not train.has_boxes.any():
        raise InputError(
            f"Stages with alpha > 0 need boxes, but no training row of {train.source} has one"
            + (f" for {', '.join(config.data.mask_classes)}" if config.data.mask_classes else "")
            + ". Add boxes to the manifest, or set alpha to 0."
        )
    compile_stage = parts.compile_function(config, model, int(counts.argmin()))
    compile_stage(config.stages[0])
    augmentation = parts.augmentation(config)
    fingerprints = [stage_fingerprint(config, manifests, index) for index in range(len(config.stages))]
    # Everything that can be refused has been, before anything is written: a wrong command costs no finished run.
    _check_folder(folder)
    check_progress(folder / run_folder.CHECKPOINTS, fingerprints)
    run_folder.write_config(folder, config)
    run_folder.write_environment(folder, config, command, train)
    stage_run = StageRun(
        dataset=_dataset_function(config, train, augmentation),
        steps_per_epoch=steps_per_epoch(train, config.training.batch_size),
        compile=compile_stage,
        fingerprints=fingerprints,
        checkpoints=folder / run_folder.CHECKPOINTS,
        validation_data=_validation_dataset(config, manifests.validation),
        class_weight=parts.balanced_class_weight(train) if config.training.class_weight == "balanced" else None,
        on_epoch=functools.partial(run_folder.write_history, folder),
        callbacks=lambda index: [EpochLines(config.stages, index)] if show_progress else [],
    )
    run_stages(model, config.stages, stage_run)
    with atomic_path(folder / run_folder.MODEL) as temporary:
        model.classifier.save(temporary)
    return folder


def stage_fingerprint(config: RunConfig, manifests: Manifests, index: int) -> str:
    """Changes with everything the result of stage `index` depends on, and with nothing else.

    Boxes and attention settings count only from the first stage on that uses them: runs that differ in those share
    their first stage.
    """
    train = manifests.train
    stages = [dataclasses.asdict(dataclasses.replace(stage, reuse=None)) for stage in config.stages[: index + 1]]
    content = config.model_dump(mode="json", include={"seed", "model", "training", "augmentation"})
    content["image_size_px"] = config.data.image_size_px
    content["stages"] = stages
    uses_attention = any(stage["alpha"] > 0 for stage in stages)
    content["care"] = config.care.model_dump(mode="json") if uses_attention else None
    content["data"] = (train if uses_attention else train.without_boxes()).fingerprint()
    if manifests.validation is not None and any(stage["monitor"].startswith("val_") for stage in stages):
        content["validation"] = manifests.validation.fingerprint()
    weights = Path(config.model.weights or "")
    if weights.is_file():  # what is in it counts, not where it lies
        content["model"]["weights"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _dataset_function(config: RunConfig, train: Manifest, augmentation: Augmentation | None):
    preprocess = parts.preprocess_function(config)
    loader = image_loader(train, config.data.image_size_px, config.data.cache)  # once for all stages

    def dataset(stage_index: int, first_epoch: int):
        return training_dataset(
            train,
            config.data.image_size_px,
            config.training.batch_size,
            seed=config.seed + STAGE_SEED_STEP * stage_index,
            augmentation=augmentation,
            preprocess=preprocess,
            masks=True,
            cache=loader,
            first_epoch=first_epoch,
        )

    return dataset


def _validation_dataset(config: RunConfig, validation: Manifest | None):
    if validation is None:
        return None
    return evaluation_dataset(
        validation,
        config.data.image_size_px,
        config.training.batch_size,
        preprocess=parts.preprocess_function(config),
        masks=bool(validation.has_boxes.any()),
        cache=config.data.cache,
    )


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"The output {folder} is a file. Choose a folder.")
    if folder.exists() and any(folder.iterdir()) and not (folder / run_folder.CONFIG).exists():
        raise InputError(f"The output folder {folder} holds something that is not a run. Choose another output.")
