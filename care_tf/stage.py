"""A stage of training: what a run is a list of."""

import dataclasses
import math
import re

from care_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a run. CARE's own recipe is two of them: alpha 0, then alpha > 0 from the weights of the first.

    Attributes:
      name: Name in histories, checkpoints and the report.
      epochs: Largest number of epochs, >= 1.
      alpha: Weight of the attention loss, in [0, 1].
      ramp_epochs: Epochs over which alpha grows linearly to its value; 0 for at once.
      learning_rate: Learning rate; every stage starts with a fresh optimizer.
      patience: Epochs without improvement of `monitor` that end the stage; None runs all epochs.
      min_delta: A fall of the monitored loss by no more than this is no improvement, >= 0.
      monitor: The log that `patience` watches; lower is better.
      reuse: Run folder whose finished stage of the same settings is taken over instead of training; None trains.
    """

    name: str
    epochs: int
    alpha: float = 0.0
    ramp_epochs: int = 0
    learning_rate: float = 1e-4
    patience: int | None = None
    min_delta: float = 0.0
    monitor: str = "classification_loss"
    reuse: str | None = None

    def __post_init__(self):
        for name, ok, rule in (
            ("name", re.fullmatch(r"\w[\w.-]*", self.name), "letters, digits, _, - and . (it names files)"),
            ("epochs", self.epochs >= 1, "at least 1"),
            ("alpha", 0.0 <= self.alpha <= 1.0, "in [0, 1]"),
            ("ramp_epochs", self.ramp_epochs >= 0, "at least 0"),
            ("learning_rate", self.learning_rate > 0.0 and math.isfinite(self.learning_rate), "positive"),
            ("patience", self.patience is None or self.patience >= 1, "at least 1"),
            ("min_delta", self.min_delta >= 0.0, "at least 0"),
        ):
            if not ok:
                raise InputError(
                    f"Stage {self.name!r}: {name} must be {rule}. Received {name}={getattr(self, name)!r}."
                )
