"""`care export`: what it hands on, what it prints, how it ends."""

import sys
import types

import click
import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf.cli import options
from care_tf.cli.export import export
from care_tf.errors import InputError
from care_tf.evaluation.decision_thresholds import Decision
from care_tf.model import CAREModel

pytestmark = pytest.mark.usefixtures("rewritten_graphs")

WHITES = ((255, tf.uint8), (4095, tf.uint16))


def put_load_run(monkeypatch, load_run):
    """The command's own dependency, so that this test needs no trained run."""
    monkeypatch.setitem(sys.modules, "care_tf.runs", types.SimpleNamespace(load_run=load_run))
    monkeypatch.setattr(options.Checked, "convert", click.Path.convert)


def small_run(side):
    """A run whose classifier takes images of `side` px; None for any size."""
    layers = [keras.layers.Conv2D(2, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    classifier = keras.Sequential([keras.Input((side, side, 3)), *layers])
    return types.SimpleNamespace(
        care_model=CAREModel(classifier),
        preprocess=lambda images: images / 255,
        image_size=(16, 16),
        class_names=("DF", "NV"),
        inputs=(),
        decision=Decision(("DF", "NV"), 2.0, (0.2, None)),
        focus_class="DF",
        check_needs_no_boxes=lambda: None,
        config=types.SimpleNamespace(data=types.SimpleNamespace(reading={"max_pixel_value": 4095})),
    )


def test_a_run_becomes_a_saved_model_of_the_size_asked_for(run, monkeypatch, tmp_path):
    asked, size = [], 20
    put_load_run(monkeypatch, lambda folder: asked.append(str(folder)) or small_run(None))
    code, out, _ = run(export, "the_run", "--output", "served", "--image-size", str(size))
    assert (code, asked, out) == (0, ["the_run"], "wrote served\n")
    signatures = tf.saved_model.load(str(tmp_path / "served")).signatures
    images = [tf.io.encode_png(tf.fill((size, size, 1), tf.cast(white, dtype))) for white, dtype in WHITES]
    outputs = signatures["serve_bytes"](image_bytes=tf.stack(images))
    answers = outputs["probabilities"].numpy()
    np.testing.assert_array_equal(outputs["called"], outputs["calibrated"].numpy() >= [0.2, np.inf])
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-5)  # the run's range of 16-bit PNGs is handed on
    assert signatures["explain"].structured_outputs["attention_map"].shape.as_list() == [None, size, size]


def test_a_run_becomes_a_tflite_file_of_the_size_it_was_trained_at(run, monkeypatch, tmp_path):
    trained = small_run(None)
    put_load_run(monkeypatch, lambda folder: trained)
    assert run(export, "the_run", "--format", "tflite", "served.tflite")[:2] == (0, "wrote served.tflite\n")
    assert [path.name for path in tmp_path.iterdir()] == ["served.tflite"]
    # Images of that size are answered as they are; the file takes any size, and would resize them to another.
    images = np.random.default_rng(0).uniform(0, 255, (1, *trained.image_size, 3)).astype(np.float32)
    served = tf.lite.Interpreter("served.tflite").get_signature_runner()(images=images)["probabilities"]
    expected = tf.nn.softmax(trained.care_model.classifier(images / 255))
    np.testing.assert_allclose(served, expected, rtol=1e-5)


@pytest.mark.parametrize("format_name", ["tflite", "onnx"])
def test_a_name_of_another_format_is_refused_before_anything_is_exported(refuses, monkeypatch, format_name):
    put_load_run(monkeypatch, lambda folder: pytest.fail("was loaded"))
    message = refuses(export, "the_run", "--format", format_name, "served")
    assert f"must end in .{format_name}. Received served." in message


def test_bad_input_is_one_line_and_exit_code_2(refuses, monkeypatch, tmp_path):
    def refuse(folder):
        raise InputError(f"{folder} holds no run")

    put_load_run(monkeypatch, refuse)
    assert refuses(export, "the_run", "served") == "error: the_run holds no run\n"
    for folders in ([], ["a", "--output", "b"]):
        assert "Give what to write once" in refuses(export, "the_run", *folders)
    assert not list(tmp_path.iterdir())
