"""Runs on several devices: two real processes are one run, and what happens when one of them is gone."""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf
from tf_workers import free_ports, tf_config

from care_tf.errors import InputError
from care_tf.runs import distribution
from care_tf.runs.config import TrainingConfig, dump_config
from care_tf.runs.distribution import WorkerLostError, check_agreement, distributed, is_chief, written_folder

ROOT = Path(__file__).resolve().parents[2]
STOP = """
import os
import signal

import keras


class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if os.environ.get("STOPS") and self.model.optimizer.iterations > 4:  # in the second of epochs of 3 batches
            os.kill(os.getpid(), signal.SIGKILL)
"""


# Forks the workers from a process that has TensorFlow, which takes most of a start, and has computed nothing with it.
SERVER = """
import json
import os
import signal
import sys

import care_tf.runs._run_training
from care_tf.cli import main

for line in sys.stdin:
    workers = []
    for arguments, environment, written in json.loads(line):
        workers.append(os.fork())
        if not workers[-1]:
            signal.alarm(600)
            os.environ.update(environment)
            for number, name in enumerate(written, start=1):
                os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            sys.argv[1:] = arguments
            main("care")
    codes = [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]
    print(json.dumps(codes), flush=True)
"""


@pytest.fixture
def server(tmp_path):
    (tmp_path / "stop.py").write_text(STOP)
    paths = os.pathsep.join(map(str, [ROOT, ROOT / "tests", tmp_path]))
    environment = {**os.environ, "PYTHONPATH": paths}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen([sys.executable, "-c", SERVER], env=environment, cwd=tmp_path, **pipes) as process:
        yield process
        os.killpg(process.pid, signal.SIGKILL)  # with the workers that a failure leaves


def train_on(num_workers, config, folder, server, stops=None):
    """Exit codes, outputs and errors of `care train` in so many processes; worker `stops` kills itself in epoch 2."""
    path = folder / "config.yaml"
    path.write_text(dump_config(config))
    ports = free_ports(num_workers)
    starts, written = [], []
    for index in range(num_workers):
        environment = {"STOPS": "yes" if stops == index else ""}
        if num_workers > 1:
            environment["TF_CONFIG"] = tf_config(ports, index)
        written.append([str(folder / f"worker_{index}.{name}") for name in ("out", "err")])
        starts.append([["train", str(path)], environment, written[-1]])
    print(json.dumps(starts), file=server.stdin, flush=True)
    codes = json.loads(server.stdout.readline())
    return codes, *([Path(names[kind]).read_text() for names in written] for kind in (0, 1))


def arrays(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def rows(folder):
    with open(folder / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def assert_same_run(one, other):
    """Two run folders of a stage `finetune`: the same history and weights, up to rounding."""
    for row, again in zip(rows(one), rows(other), strict=True):
        for name, value in row.items():
            if name != "stage":
                np.testing.assert_allclose(float(again[name]), float(value), rtol=1e-6, atol=2e-6, err_msg=name)
    expected, trained = (arrays(folder / "checkpoints/1-finetune.weights.h5") for folder in (one, other))
    assert expected.keys() == trained.keys()
    apart = np.concatenate([np.abs(trained[key] - value).ravel() for key, value in expected.items()])
    assert apart.max() < 2e-5
    # Rounding may move an activation across the kink of a ReLU, and with it the few weights that follow from it.
    assert np.mean(apart > 2e-6) < 0.002


# The kernel of one device has a factor n / (n - 1) on TensorFlow 2.15 that what is taken of all replicas lacks.
WITHOUT_KERNEL = """
import keras
import tiny_network
from care_tf.keras_generation import synchronize


def build(image_size, num_classes):
    network = tiny_network.build(image_size, num_classes)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            synchronize(layer)
    return network
"""
THREE_DEVICES = """
import sys

import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 3)
from care_tf.runs import train_run
from care_tf.runs.config import load_config

for path in sys.argv[1:]:
    train_run(load_config(path), command="test")
"""


@pytest.mark.slow
@pytest.mark.both_generations
def test_fewer_images_in_a_batch_than_devices_are_one_run(config, tmp_path):
    """33 images in batches of 2 for 3 devices: one is always without an image, and the first is first."""
    (tmp_path / "without_kernel.py").write_text(WITHOUT_KERNEL)
    settings = {
        "model": {"backbone": "without_kernel:build"},
        "every_stage": {"learning_rate": 0.02, "augmentation": {"rotation_degrees": 90}},
        "stages": {"finetune": {"epochs": 2, "alpha": 0.5}},
    }
    paths = []
    for name, devices in (("one", "none"), ("three", "mirrored")):
        training = {"batch_size": 2, "optimizer": "SGD", "distribution": devices}
        paths.append(tmp_path / f"{name}.yaml")
        paths[-1].write_text(dump_config(config(name, training=training, **settings)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [ROOT, ROOT / "tests", tmp_path]))}
    command = [sys.executable, "-c", THREE_DEVICES, *map(str, paths)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same_run(tmp_path / "one", tmp_path / "three")


@pytest.mark.slow
def test_two_processes_are_one_run_even_when_one_is_killed(config, tmp_path, server):
    """33 images in batches of 16: the last batch of an epoch has one image, so a worker has none."""
    settings = {
        "model": {"backbone": "tiny_network:build"},
        "training": {"batch_size": 16, "optimizer": "SGD", "callbacks": ["stop:Stop"]},
        "every_stage": {"learning_rate": 0.02, "augmentation": {"rotation_degrees": 90}},
        "stages": {"finetune": {"epochs": 2, "alpha": 0.5}},
    }
    codes, _, errors = train_on(1, config("one", **settings), tmp_path, server)
    assert codes == [0], errors
    settings["training"]["distribution"] = "multiworker"
    two = config("two", **settings)

    codes, outputs, errors = train_on(2, two, tmp_path, server, stops=1)
    assert codes == [75, -9], errors
    said = r"error: A worker of this run is gone.* its last finished epoch\. If none is gone,.*TensorFlow says: \w.+"
    assert re.fullmatch(said, errors[0].splitlines()[-1])
    assert [row["epoch"] for row in rows(tmp_path / "two")] == ["1"]

    codes, outputs, errors = train_on(2, two, tmp_path, server)
    assert codes == [0, 0], errors
    assert "finetune 2/2" in outputs[0] and "finetune" not in outputs[1]
    assert_same_run(tmp_path / "one", tmp_path / "two")
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == sorted(
        path.name for path in (tmp_path / "one").iterdir()
    )


JOINING = """
import json
import os
import signal
import sys
import time

from care_tf.errors import InputError
from care_tf.runs import distribution
from care_tf.runs._progress import Progress
from care_tf.runs.config import TrainingConfig


def join(tf_config, seconds, delay):
    os.environ["TF_CONFIG"] = tf_config
    distribution.SECONDS_TO_JOIN = seconds
    time.sleep(delay)
    with distribution.distributed(TrainingConfig(distribution="multiworker")):
        distribution.agree(Progress(["the same run"]))  # computed by all together


for seconds, configs, written in json.loads(sys.argv[1]):
    workers = []
    for number, tf_config in enumerate(configs):
        workers.append(os.fork())
        if not workers[-1]:
            signal.alarm(120)
            os.dup2(os.open(written[number], os.O_WRONLY | os.O_CREAT), 2)
            try:
                join(tf_config, seconds, delay=2 * number)
            except InputError as error:
                sys.exit(f"{type(error).__name__}: {error}")
            sys.exit()
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]))
"""


@pytest.mark.slow
@pytest.mark.both_generations
def test_workers_wait_for_each_other_but_not_without_end(tmp_path):
    """Two that are listed, of which the second starts later; then two of three, of which the third never does."""
    first, second = free_ports(2)
    groups = [(60, [first, second]), (6, free_ports(3))]
    written = [[str(tmp_path / f"{group}_{number}") for number in range(2)] for group in range(2)]
    starts = [
        [seconds, [tf_config(ports, index) for index in range(2)], names]
        for (seconds, ports), names in zip(groups, written, strict=True)
    ]
    command = [sys.executable, "-c", JOINING, json.dumps(starts)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    errors = [[Path(name).read_text() for name in names] for names in written]
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[0, 0], [1, 1]], errors
    assert f"waiting for the workers 127.0.0.1:{second}, 60 s at most" in errors[0][0]
    assert "waiting" not in errors[0][1]
    other, absent = (f"127.0.0.1:{port}" for port in groups[1][1][1:])
    assert f"waiting for the workers {other}, {absent}, 6 s at most" in errors[1][0]
    assert f"waiting for the workers {absent}, 6 s at most" in errors[1][1]
    for text in errors[1]:
        assert "Traceback" not in text
        assert re.fullmatch(
            rf"WorkerLostError: All workers .* started within 6 s\. Received no answer from {absent} \(.*refused\)\. "
            r"Correct .*start all of them again .*",
            text.splitlines()[-1],
        )


def test_a_worker_needs_its_own_port(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("TF_CONFIG", tf_config([port, *free_ports(1)], 0))
        with pytest.raises(InputError, match=rf"a port that is free. Received 127.0.0.1:{port}: .*in use.* End what"):
            enter(distribution="multiworker")


def test_one_device_is_left_as_it_is(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name in ("none", "auto"):
        with distributed(TrainingConfig(distribution=name)):
            assert is_chief(TrainingConfig(distribution=name)) and not distribution._is_multiworker()
            with written_folder(Path("runs/mine"), TrainingConfig(distribution=name)) as folder:
                assert folder == Path("runs/mine")


def enter(**training):
    with distributed(TrainingConfig(**training)):
        pass


def test_several_workers_need_their_names(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {}}')
    with pytest.raises(InputError, match=r'needs the environment variable TF_CONFIG.*Received.*"cluster": {}'):
        enter(distribution="multiworker")


TWO = '"cluster": {"worker": ["a:1", "b:1"]}'


@pytest.mark.parametrize("distribution", ["auto", "multiworker"])
@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("{", "must be JSON"),
        ("[1]", "no object"),
        ("5", "no object"),
        ('{"cluster": [1]}', "cluster is no object"),
        ('{"cluster": {"worker": 5}}', "worker is no list of texts host:port"),
        ('{"cluster": {"worker": "a:1"}}', "worker is no list of texts host:port"),
        ('{"cluster": {"worker": ["a"]}}', "worker is no list of texts host:port"),
        ('{"cluster": {"worker": ["a:99999"]}}', "worker is no list of texts host:port"),
        ('{"cluster": {"worker": ["host..b:1"]}}', "worker is no list of texts host:port"),
        ('{"cluster": {"worker": [1]}}', "worker is no list of texts host:port"),
        ('{"cluster": {"chief": ["a:1", "b:1"]}}', "there are 2 chiefs"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}}', "the same address"),
        (f"{{{TWO}}}", "task has no type"),
        (f'{{{TWO}, "task": 3}}', "task has no type"),
        (f'{{{TWO}, "task": {{"type": "ps", "index": 0}}}}', "task has no type"),
        (f'{{{TWO}, "task": {{"type": "worker"}}}}', "there are 2 of type worker"),
        (f'{{{TWO}, "task": {{"type": "worker", "index": 7}}}}', "there are 2 of type worker"),
        (f'{{{TWO}, "task": {{"type": "worker", "index": -1}}}}', "there are 2 of type worker"),
        (f'{{{TWO}, "task": {{"type": "chief", "index": 0}}}}', "there are 0 of type chief"),
    ],
)
def test_a_tf_config_of_another_shape_is_refused(monkeypatch, value, wrong, distribution):
    monkeypatch.setenv("TF_CONFIG", value)
    pattern = f"TF_CONFIG must .*Received {re.escape(repr(value))}.*Correct it, or unset it"
    with pytest.raises(InputError, match=pattern) as refused:
        enter(distribution=distribution)
    assert wrong in str(refused.value)
    with pytest.raises(InputError, match=pattern):
        is_chief(TrainingConfig(distribution=distribution))


def test_a_worker_that_is_lost_while_they_join_is_told(monkeypatch):
    def fails(name):
        raise tf.errors.AbortedError(None, None, "unexpected new incarnation")

    monkeypatch.setattr(distribution, "_strategy", fails)
    with pytest.raises(WorkerLostError, match=r"A worker of this run is gone.*Received AbortedError.*again"):
        enter(distribution="multiworker")


@pytest.mark.parametrize("before", ["", "Graph execution error:\n\nDetected at node Read:\n  File 'a.py'\n\n"])
def test_what_did_not_answer_is_told_in_tensorflows_words(monkeypatch, before):
    """A storage of files raises what a lost worker does."""
    monkeypatch.setattr(distribution, "_strategy", lambda name: tf.distribute.get_strategy())
    said = "If none is gone, something else did not answer, .*; TensorFlow says: 503 of the bucket$"
    with pytest.raises(WorkerLostError, match=said), distributed(TrainingConfig(distribution="multiworker")):
        raise tf.errors.UnavailableError(None, None, f"{before}503 of the bucket\n\t [[{{{{node Read}}}}]]")


def test_workers_agree_on_run_and_epoch():
    check_agreement([[0, 3, 7], [0, 3, 7]])
    with pytest.raises(InputError, match=r"Received workers of different runs: 0000007, 0000008"):
        check_agreement([[0, 3, 7], [0, 3, 8]])
    with pytest.raises(InputError, match=r"Received workers at stage 1 epoch 3, stage 1 epoch 2"):
        check_agreement([[0, 3, 7], [0, 2, 7]])


def test_xla_is_for_one_device():
    with pytest.raises(InputError, match=r"compiles a step for one device.*distribution=mirrored"):
        enter(distribution="mirrored", jit_compile=True)


@pytest.mark.parametrize(
    ("cluster", "task", "expected"),
    [
        ({"worker": ["a:1", "b:1"]}, {"type": "worker", "index": 0}, True),
        ({"worker": ["a:1", "b:1"]}, {"type": "worker", "index": "0"}, True),
        ({"worker": ["a:1", "b:1"]}, {"type": "worker", "index": 1}, False),
        ({"chief": ["a:1"], "worker": ["b:1"]}, {"type": "worker", "index": 0}, False),
        ({"chief": ["a:1"], "worker": ["b:1"]}, {"type": "chief", "index": 0}, True),
    ],
)
def test_the_first_worker_alone_writes(monkeypatch, tmp_path, cluster, task, expected):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    training = TrainingConfig(distribution="multiworker")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "progress").write_text("here")
    assert is_chief(training) is expected
    with written_folder(tmp_path, training) as folder:
        assert (folder == tmp_path) is expected
        assert (folder / "checkpoints" / "progress").read_text() == "here"
    assert folder.exists() is expected


def test_a_second_group_of_workers_leaves_the_first_alone(monkeypatch, tmp_path):
    """The same command started again by mistake, with other ports."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    training = TrainingConfig(distribution="multiworker")
    monkeypatch.setenv("TF_CONFIG", tf_config([1, 2], 1))
    with written_folder(tmp_path / "run", training) as first:
        (first / "weights").write_text("of the first group")
        monkeypatch.setenv("TF_CONFIG", tf_config([3, 4], 1))
        with (
            pytest.raises(InputError, match=r"Another run is at work on .*run; wait for it, stop it, or"),
            written_folder(tmp_path / "run", training),
        ):
            pass
        assert (first / "weights").read_text() == "of the first group"
        monkeypatch.setenv("TF_CONFIG", tf_config([3, 4, 5], 2))
        with written_folder(tmp_path / "run", training) as other:
            assert other != first
    first.mkdir()
    (first / "weights").write_text("left by a killed worker")
    monkeypatch.setenv("TF_CONFIG", tf_config([3, 4], 1))
    with written_folder(tmp_path / "run", training) as again:
        assert again == first and not (again / "weights").exists()
    assert list((tmp_path / "temporary").iterdir()) == []
