"""When a loss has stopped falling."""

import dataclasses


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
