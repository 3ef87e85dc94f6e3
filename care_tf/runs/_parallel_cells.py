"""Runs of a comparison in several processes, each with a device of its own."""

import dataclasses
import functools
import graphlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from care_tf.errors import InputError, reason
from care_tf.runs._cell_training import train_cell
from care_tf.runs._shared_images import SharedImages
from care_tf.runs.comparison_plan import Cell
from care_tf.workers import Workers, open_pool, stream_results


class CellTask(NamedTuple):
    """A run to do, and the command line for its record."""

    cell: Cell
    command: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class CellResult:
    """What became of a run: `message` is why it failed, or ""."""

    cell: Cell
    seconds: float = 0.0
    message: str = ""


def results_in_parallel(cells: Sequence[Cell], command: Sequence[str], workers: Workers) -> Iterator[CellResult]:
    """Trains and predicts cells as workers become free; one that takes over a stage waits for the run that trains it.

    A run that fails ends no other, but those that would take over a stage of it fail, too.

    Raises:
      InputError: A run would itself spread over several devices, the backend is not installed, or the cluster cannot
        be reached or is lost on the way.
    """
    spread = [cell.config.training.distribution for cell in cells]
    if "TF_CONFIG" in os.environ or not set(spread) <= {"auto", "none"}:
        raise InputError(
            "Several runs at a time need a device for each, so training.distribution must be none. Received "
            f"{'TF_CONFIG in the environment' if 'TF_CONFIG' in os.environ else ', '.join(sorted(set(spread)))}. Leave "
            "--workers out to train one run after the other on all devices."
        )
    failed: set[str] = set()
    with open_pool(workers, _result, b"", devices=_devices()) as pool:
        for wave in _waves(cells):
            tasks = []
            for cell in wave:
                if missing := failed & _sources(cell):
                    failed.add(cell.config.output)
                    yield CellResult(cell, message=f"{', '.join(sorted(missing))} failed, whose stage it takes over")
                else:
                    tasks.append(CellTask(cell, tuple(command)))
            try:
                for result in stream_results(pool, tasks, lambda task, message: CellResult(task.cell, message=message)):
                    if result.message:
                        failed.add(result.cell.config.output)
                    yield result
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
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number, _ in enumerate(tf.config.list_physical_devices("GPU"))]


def _result(_: bytes, task: CellTask) -> CellResult:
    start = time.monotonic()
    try:
        train_cell(task.cell, task.command, _images(task.cell.config.data.cache), show_epochs=False)
    except Exception as error:
        return CellResult(task.cell, message=reason(error))
    finally:
        keras.backend.clear_session()
    return CellResult(task.cell, time.monotonic() - start)


@functools.cache
def _images(cache: str | None) -> SharedImages:
    return SharedImages(cache)
