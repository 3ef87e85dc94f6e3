"""Several runs of a comparison at a time: their order, what a failure means, and that they are those of one process."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from care_tf.errors import InputError
from care_tf.runs import _parallel_cells as parallel_cells
from care_tf.runs import comparison_plan, comparison_runs
from care_tf.runs._parallel_cells import CellResult, check_one_device_each, results_in_parallel
from care_tf.runs.config import dump_config
from care_tf.workers import Workers

ROOT = Path(__file__).resolve().parents[2]
TWO = Workers(num_workers=2)


def cell(name, *sources, distribution="auto"):
    """A run in a folder of its name that takes over stages of others."""
    stages = [SimpleNamespace(reuse=source, epochs=1) for source in (*sources, None)]
    training = SimpleNamespace(distribution=distribution)
    config = SimpleNamespace(output=name, stages=stages, training=training, seed=0)
    return comparison_plan.Cell(name, "1", config, (), "")


class Pool:
    """Two runs under way; the second ends first. Notes what was handed out; runs named `bad` fail."""

    num_under_way = 2

    def __init__(self):
        self.handed_out, self.under_way = [], set()

    def submit(self, task):
        under_way = {self.handed_out[handle] for handle in self.under_way}
        assert not {stage.reuse for stage in task.cell.config.stages} & under_way
        self.under_way.add(len(self.handed_out))
        self.handed_out.append(task.cell.method)
        return len(self.handed_out) - 1

    def wait(self, handles):
        return handles[-1:]

    def result(self, handle):
        self.under_way.remove(handle)
        name = self.handed_out[handle]
        cell_of = {each.method: each for each in CELLS}
        return CellResult(cell_of[name], 1.0, "Loss is NaN." if name == "bad" else "")


CELLS = [cell("takes_bad", "bad"), cell("takes_b", "b"), cell("a"), cell("bad"), cell("b"), cell("takes_two", "b", "a")]


@pytest.fixture
def pool(monkeypatch):
    pool = Pool()
    monkeypatch.setattr(parallel_cells, "open_pool", lambda *_, **__: contextlib.nullcontext(pool))
    return pool


def test_a_run_waits_for_those_whose_stages_it_takes_over_and_a_failure_is_its_own(pool):
    results = {result.cell.method: result.message for result in results_in_parallel(CELLS, [], TWO)}
    assert pool.handed_out == ["a", "bad", "b", "takes_bad", "takes_b", "takes_two"]
    assert results == {**dict.fromkeys(("a", "b", "takes_bad", "takes_b", "takes_two"), ""), "bad": "Loss is NaN."}


def test_failures_are_said_at_the_end(pool, capsys, monkeypatch):
    monkeypatch.setattr(comparison_plan.Cell, "is_finished", True)
    with pytest.raises(InputError, match=r"1 of 6 runs failed \(bad, fold 1, seed 0: Loss is NaN\).*kept"):
        comparison_runs._several_at_a_time(CELLS, [], TWO)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 6 and printed[-1].endswith("about 0:00:00 left")
    assert printed[0] == "run 1 of 6, bad, fold 1, seed 0: failed: Loss is NaN"  # nothing tells the time left


def test_a_cluster_that_is_lost_is_said(pool, monkeypatch):
    monkeypatch.setattr(pool, "wait", lambda handles: 1 / 0)
    with pytest.raises(InputError, match=r"The dask workers cannot continue \(ZeroDivisionError.*continues from there"):
        list(results_in_parallel(CELLS, [], Workers("dask", 2)))


def test_runs_that_spread_over_devices_themselves_are_refused(monkeypatch):
    with pytest.raises(InputError, match=r"training.distribution must be none or auto. Received mirrored\. Leave"):
        check_one_device_each([cell("a"), cell("b", distribution="mirrored")])
    monkeypatch.setenv("TF_CONFIG", "{}")
    with pytest.raises(InputError, match="Received TF_CONFIG in the environment"):
        check_one_device_each([cell("a")])


def test_what_ends_a_run_is_its_message(monkeypatch, tmp_path, capfd):
    task = parallel_cells.CellTask(cell("a"), (), str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for error, message, has_traceback in (
        (InputError("The loss is NaN. Lower the rate."), "The loss is NaN. Lower the rate.", False),
        (ZeroDivisionError("division"), "ZeroDivisionError: division", True),
    ):
        monkeypatch.setattr(parallel_cells, "_train", lambda task, error=error: (_ for _ in ()).throw(error))
        assert parallel_cells._result(b"", task).message == message
        assert ("Traceback" in capfd.readouterr().err) == has_traceback


@pytest.mark.parametrize(
    ("visible", "seen", "expected"),
    [("2,5", 2, ["2", "5"]), ("2,5", 0, []), ("", 0, []), ("-1", 0, []), (None, 0, []), (None, 2, ["0", "1"])],
)
def test_the_gpus_are_those_that_tensorflow_sees(monkeypatch, visible, seen, expected):
    monkeypatch.setattr(parallel_cells.tf.config, "list_physical_devices", lambda kind: [kind] * seen)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert parallel_cells._devices() == expected


@pytest.mark.slow
def test_two_processes_train_the_runs_of_one(config_in, tmp_path):
    def planned(folder):
        small = {"stages": {"pretrain": {"epochs": 1}}, "model__backbone": "tiny_network:build"}
        config = config_in(tmp_path / "any", **small, data__validation=None)
        return comparison_plan.plan_cells({"plain": config}, None, [0, 1], tmp_path / folder)

    comparison_runs.run_cells(planned("two"), workers=TWO)
    comparison_runs.run_cells(planned("one")[:1], show_epochs=False)
    cells = planned("two")
    assert all(cell.is_finished for cell in cells)
    first, second = (pd.read_csv(cell.folder / "predictions.csv") for cell in cells)
    alone = pd.read_csv(planned("one")[0].folder / "predictions.csv")
    pd.testing.assert_frame_equal(first, alone)
    assert not first.equals(second)


ON_TWO_DEVICES = """
import sys
from pathlib import Path

import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from care_tf.runs import comparison_plan, comparison_runs
from care_tf.runs.config import load_config

folder = Path(sys.argv[1])
for name in ("none", "mirrored"):
    methods = {"plain": load_config(folder / f"{name}.yaml")}
    comparison_runs.run_cells(comparison_plan.plan_cells(methods, None, [0], folder / name), show_epochs=False)
"""


@pytest.mark.slow
def test_a_run_of_a_comparison_may_spread_over_devices(config_in, tmp_path):
    for name in ("none", "mirrored"):
        training = {"batch_size": 5, "optimizer": "SGD", "distribution": name}  # never even
        small = {"stages": {"pretrain": {"epochs": 1}}, "model__backbone": "tiny_network:build", "training": training}
        config = config_in(tmp_path / "any", **small, data__validation=None)
        (tmp_path / f"{name}.yaml").write_text(dump_config(config))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [ROOT, ROOT / "tests"]))}
    command = [sys.executable, "-c", ON_TWO_DEVICES, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (pd.read_csv(next((tmp_path / name).rglob("predictions.csv"))) for name in ("none", "mirrored"))
    pd.testing.assert_frame_equal(one, two, rtol=1e-4, atol=1e-5)
