"""The two-stage schedule of CARE as a callback: classification first, then attention."""

import dataclasses
import os
import warnings
from pathlib import Path
from typing import Any

import keras

from care_tf import keras_generation
from care_tf.errors import InputError, clause
from care_tf.files import write_json
from care_tf.text_files import read_json


@dataclasses.dataclass(frozen=True)
class Plateau:
    """How long a monitored loss has not improved.

    Attributes:
      best: Lowest loss so far.
      waited: Epochs since the best.
    """

    best: float = float("inf")
    waited: int = 0

    def after(self, loss: float, min_delta: float = 0.0) -> "Plateau":
        """The state after an epoch: a loss more than `min_delta` below the best is an improvement."""
        return Plateau(loss, 0) if loss < self.best - min_delta else Plateau(self.best, self.waited + 1)


@dataclasses.dataclass(frozen=True)
class ScheduleState:
    """Where the schedule stands after an epoch.

    Attributes:
      finetune_start: The epoch at which stage 2 begins or began; None during stage 1.
      plateau: How stage 1's monitored loss has been falling.
    """

    finetune_start: int | None = None
    plateau: Plateau = Plateau()


def ramped_alpha(alpha: float, epochs_in_stage: int, ramp_epochs: int) -> float:
    """alpha * min(1, (epochs_in_stage + 1) / ramp_epochs); constant for ramp_epochs = 0.

    Args:
      alpha: Final weight of the attention loss.
      epochs_in_stage: Finished epochs of stage 2, from 0.
      ramp_epochs: Epochs until the final value is reached.

    Returns:
      alpha for this epoch.
    """
    return alpha if ramp_epochs <= 0 else alpha * min(1.0, (epochs_in_stage + 1) / ramp_epochs)


class TwoStageSchedule(keras.callbacks.Callback):
    """Stage 1 with alpha = 0, then stage 2 with the attention loss, in one `fit`.

    Stage 1 ("pretrain") ends when the monitored loss has stopped falling (`patience`), or after `pretrain_epochs`.
    Stage 2 ("finetune") starts from its weights with `alpha`, constant or ramped linearly. `fit`'s logs gain `stage`
    (1 or 2) and `alpha`. When `fit` ends, the model's alpha is what it was before. A `fit` that ends in stage 1 warns.

    An interrupted run resumes in the right stage when `state_path` is kept: use it beside
    `keras.callbacks.BackupAndRestore`, or call `fit` again with `initial_epoch` on a model whose weights and optimizer
    state, learning rate included, were restored.

    Args:
      pretrain_epochs: Largest number of epochs of stage 1; None leaves the end to `patience`.
      patience: Epochs without improvement that end stage 1; None leaves the end to `pretrain_epochs`.
      min_delta: A fall of the loss by no more than this is no improvement, >= 0.
      monitor: The log that stage 1 watches; lower is better.
      alpha: Weight of the attention loss in stage 2, in [0, 1].
      ramp_epochs: Epochs over which alpha grows to its value; 0 for at once.
      finetune_epochs: Epochs of stage 2 after which training stops; None runs to `fit`'s `epochs`.
      learning_rate: New learning rate of stage 2; None keeps the current one.
      reset_optimizer: Whether stage 2 starts with fresh optimizer state.
      state_path: JSON file that remembers the state after every epoch; None keeps it in memory only.

    Raises:
      InputError: An argument is out of range, the model is no CAREModel, the monitored log is missing, or training
        resumes in an unknown state.

    Source: Zhuang et al. 2023, section 3.2 and Table 1 (pretrain until the cross entropy no longer falls, then
      fine-tune). Ramp and learning rate are extensions.
    """

    def __init__(
        self,
        pretrain_epochs: int | None = None,
        patience: int | None = None,
        min_delta: float = 0.0,
        monitor: str = "classification_loss",
        alpha: float = 0.5,
        ramp_epochs: int = 0,
        finetune_epochs: int | None = None,
        learning_rate: float | None = None,
        reset_optimizer: bool = True,
        state_path: str | os.PathLike | None = None,
    ):
        super().__init__()
        if pretrain_epochs is None and patience is None:
            raise InputError("Stage 1 needs an end: give pretrain_epochs, patience, or both.")
        for name, value, least in (
            ("pretrain_epochs", pretrain_epochs, 0),
            ("patience", patience, 1),
            ("min_delta", min_delta, 0),
            ("ramp_epochs", ramp_epochs, 0),
            ("finetune_epochs", finetune_epochs, 1),
        ):
            if value is not None and value < least:
                raise InputError(f"{name} must be at least {least}. Received {name}={value!r}.")
        if not 0.0 <= alpha <= 1.0:
            raise InputError(f"alpha must lie in [0, 1]. Received alpha={alpha!r}.")
        self.pretrain_epochs = pretrain_epochs
        self.patience = patience
        self.min_delta = min_delta
        self.monitor = monitor
        self.alpha = alpha
        self.ramp_epochs = ramp_epochs
        self.finetune_epochs = finetune_epochs
        self.learning_rate = learning_rate
        self.reset_optimizer = reset_optimizer
        self.state_path = None if state_path is None else Path(state_path)
        self._states: dict[int, ScheduleState] = {}
        self._has_begun = False
        self._alpha_before: float | None = None
        self._has_warned = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Remembers the model's alpha."""
        if not hasattr(self.model, "attention_loss"):
            raise InputError(
                f"TwoStageSchedule sets the alpha of a CAREModel. Received a {type(self.model).__name__}: wrap the "
                "classifier in care_tf.CAREModel."
            )
        if self._alpha_before is None:  # an interrupted `fit` left the stage's alpha behind
            self._alpha_before = keras_generation.number_in(self.model.alpha)
        self._has_begun = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets alpha for the epoch; enters stage 2 at its first epoch."""
        if not self._has_begun:
            self._states = self._states_before(epoch)
            self._has_begun = True
        start = self._states[epoch].finetune_start
        if start is None:
            self.model.alpha = 0.0
            return
        if epoch == start:
            self._enter_finetuning()
        self.model.alpha = ramped_alpha(self.alpha, epoch - start, self.ramp_epochs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Decides whether stage 1 is over; adds `stage` and `alpha` to the logs."""
        logs = {} if logs is None else logs
        if self.monitor not in logs:
            raise InputError(
                f"TwoStageSchedule(monitor={self.monitor!r}): no such log. Available: {', '.join(sorted(logs))}."
            )
        state = self._states[epoch]
        logs["stage"] = 1 if state.finetune_start is None else 2
        logs["alpha"] = keras_generation.number_in(self.model.alpha)
        state = self._after_epoch(state, epoch, float(logs[self.monitor]))
        self._states[epoch + 1] = state
        if self.state_path is not None:
            entries = {str(key): dataclasses.asdict(state) for key, state in self._states.items()}
            write_json(self.state_path, entries, durable=True)
        start = state.finetune_start
        if start is not None and self.finetune_epochs is not None and epoch + 1 >= start + self.finetune_epochs:
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Gives the model its alpha back; warns where stage 2 never began."""
        self.model.alpha = self._alpha_before
        self._alpha_before = None
        last = max(self._states, default=0)
        if last and self.alpha > 0 and self._states[last].finetune_start in (None, last) and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"CARE trained no attention: fit ended in stage 1, after epoch {last}, and alpha stayed 0. Likely "
                f"cause: {self._why_stage_1(last)}.",
                UserWarning,
                stacklevel=2,
            )

    def _why_stage_1(self, num_epochs: int) -> str:
        if self.model.stop_training:
            return (
                "another callback, such as EarlyStopping, stopped it; let it watch from stage 2 on (start_from_epoch)"
            )
        if self.patience is None:
            return f"fit had {num_epochs} epochs, and pretrain_epochs is {self.pretrain_epochs}; give it more"
        return (
            f"{self.monitor} fell until the last {self.patience} epochs; give fit more epochs, raise min_delta, or end "
            "stage 1 with pretrain_epochs"
        )

    def _after_epoch(self, state: ScheduleState, epoch: int, loss: float) -> ScheduleState:
        if state.finetune_start is not None:
            return state
        plateau = state.plateau.after(loss, self.min_delta)
        is_long_enough = self.pretrain_epochs is not None and epoch + 1 >= self.pretrain_epochs
        has_stopped_falling = self.patience is not None and plateau.waited >= self.patience
        return ScheduleState(epoch + 1 if is_long_enough or has_stopped_falling else None, plateau)

    def _enter_finetuning(self) -> None:
        if self.reset_optimizer:
            keras_generation.reset_optimizer_state(self.model)
        if self.learning_rate is not None:
            try:
                keras_generation.set_learning_rate(self.model.optimizer, self.learning_rate)
            except TypeError as error:
                raise InputError(
                    "TwoStageSchedule(learning_rate=...) cannot replace a LearningRateSchedule. Compile with a number, "
                    "or leave learning_rate out."
                ) from error

    def _states_before(self, epoch: int) -> dict[int, ScheduleState]:
        """The states of earlier epochs when training begins at `epoch`: from this object, the file, or the rule."""
        first = ScheduleState(finetune_start=0) if self.pretrain_epochs == 0 else ScheduleState()
        if epoch == 0:
            return {0: first}
        if epoch in self._states:
            return {key: state for key, state in self._states.items() if key <= epoch}
        if self.state_path is not None and self.state_path.exists():
            states = _read_states(self.state_path)
            if epoch in states:
                return {key: state for key, state in states.items() if key <= epoch}
        if self.patience is None and self.pretrain_epochs is not None:
            return {epoch: ScheduleState(self.pretrain_epochs if epoch >= self.pretrain_epochs else None)}
        raise InputError(
            f"Training resumes at epoch {epoch}, but the schedule's state after epoch {epoch - 1} is not known "
            f"(state_path={str(self.state_path) if self.state_path else None!r}). Keep state_path from the first run, "
            "or give pretrain_epochs without patience."
        )


def _read_states(path: Path) -> dict[int, ScheduleState]:
    try:
        entries = read_json(path, finite=False)
        return {
            int(key): ScheduleState(entry["finetune_start"], Plateau(**entry["plateau"]))
            for key, entry in entries.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is not a TwoStageSchedule state file ({clause(error)}). Give another path to start from epoch 0."
        ) from error
