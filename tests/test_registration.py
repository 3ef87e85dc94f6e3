"""Keras finds the classes of saved models whatever is imported first; a file of the first code still loads."""

import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from saved_file import SAVED, loads_the_file

import care_tf
from care_tf import registration

ROOT = Path(__file__).resolve().parents[1]


def test_every_module_that_registers_a_class_is_imported():
    registers = re.compile(r"^@(keras_generation\.)?register$", re.MULTILINE)
    files = [path for path in ROOT.glob("care_tf/**/*.py") if registers.search(path.read_text(encoding="utf-8"))]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files}
    assert "care_tf.losses._triplet" in names and names <= set(registration.registering_modules())


@loads_the_file
@pytest.mark.parametrize(
    "order",
    [
        # Keras first is how this file itself begins; TensorFlow first, tests/test_extras.py.
        "import importlib.util, care_tf; importlib.util.find_spec('keras'); import keras",
        pytest.param("from care_tf.losses._triplet import TripletLoss; import keras", marks=pytest.mark.slow),
    ],
)
def test_keras_loads_the_classes_in_any_order_of_imports(order):
    shown = f"print(type(keras.models.load_model({str(SAVED)!r})).__module__)"
    done = subprocess.run([sys.executable, "-c", f"{order}\n{shown}"], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "care_tf.model.care_model\n", done.stderr


@loads_the_file
@pytest.mark.parametrize("load", [keras.models.load_model, care_tf.load_model], ids=["keras", "care_tf"])
def test_a_model_saved_before_the_modules_moved_loads_and_computes_the_same(load):
    model = load(SAVED)
    expected = json.loads(SAVED.with_suffix(".json").read_text())
    images = np.random.default_rng(0).random((8, 12, 12, 3)).astype(np.float32)
    np.testing.assert_allclose(model.predict(images, verbose=0), expected["predictions"], atol=1e-6)
    np.testing.assert_allclose(model.attention_map(images, np.arange(8) % 3), expected["map"], atol=1e-5)
    assert type(model.loss).__name__ == "FocalLoss"
    assert model.embedding_loss.get_config()["mining"] == "semi_hard"


@loads_the_file
def test_load_model_takes_keras_arguments():
    model = care_tf.load_model(SAVED, compile=False, safe_mode=True)
    assert getattr(model, "optimizer", None) is None
