"""The machine that `care check-device` names: what TensorFlow sees, not what the driver lists first."""

import pytest
import tensorflow as tf

from care_tf.runs._machine import this_machine

GIB = 2**30
BOTH = "Tesla T4, 15360\nNVIDIA A100, 40960\n"


@pytest.fixture
def machine_with(monkeypatch, tmp_path):
    """Makes the machine whose driver lists some GPUs, and of which TensorFlow sees some."""

    def make(listed, seen):
        command = tmp_path / "nvidia-smi"
        command.write_text(f"#!/bin/sh\nprintf '{listed}'\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: list(range(len(seen))))
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: seen[device])
        return this_machine()

    return make


def test_the_gpu_is_the_first_that_tensorflow_sees(machine_with):
    machine = machine_with(BOTH, [{"device_name": "NVIDIA A100"}])
    assert (machine.gpu, machine.unseen_gpu, machine.memory_bytes) == ("NVIDIA A100", None, 40 * GIB)
    machine = machine_with(BOTH, [{"device_name": "Tesla T4"}, {"device_name": "NVIDIA A100"}])
    assert (machine.gpu, machine.memory_bytes) == ("Tesla T4", 15 * GIB)


@pytest.mark.parametrize(
    ("listed", "name"),
    [
        ("NVIDIA A100, 40960\nNVIDIA A100, 81920\n", "NVIDIA A100"),  # which of the two?
        ("NVIDIA A100, 40960\n", "NVIDIA A100 MIG 1g.5gb"),
        ("no devices were found\n", "NVIDIA A100"),
    ],
)
def test_a_memory_that_is_not_known_is_not_guessed(machine_with, listed, name):
    machine = machine_with(listed, [{"device_name": name}])
    assert (machine.gpu, machine.memory_bytes) == (name, None)


def test_a_gpu_without_a_name_is_one(machine_with):
    assert machine_with(BOTH, [{}]).gpu == "GPU"


def test_a_gpu_that_tensorflow_does_not_see_is_named_beside_the_processor(machine_with):
    machine = machine_with(BOTH, [])
    assert (machine.gpu, machine.unseen_gpu) == (None, "Tesla T4") and machine.memory_bytes > GIB
    assert machine_with("", []).unseen_gpu is None
