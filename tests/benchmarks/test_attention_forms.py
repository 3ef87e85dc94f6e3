"""Every variant of the benchmark of attention forms is what its name says, and trains."""

import importlib
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.one_generation]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    return importlib.import_module("attention_forms")


@pytest.mark.parametrize(
    ("name", "loss"),
    [("perturbation, swap", {"kind": "swap"}), ("care, distance", {"outside": "distance"}), ("care, mask head", {})],
)
def test_a_variant_trains_what_its_name_says(benchmark, name, loss):
    rng = np.random.default_rng(0)
    masks = np.zeros((4, 64, 64, 1), np.float32)
    masks[:2, 16:40, 16:40] = 1
    model = benchmark.compiled_model(name, 64)
    inputs = {"image": rng.normal(size=(4, 64, 64, 3)).astype(np.float32), "mask": masks}
    for _ in range(2):
        logs = model.train_on_batch(inputs, np.arange(4), return_dict=True)
    assert np.isfinite(logs["loss"]) and "attention_loss" in logs
    assert {key: getattr(model.attention_loss, key) for key in loss} == loss
    assert ("mask_dice" in logs) == (name == "care, mask head")
