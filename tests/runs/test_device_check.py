"""`care check-device`: what is measured with a short training, and what is advised for what numbers."""

import dataclasses
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from care_tf.callbacks.batch_losses import BatchLosses
from care_tf.errors import InputError
from care_tf.runs import _device_timing, device_check
from care_tf.runs import _peak_memory as peak_memory
from care_tf.runs._device_advice import device_advice
from care_tf.runs._device_timing import Spread
from care_tf.runs._device_trial import Trial
from care_tf.runs._machine import Machine
from care_tf.runs._shared_images import SharedImages
from care_tf.runs._training_rows import read_training_rows
from care_tf.runs.device_check import (
    CARE,
    PLAIN,
    PRECISION,
    XLA,
    DeviceCheck,
    InputRates,
    StepRates,
    check_device,
)
from care_tf.runs.device_report import device_report


def rates(median, spread=0.02):
    return Spread(median, median * (1 - spread), median * (1 + spread))


@pytest.fixture
def check(config_in, tmp_path):
    """Makes the check of a machine with which nothing is wrong, but for the changes given."""

    def make(cache=None, settings=None, times=None, failures=None, precision="mixed_float16", **changes):
        config = config_in(tmp_path / "run", data__cache=cache, training=settings or {"batch_size": 16})
        parts = {
            "machine": dict(gpu="A100", unseen_gpu=None, num_cores=8, memory_bytes=10 * 2**30),
            "steps": dict(peak_bytes=6 * 2**30, plain_peak_bytes=6 * 2**30, has_closed_form=False),
            "input": dict(own=rates(4000), kept=rates(9000), training=rates(1850), waiting=rates(0.03)),
        }
        for values in parts.values():
            values |= {name: changes.pop(name) for name in list(changes) if name in values}
        assert not changes
        ran = [name for name in (CARE, PLAIN, PRECISION, XLA) if name not in (failures or {})]
        speeds = {name: rates(1900) for name in ran}
        ratios = {name: rates(1) for name in ran} | (times or {})
        steps = StepRates(speeds, ratios, failures or {}, **parts["steps"])
        config = config.model_copy(update={"stages": config.stages[-1:]})
        return DeviceCheck(
            config,
            Machine(**parts["machine"]),
            precision,
            steps,
            InputRates(**parts["input"], decoded_bytes=2**31, num_images=3700),
        )

    return make


def slow_input(**changes):
    return {"own": rates(640), "training": rates(630), "waiting": rates(0.67), **changes}


# --- what is advised ---


def test_nothing_is_advised_where_nothing_would_help(check):
    assert device_advice(check()) == []
    text = device_report(check())
    assert text.startswith("GPU: A100; 8 processor cores.\nTried: small_cnn, 32 x 32 px, 16 images a step, float32")
    assert "An epoch of 3,700 images takes about 0:00:02" in text and "(a warm page cache)" in text
    assert text.endswith("Nothing needs to be changed.")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (slow_input(), "Set data.cache=memory (2.0 GiB)"),
        (slow_input(), "takes 1,900: the GPU waits for images 67% of the time."),
        (slow_input(kept=rates(650)), "Set rotation_degrees, saturation, hue of the stage's augmentation to 0"),
        (slow_input(cache="memory"), "Set rotation_degrees, saturation, hue of the stage's augmentation to 0"),
        (slow_input(kept=None), "more than 8 processor cores, or lower data.image_size_px"),
        (slow_input(gpu=None), "the input has the processor cores 67% of the time."),
        ({"times": {PRECISION: rates(0.5)}}, "Set training.precision=mixed_float16: the step is 2.0 times as fast."),
        ({"times": {XLA: rates(0.8)}}, "Set training.jit_compile=true (with XLA): the step is 1.2 times as fast."),
        ({"times": {PLAIN: rates(0.6)}}, "takes 1.67 times as long as plain Keras's"),
        ({"peak_bytes": 9 * 2**30}, "Lower training.batch_size or data.image_size_px: the memory is nearly full"),
        ({"peak_bytes": 2**30}, "only 10% of the GPU's memory is used"),
        ({"gpu": None, "unseen_gpu": "T4", "peak_bytes": 2**30}, "has one that TensorFlow does not use, T4."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_the_setting_to_change(check, changes, says):
    (advice,) = device_advice(check(**changes))
    assert says in advice and advice.endswith(".")
    assert "What to change:\n1. " in device_report(check(**changes))


def test_another_network_is_advised_only_where_this_one_has_no_closed_form(check):
    assert device_advice(check(times={PLAIN: rates(0.6)}, has_closed_form=True)) == []


def test_a_difference_within_the_rounds_spread_is_none(check):
    noisy = Spread(0.8, 0.5, 1.1)
    assert device_advice(check(times={PRECISION: noisy, XLA: noisy})) == []
    assert device_advice(check(**slow_input(waiting=Spread(0.4, 0.0, 0.8)))) == []


def test_what_the_configuration_has_is_taken_away_where_it_is_slower(check):
    settings = {"batch_size": 16, "precision": "mixed_float16", "jit_compile": True}
    times = {"times": {PRECISION: rates(0.5), XLA: rates(0.5)}, "precision": "float32"}
    advice = device_advice(check(settings=settings, **times))
    changes = [text.split()[1].rstrip(":") for text in advice]
    assert changes == ["training.precision=float32", "training.jit_compile=false"]


def test_only_augmentations_that_are_on_are_to_be_switched_off(check):
    check = check(**slow_input(cache="memory"))
    stage = dataclasses.replace(check.stage, augmentation={"rotation_degrees": 0, "saturation": 0})
    check = dataclasses.replace(check, config=check.config.model_copy(update={"stages": (stage,)}))
    assert device_advice(check)[0].startswith("Set hue of the stage's augmentation to 0, or ")


def test_a_step_that_does_not_run_is_reported(check):
    text = device_report(check(failures={XLA: "no compiler"}))
    assert "CARE's with XLA" in text and "does not run here: no compiler" in text


# --- what is measured ---


@pytest.fixture
def two_rounds(monkeypatch):
    """Enough for a median and a spread."""
    monkeypatch.setattr(_device_timing, "NUM_ROUNDS", 2)


@pytest.mark.slow
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="says what a processor is told")
def test_a_short_training_is_measured_and_nothing_is_written(config_in, two_rounds, tmp_path):
    told = []
    settings = {"model__backbone": "tiny_network:build", "training": {"batch_size": 8, "optimizer": "SGD"}}
    config = config_in(tmp_path / "run", data__cache=None, **settings)
    check = check_device(config, num_steps=1, tell=told.append)
    assert check.stage.name == "finetune" and not check.steps.failures
    assert set(check.steps.images_a_second) == {CARE, PLAIN, PRECISION, XLA} and check.steps.times_of_care[CARE] == (
        1,
        1,
        1,
    )
    everything = [*check.steps.images_a_second.values(), check.input.own, check.input.kept]
    assert all(0 < each.low <= each.median <= each.high for each in [*everything, check.input.training])
    assert 0 <= check.input.waiting.low <= check.input.waiting.high < 1
    assert (check.input.num_images, check.input.decoded_bytes) == (33, 33 * 32 * 32 * 3)
    assert 2**20 < check.steps.peak_bytes < check.machine.memory_bytes
    assert keras.mixed_precision.global_policy().name == "float32" and not list(tmp_path.iterdir())
    assert told[0] == "building CARE's step" and device_report(check).startswith("No GPU: the processor trains")


@pytest.mark.slow
def test_cached_activations_are_the_input_of_a_stage_that_has_them(config_in, eager, two_rounds, tmp_path):
    frozen = {"frozen_through": "map", "cache_activations": True}
    flips = {"rotation_degrees": 0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    settings = {"model__backbone": "tiny_network:build", "training": {"batch_size": 8, "optimizer": "SGD"}}
    config = config_in(tmp_path / "run", every_stage={**frozen, "augmentation": flips}, **settings)
    check = check_device(config, num_steps=1)
    assert check.input.kept is None and not check.steps.failures
    assert "Input: the frozen layers' activations" in device_report(check)


def test_every_batch_is_read_as_in_a_run(config_in, eager, monkeypatch, tmp_path):
    read = []
    real = BatchLosses.next
    monkeypatch.setattr(BatchLosses, "next", lambda self, logs: read.append(real(self, logs)) or read[-1])
    settings = {"model__backbone": "tiny_network:build", "training": {"batch_size": 8, "optimizer": "SGD"}}
    config = device_check._short(config_in(tmp_path / "run", **settings))
    rows = read_training_rows(config)
    trial = Trial(config, rows, rows, SharedImages("memory"))
    del read[:]
    trial.fit(3)
    assert [set(losses) for losses in read] == [{"loss", "classification_loss", "attention_loss"}] * 3


def test_only_the_last_stage_with_attention_is_trained_and_from_random_weights(config_in, tmp_path):
    stages = {
        "pretrain": {"epochs": 3},
        "finetune": {"epochs": 2, "alpha": 0.5, "start_from": "initial"},
        "means": {"epochs": 0, "classifier": "nearest_class_mean"},
    }
    config = device_check._short(config_in(tmp_path / "run", stages=stages, model__weights="imagenet"))
    assert [(stage.name, stage.start_from) for stage in config.stages] == [("finetune", None)]
    assert config.model.weights is None
    only = config.model_copy(update={"stages": (config_in(tmp_path / "b", stages=stages).stages[-1],)})
    with pytest.raises(InputError, match=r"needs a stage that trains. Received none with epochs above 0"):
        device_check._short(only)


def test_the_peak_of_memory_is_that_since_the_watch_began():
    peak_memory.start_peak()
    before = peak_memory.peak_memory()
    taken = bytearray(64 * 2**20)
    taken[:: 2**12] = b"1" * len(taken[:: 2**12])
    if Path("/proc/self/status").exists():
        assert peak_memory.peak_memory() - before > 50 * 2**20
