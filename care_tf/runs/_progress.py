"""Where a run stands: finished stages and epochs, written after every epoch and read when the run is started again."""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from care_tf.callbacks.two_stage_schedule import Plateau
from care_tf.errors import InputError, clause, reason
from care_tf.files import atomic_path, remove_left_overs, sole_work, write_json
from care_tf.interrupts import interrupt_held
from care_tf.keras_generation import load_weights
from care_tf.model import CAREModel
from care_tf.runs._stage import Stage
from care_tf.runs._weights_file import save_weights
from care_tf.text_files import read_json

CHECKPOINTS, HISTORY = "checkpoints", "history.csv"
PROGRESS, _WEIGHTS = "progress.json", ".weights.h5"

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
      weights: Within a stage, the file beside it with the model and its optimizer.
    """

    fingerprints: list[str]
    stage: int = 0
    epoch: int = 0
    plateau: Plateau = dataclasses.field(default_factory=Plateau)
    rows: list[Row] = dataclasses.field(default_factory=list)
    weights: str = "model.weights.h5"

    def ends(self, stage: Stage) -> bool:
        """Whether the current stage has trained all its epochs, or waited long enough."""
        return self.epoch >= stage.epochs or (stage.patience is not None and self.plateau.waited >= stage.patience)

    def begin_next_stage(self) -> None:
        """Moves on to the stage after the current one."""
        self.stage, self.epoch, self.plateau = self.stage + 1, 0, Plateau()

    def write(self, run_folder: Path, model: CAREModel | None = None) -> None:
        """Writes checkpoints/last, within a stage with its model and optimizer; then history.csv.

        progress.json, replaced in one step, names the file of the weights: a run that is killed between them has the
        epoch before.
        """
        folder = last_epoch(run_folder)
        with interrupt_held():
            if model is not None:
                self.weights = f"{self.stage + 1}-{self.epoch}{_WEIGHTS}"
                with atomic_path(folder / self.weights, durable=True) as temporary:
                    save_weights(model, temporary)
            write_json(folder / PROGRESS, dataclasses.asdict(self), durable=True)
        for path in folder.glob(f"*{_WEIGHTS}"):
            if model is None or path.name != self.weights:
                path.unlink()
        self.write_history(run_folder)

    def write_history(self, run_folder: Path) -> None:
        """Writes history.csv."""
        import pandas as pd

        with atomic_path(run_folder / HISTORY) as temporary:
            pd.DataFrame(self.rows).to_csv(temporary, index=False)


def stage_weights(run_folder: Path, index: int, stage: Stage) -> Path:
    """The file of the classifier's weights after a stage."""
    return run_folder / CHECKPOINTS / f"{index + 1}-{stage.name}.weights.h5"


def file_states(weights: Path) -> Path:
    """Beside the file of `stage_weights`, that of the states of the images and masks that they come from."""
    return weights.with_name(weights.name.removesuffix(_WEIGHTS) + ".files.npy")


def has_begun(progress: Progress, index: int) -> bool:
    """Whether a run has finished an epoch of a stage."""
    return index < progress.stage or (index == progress.stage and progress.epoch > 0)


def epoch_weights(run_folder: Path, progress: Progress) -> Path:
    """The file of the model and optimizer after the last finished epoch of the current stage."""
    return last_epoch(run_folder) / progress.weights


def load_checkpoint(model: Any, path: Path) -> None:
    """Loads the weights, and with them the optimizer, that a run has written.

    Raises:
      InputError: The file is missing or damaged.
    """
    try:
        load_weights(model, str(path))
    except Exception as error:  # Keras and h5py raise whatever their readers do
        raise InputError(
            f"The weights {path} cannot be loaded: {clause(reason(error))}. Copy the file again, or train "
            "into another folder."
        ) from error


def last_epoch(run_folder: Path) -> Path:
    """The folder with the progress after the last finished epoch and, within a stage, its model and optimizer."""
    return run_folder / CHECKPOINTS / "last"


@contextlib.contextmanager
def sole_training(run_folder: Path) -> Iterator[None]:
    """Keeps other processes from training in the folder, and removes what a killed one left there half written.

    Raises:
      InputError: Another process trains there.
    """
    with sole_work(run_folder):
        for folder in (run_folder / CHECKPOINTS, last_epoch(run_folder)):
            remove_left_overs(folder, is_sole=True)
        yield


def check_progress(run_folder: Path, fingerprints: Sequence[str]) -> Progress:
    """Where the run in a folder stands; a new one's beginning when there is none.

    Raises:
      InputError: The folder belongs to a run with other settings or data.
    """
    progress = _read_progress(run_folder) or Progress(list(fingerprints))
    if progress.fingerprints != list(fingerprints):
        raise InputError(
            f"{run_folder / CHECKPOINTS} holds a run with other settings or data. Choose another output folder."
        )
    return progress


def finished_stages(run_folder: Path) -> list[str]:
    """The fingerprints of the stages that the run in a folder has finished; none where there is no run."""
    progress = _read_progress(run_folder)
    return [] if progress is None else progress.fingerprints[: progress.stage]


def take_over(stage: Stage, index: int, fingerprint: str, target: Path) -> list[Row]:
    """Copies the weights of a finished stage, and the states of the files they come from; gives the rows of its epochs.

    Raises:
      InputError: The other run has no such stage, has not finished it, or trained it with other settings or data.
    """
    other = Path(str(stage.reuse))
    progress = _read_progress(other)
    source = stage_weights(other, index, stage)
    if progress is None or progress.stage <= index or not source.exists():
        raise InputError(
            f"Stage {stage.name!r}: reuse={stage.reuse!r} has no finished stage {stage.name!r}. Train that run first, "
            "or leave reuse out."
        )
    if progress.fingerprints[index] != fingerprint:
        raise InputError(
            f"Stage {stage.name!r}: reuse={stage.reuse!r} was trained with other data or settings. Give both runs the "
            "same data, model, training, augmentation, seed and stage settings, or leave reuse out."
        )
    with atomic_path(target, durable=True) as temporary:
        shutil.copyfile(source, temporary)
    file_states(target).unlink(missing_ok=True)  # of an attempt to train the stage
    if file_states(source).exists():  # not in one that was trained before they were kept
        with atomic_path(file_states(target), durable=True) as temporary:
            shutil.copyfile(file_states(source), temporary)
    return [row for row in progress.rows if row["stage"] == stage.name]


def _read_progress(run_folder: Path) -> Progress | None:
    path = last_epoch(run_folder) / PROGRESS
    if not path.exists():
        return None
    try:
        entries = read_json(path, finite=False)
        return Progress(**{**entries, "plateau": Plateau(**entries["plateau"])})
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} cannot be read ({clause(error)}). Choose another output folder.") from error
