"""Runs a list of stages, resumable at every epoch."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from care_tf import keras_generation
from care_tf.callbacks.finite_loss import FiniteLoss
from care_tf.callbacks.plateau import Plateau
from care_tf.callbacks.two_stage_schedule import ramped_alpha
from care_tf.errors import InputError
from care_tf.files import atomic_path
from care_tf.model.care_model import CAREModel
from care_tf.network.random_layers import set_random_layers
from care_tf.runs.stage import Stage

Row = dict[str, Any]


@dataclasses.dataclass
class Progress:
    """Where a run stands; what `checkpoints/last/progress.json` holds.

    Attributes:
      fingerprints: One text per stage that changes with anything its result depends on.
      stage: Index of the current stage; the number of stages when all are done.
      epoch: Finished epochs of the current stage.
      plateau: How the stage's monitored loss has been falling.
      rows: One row per finished epoch: stage, epoch and the logs.
    """

    fingerprints: list[str]
    stage: int = 0
    epoch: int = 0
    plateau: Plateau = dataclasses.field(default_factory=Plateau)
    rows: list[Row] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class StageSetup:
    """What one stage is trained with, made when it begins, from the weights that it starts with.

    Attributes:
      model: Compiled, with a fresh optimizer: the run's model, or another one that shares its layers.
      dataset: First epoch -> endless batches of the epochs from there on, the same for every run with the same seed.
      steps_per_epoch: Batches per epoch.
      validation_data: Passed to `fit`.
      finish: Called after the last epoch, before the classifier's weights are written.
    """

    model: CAREModel
    dataset: Callable[[int], tf.data.Dataset]
    steps_per_epoch: int
    validation_data: Any = None
    finish: Callable[[], None] = lambda: None


@dataclasses.dataclass(frozen=True)
class StageRun:
    """What a run of stages is given besides the classifier.

    Attributes:
      setup: Stage index -> its setup.
      fingerprints: One text per stage that changes with anything its result depends on.
      checkpoints: Folder for the weights after each stage and for the last epoch.
      seed: Of dropout and other random layers, >= 0; each epoch of each stage draws from its own.
      callbacks: Stage index -> callbacks for its `fit`, after the run's own.
      on_epoch: Called with all rows after each finished epoch.
    """

    setup: Callable[[int], StageSetup]
    fingerprints: Sequence[str]
    checkpoints: Path
    seed: int = 0
    callbacks: Callable[[int], Sequence[keras.callbacks.Callback]] = lambda index: ()
    on_epoch: Callable[[list[Row]], None] = lambda rows: None


def stage_weights_path(checkpoints: Path, index: int, stage: Stage) -> Path:
    """The classifier's weights after a stage: checkpoints/<number>-<name>.weights.h5."""
    return checkpoints / f"{index + 1}-{stage.name}.weights.h5"


def run_stages(classifier: keras.Model, stages: Sequence[Stage], run: StageRun) -> list[Row]:
    """Trains the stages in order; each starts from the weights of the one before, or from those that it names.

    After every epoch the weights, the optimizer's state and the progress are written as one folder, replaced in one
    step; a run that is started again continues behind its last finished epoch, in the right stage.

    Args:
      classifier: The built network, with its initial weights.
      stages: What to train.
      run: What each stage is trained with, and where to write.

    Returns:
      One row per epoch.

    Raises:
      InputError: The folder belongs to a run with other settings, a reused stage does not match, a stage starts from
        weights that do not exist or belong to another network, or the loss becomes NaN.
    """
    progress = check_progress(run.checkpoints, run.fingerprints)
    initial = classifier.get_weights()
    for index, stage in enumerate(stages):
        weights = stage_weights_path(run.checkpoints, index, stage)
        if index < progress.stage:
            classifier.load_weights(str(weights))
            continue
        if stage.reuse is not None:
            # Rows of its own are those of an interrupted try to train what is now taken over.
            own = [row for row in progress.rows if row["stage"] != stage.name]
            progress.rows = own + _reuse(stage, index, run, weights)
            classifier.load_weights(str(weights))
        else:
            load_start_weights(classifier, stages, index, run.checkpoints, initial)
            _train_stage(stage, index, run, progress)
            with atomic_path(weights) as temporary:
                classifier.save_weights(str(temporary))
        progress.stage, progress.epoch, progress.plateau = index + 1, 0, Plateau()
        _write_last(run.checkpoints, progress, model=None)
        run.on_epoch(progress.rows)
    return progress.rows


def load_start_weights(
    classifier: keras.Model, stages: Sequence[Stage], index: int, checkpoints: Path, initial: Sequence[Any]
) -> None:
    """Gives the classifier the weights that a stage starts from; those of the stage before it has already."""
    start_from = stages[index].start_from
    earlier = {stage.name: number for number, stage in enumerate(stages[:index])}
    if start_from == "initial":
        classifier.set_weights(initial)
    elif start_from is not None and start_from in earlier:
        path = stage_weights_path(checkpoints, earlier[start_from], stages[earlier[start_from]])
        classifier.load_weights(str(path))
    elif start_from is not None:
        _load_matching(classifier, Path(start_from), stages[index])


def check_start_weights(classifier: keras.Model, stages: Sequence[Stage]) -> None:
    """Tries the weights files that stages start from, and leaves the classifier as it was.

    Raises:
      InputError: `start_from` is neither "initial", an earlier stage, nor a file, or its weights do not fit.
    """
    for index, stage in enumerate(stages):
        earlier = [other.name for other in stages[:index]]
        if stage.start_from is None or stage.start_from in ("initial", *earlier):
            continue
        if not Path(stage.start_from).is_file():
            known = ", ".join(["initial", *earlier])
            raise InputError(
                f"Stage {stage.name!r}: start_from must be a weights file or one of {known}. "
                f"Received {stage.start_from!r}."
            )
        initial = classifier.get_weights()
        _load_matching(classifier, Path(stage.start_from), stage)
        classifier.set_weights(initial)


def _load_matching(classifier: keras.Model, path: Path, stage: Stage) -> None:
    try:
        if path.suffix == ".keras":
            classifier.set_weights(keras.models.load_model(path, compile=False).get_weights())
        else:
            classifier.load_weights(str(path))
    except Exception as error:  # Keras raises whatever its readers do
        raise InputError(
            f"Stage {stage.name!r}: the weights of start_from={str(path)!r} do not fit {classifier.name!r}: they are "
            f"of another network, image size or number of classes ({str(error).splitlines()[0]})."
        ) from error


def check_progress(checkpoints: Path, fingerprints: Sequence[str]) -> Progress:
    """Where the run in a folder stands; a new one's beginning when there is none.

    Raises:
      InputError: The folder belongs to a run with other settings or data.
    """
    progress = _read_progress(checkpoints) or Progress(list(fingerprints))
    if progress.fingerprints != list(fingerprints):
        raise InputError(
            f"{checkpoints} holds a run with other settings or data. Choose another output folder, or remove it to "
            "start anew."
        )
    return progress


def _train_stage(stage: Stage, index: int, run: StageRun, progress: Progress) -> None:
    setup = run.setup(index)
    if progress.epoch:
        keras_generation.build_optimizer(setup.model)
        setup.model.load_weights(str(run.checkpoints / "last" / "model.weights.h5"))
    if not _is_over(stage, progress):
        setup.model.fit(
            setup.dataset(progress.epoch),
            initial_epoch=progress.epoch,
            epochs=stage.epochs,
            steps_per_epoch=setup.steps_per_epoch,
            validation_data=setup.validation_data,
            shuffle=False,  # the dataset shuffles itself, reproducibly
            callbacks=[_StageEpochs(stage, index, run, progress), FiniteLoss(), *run.callbacks(index)],
            verbose=0,
        )
    setup.finish()


def _is_over(stage: Stage, progress: Progress) -> bool:
    return progress.epoch >= stage.epochs or (stage.patience is not None and progress.plateau.waited >= stage.patience)


class _StageEpochs(keras.callbacks.Callback):
    """Sets alpha, ends the stage, and keeps the run resumable."""

    def __init__(self, stage: Stage, index: int, run: StageRun, progress: Progress):
        super().__init__()
        self.stage, self.index, self.run, self.progress = stage, index, run, progress

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.model.alpha = ramped_alpha(self.stage.alpha, epoch, self.stage.ramp_epochs)
        set_random_layers(self.model, self.run.seed, self.index, epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        if self.stage.monitor not in logs:
            raise InputError(
                f"Stage {self.stage.name!r}: monitor={self.stage.monitor!r} is not a log. "
                f"Available: {', '.join(sorted(logs))}."
            )
        progress = self.progress
        progress.epoch = epoch + 1
        progress.plateau = progress.plateau.after(float(logs[self.stage.monitor]), self.stage.min_delta)
        row = {"stage": self.stage.name, "epoch": epoch + 1, "alpha": float(self.model.alpha)}
        row["learning_rate"] = keras_generation.learning_rate(self.model.optimizer)
        progress.rows.append(row | {name: float(value) for name, value in logs.items()})
        _write_last(self.run.checkpoints, progress, self.model)
        self.run.on_epoch(progress.rows)
        if _is_over(self.stage, progress):
            self.model.stop_training = True


def _write_last(checkpoints: Path, progress: Progress, model: CAREModel | None) -> None:
    """Replaces checkpoints/last: progress, and the model with its optimizer in the middle of a stage."""
    with atomic_path(checkpoints / "last") as folder:
        folder.mkdir(parents=True)
        (folder / "progress.json").write_text(json.dumps(dataclasses.asdict(progress)))
        if model is not None:
            model.save_weights(str(folder / "model.weights.h5"))


def _read_progress(checkpoints: Path) -> Progress | None:
    path = checkpoints / "last" / "progress.json"
    if not path.exists():
        return None
    try:
        entries = json.loads(path.read_text())
        return Progress(**{**entries, "plateau": Plateau(**entries["plateau"])})
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} cannot be read ({error}). Remove the run folder to start anew.") from error


def _reuse(stage: Stage, index: int, run: StageRun, target: Path) -> list[Row]:
    """Takes a finished stage over from another run: copies its weights, returns its rows."""
    other = Path(str(stage.reuse)) / "checkpoints"
    progress = _read_progress(other)
    source = stage_weights_path(other, index, stage)
    if progress is None or progress.stage <= index or not source.exists():
        raise InputError(
            f"Stage {stage.name!r}: reuse={stage.reuse!r} has no finished stage {stage.name!r}. Train that run first, "
            "or leave reuse out."
        )
    if progress.fingerprints[index] != run.fingerprints[index]:
        raise InputError(
            f"Stage {stage.name!r}: reuse={stage.reuse!r} was trained with other data or settings. Give both runs the "
            "same data, model, training, augmentation, seed and stage settings, or leave reuse out."
        )
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
    return [row for row in progress.rows if row["stage"] == stage.name]
