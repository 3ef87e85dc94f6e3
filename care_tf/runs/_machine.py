"""The machine that trains: its GPU or its processor, and how much memory that has."""

import dataclasses
import os
import subprocess

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Machine:
    """What trains.

    Attributes:
      gpu: Name of the first GPU that TensorFlow sees, which is not the machine's first where CUDA_VISIBLE_DEVICES says
        so; None where the processor trains.
      unseen_gpu: Name of a GPU that is there and that TensorFlow does not use, where it uses none.
      num_cores: Processor cores that this process may use.
      memory_bytes: Memory of the GPU, or without one of the machine; None where it is not known.
    """

    gpu: str | None
    unseen_gpu: str | None
    num_cores: int
    memory_bytes: int | None


def this_machine() -> Machine:
    """The machine of this process."""
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    known, name = _gpus_of_the_driver(), _gpu_of_tensorflow()
    if name is None:
        unseen = known[0][0] if known else None
        return Machine(None, unseen, num_cores, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    # The driver's order is not TensorFlow's, so of GPUs of one name with different memories it may be any.
    sizes = {size for known_name, size in known if known_name == name}
    return Machine(name, None, num_cores, sizes.pop() if len(sizes) == 1 else None)


def gpu() -> str | None:
    """TensorFlow's device name of the first GPU that it uses; None without one."""
    return "GPU:0" if tf.config.list_logical_devices("GPU") else None


def _gpu_of_tensorflow() -> str | None:
    """The name of the first GPU that TensorFlow sees."""
    seen = tf.config.get_visible_devices("GPU")
    return tf.config.experimental.get_device_details(seen[0]).get("device_name", "GPU") if seen else None


def _gpus_of_the_driver() -> list[tuple[str, int]]:
    """Name and memory in bytes of every NVIDIA GPU that the driver knows, whether or not TensorFlow can use it."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return [(name.strip(), int(size) * 2**20) for name, _, size in (line.rpartition(",") for line in lines)]
    except (OSError, ValueError, subprocess.CalledProcessError):
        return []
