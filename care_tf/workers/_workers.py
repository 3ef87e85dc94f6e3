"""Who does the work: processes of this machine, or a Dask or Ray cluster."""

import dataclasses
import math
import os
from pathlib import Path
from typing import Literal

from care_tf.errors import InputError

BACKENDS = ("local", "dask", "ray")


@dataclasses.dataclass(frozen=True)
class Workers:
    """Where tasks are worked on: images whose boxes are made, or runs of a comparison.

    Args:
      backend: "local": processes of this machine; "dask" or "ray": a cluster, or one started on this machine for the
        run.
      num_workers: Processes; on a cluster that runs already, tasks under way at the same time. None: one per core of
        this machine or of the cluster. One local worker is this process itself; with more, a script's main code must
        stand under `if __name__ == "__main__":`.
      scheduler: Address of a running cluster, such as "tcp://10.0.0.1:8786" or "ray://10.0.0.1:10001". Its machines
        need care_tf installed and see the files under the same paths.

    Raises:
      InputError: An unknown backend, less than one worker, or a scheduler for "local".
    """

    backend: Literal["local", "dask", "ray"] = "local"
    num_workers: int | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise InputError(f"backend must be one of {', '.join(BACKENDS)}. Received {self.backend!r}.")
        if self.num_workers is not None and self.num_workers < 1:
            raise InputError(f"The number of workers must be at least 1. Received {self.num_workers}.")
        if self.scheduler is not None and self.backend == "local":
            raise InputError(
                f"A scheduler goes with the backends dask and ray. Received {self.scheduler!r} with local workers."
            )

    @property
    def num_local(self) -> int:
        """Processes to start on this machine; one per core that this process may use where no number is given."""
        return self.num_workers or _num_cores()

    def lost(self, error: Exception) -> InputError:
        """The error for a cluster that is lost on the way."""
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return InputError(
            f"The {self.backend} workers cannot continue ({reason}); what is finished is kept: once they are back, the "
            "same command continues from there."
        )


def _num_cores() -> int:
    """Cores that this process may use: a container may have fewer than its machine."""
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(num_cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no container, or "max": no limit
        return num_cores
