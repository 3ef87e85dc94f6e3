"""Runs of a comparison in several processes, each with a device of its own."""

import dataclasses
import functools
import graphlib
import os
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from care_tf.device_memory import full_memory_named
from care_tf.errors import InputError, reason
from care_tf.images.decoding import corrupt_files_refused
from care_tf.runs._cell_training import train_cell
from care_tf.runs._shared_images import SharedImages
from care_tf.runs.comparison_plan import Cell
from care_tf.workers import Workers, open_pool, stream_results

# A worker of a Dask cluster may have several threads, and Keras's session and seeds are those of the process.
_ONE_AT_A_TIME = threading.Lock()


class CellTask(NamedTuple):
    """A run to do, the command line for its record, and the folder that its relative paths start from."""

    cell: Cell
    command: tuple[str, ...]
    folder: str


@dataclasses.dataclass(frozen=True)
class CellResult:
    """What became of a run: `message` is why it failed, or ""."""

    cell: Cell
    seconds: float = 0.0
    message: str = ""


def check_one_device_each(cells: Sequence[Cell]) -> None:
    """Raises InputError for a run that would itself spread over several devices."""
    wrong = {cell.config.training.distribution for cell in cells} - {"auto", "none"}
    if "TF_CONFIG" in os.environ or wrong:
        received = "TF_CONFIG in the environment" if "TF_CONFIG" in os.environ else ", ".join(sorted(wrong))
        raise InputError(
            "Several runs at a time need a device for each, so training.distribution must be none or auto. Received "
            f"{received}. Leave --workers out to train one run after the other on all devices."
        )


def results_in_parallel(cells: Sequence[Cell], command: Sequence[str], workers: Workers) -> Iterator[CellResult]:
    """Trains and predicts cells as workers become free; one that takes over a stage waits for the run that trains it.

    A run that fails ends no other; one that would take over a stage that it has not finished fails, too.

    Args:
      cells: That pass `check_one_device_each`.
      command: The command line, for the record.
      workers: Who trains them.

    Raises:
      InputError: The backend is not installed, or the cluster cannot be reached or is lost on the way.
    """
    with open_pool(workers, _result, b"", is_long=True, devices=_devices()) as pool:
        for wave in _waves(cells):
            tasks = [CellTask(cell, tuple(command), os.getcwd()) for cell in wave]
            try:
                yield from stream_results(pool, tasks, lambda task, message: CellResult(task.cell, message=message))
            except Exception as error:
                if workers.backend == "local":
                    raise
                raise workers.lost(error) from error


def _sources(cell: Cell) -> set[str]:
    return {stage.reuse for stage in cell.config.stages if stage.reuse is not None}


def _waves(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """The cells that need none of the others, then those that need only these, and so on."""
    by_folder = {cell.config.output: cell for cell in cells}
    order = graphlib.TopologicalSorter({folder: _sources(cell) & set(by_folder) for folder, cell in by_folder.items()})
    order.prepare()
    while order.is_active():
        ready = order.get_ready()
        yield [cell for folder, cell in by_folder.items() if folder in ready]
        order.done(*ready)


def _devices() -> list[str]:
    """This machine's GPUs, as CUDA_VISIBLE_DEVICES names them."""
    num_devices = len(tf.config.list_physical_devices("GPU"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (visible.split(",") if visible else [str(number) for number in range(num_devices)])[:num_devices]


def _result(_: bytes, task: CellTask) -> CellResult:
    with _ONE_AT_A_TIME:
        start = time.monotonic()
        try:
            os.chdir(task.folder)
            with full_memory_named():
                _train(task)
        except Exception as error:
            if not isinstance(error, InputError):
                traceback.print_exc()
            return CellResult(task.cell, message=reason(error))
        finally:
            keras.backend.clear_session()
        return CellResult(task.cell, time.monotonic() - start)


@corrupt_files_refused()
def _train(task: CellTask) -> None:
    train_cell(task.cell, task.command, _images(task.cell.config.data.cache), show_epochs=False)


@functools.cache
def _images(cache: str | None) -> SharedImages:
    return SharedImages(cache)
