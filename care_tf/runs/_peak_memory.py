"""The most memory that something has taken: the GPU's where there is one, else this process's."""

import contextlib
import resource
import sys
from pathlib import Path

import tensorflow as tf

from care_tf.runs._machine import gpu

_STATUS, _MARK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def memory_now() -> int:
    """Bytes of the GPU's memory in use; without a GPU 0, because a process takes its own along."""
    device = gpu()
    return 0 if device is None else tf.config.experimental.get_memory_info(device)["current"]


def start_peak() -> None:
    """Begins to watch the most that is in use at a time."""
    device = gpu()
    if device is not None:
        tf.config.experimental.reset_memory_stats(device)
    elif _MARK.exists():
        with contextlib.suppress(OSError):  # not allowed everywhere: the peak is then that since the process began
            _MARK.write_text("5")  # sets the process's peak to what it has now


def peak_memory() -> int:
    """Bytes: the most in use at a time since `start_peak`."""
    device = gpu()
    if device is not None:
        return tf.config.experimental.get_memory_info(device)["peak"]
    if _STATUS.exists():
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
