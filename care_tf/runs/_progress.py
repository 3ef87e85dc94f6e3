"""Where a run stands: finished stages and epochs, written after every epoch and read when the run is started again."""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from care_tf.callbacks.two_stage_schedule import Plateau
from care_tf.errors import InputError
from care_tf.files import atomic_path
from care_tf.model import CAREModel
from care_tf.runs._stage import Stage

CHECKPOINTS, HISTORY = "checkpoints", "history.csv"
PROGRESS, MODEL_WEIGHTS = "progress.json", "model.weights.h5"

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

    def ends(self, stage: Stage) -> bool:
        """Whether the current stage has trained all its epochs, or waited long enough."""
        return self.epoch >= stage.epochs or (stage.patience is not None and self.plateau.waited >= stage.patience)

    def begin_next_stage(self) -> None:
        """Moves on to the stage after the current one."""
        self.stage, self.epoch, self.plateau = self.stage + 1, 0, Plateau()

    def write(self, run_folder: Path, model: CAREModel | None = None) -> None:
        """Replaces checkpoints/last, within a stage with its model and optimizer, in one step; then history.csv."""
        import pandas as pd

        with atomic_path(last_epoch(run_folder)) as folder:
            folder.mkdir(parents=True)
            (folder / PROGRESS).write_text(json.dumps(dataclasses.asdict(self)))
            if model is not None:
                model.save_weights(str(folder / MODEL_WEIGHTS))
        with atomic_path(run_folder / HISTORY) as temporary:
            pd.DataFrame(self.rows).to_csv(temporary, index=False)


def stage_weights(run_folder: Path, index: int, stage: Stage) -> Path:
    """The file of the classifier's weights after a stage."""
    return run_folder / CHECKPOINTS / f"{index + 1}-{stage.name}.weights.h5"


def last_epoch(run_folder: Path) -> Path:
    """The folder with the progress after the last finished epoch and, within a stage, its model and optimizer."""
    return run_folder / CHECKPOINTS / "last"


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
    """Copies the weights of a finished stage from the run that `reuse` names; gives the rows of its epochs.

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
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
    return [row for row in progress.rows if row["stage"] == stage.name]


def _read_progress(run_folder: Path) -> Progress | None:
    path = last_epoch(run_folder) / PROGRESS
    if not path.exists():
        return None
    try:
        entries = json.loads(path.read_text())
        return Progress(**{**entries, "plateau": Plateau(**entries["plateau"])})
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} cannot be read ({error}). Choose another output folder.") from error
