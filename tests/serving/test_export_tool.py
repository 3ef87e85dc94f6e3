"""tools/export.py: what it hands on, what it prints, how it ends."""

import importlib.util
import os
import subprocess
import sys
import types
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from command_line import run_tool

from care_tf.errors import InputError
from care_tf.model import CAREModel

TOOL = Path(__file__).parents[2] / "tools" / "export.py"


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("export_tool", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def put_load_run(monkeypatch, load_run):
    """The tool's own dependency, so that this test needs no trained run."""
    monkeypatch.setitem(sys.modules, "care_tf.runs", types.SimpleNamespace(load_run=load_run))


def small_run(side):
    """A run whose classifier takes images of `side` px; None for any size."""
    layers = [keras.layers.Conv2D(2, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    classifier = keras.Sequential([keras.Input((side, side, 3)), *layers])
    return types.SimpleNamespace(
        care_model=CAREModel(classifier),
        preprocess=lambda images: images / 255,
        image_size=(16, 16),
        class_names=("DF", "NV"),
    )


@pytest.mark.parametrize(("side", "options", "size"), [(16, [], 16), (None, ["--image-size", "20", "20"], 20)])
def test_a_run_becomes_a_saved_model(tool, monkeypatch, capsys, tmp_path, side, options, size):
    asked = []
    put_load_run(monkeypatch, lambda folder: asked.append(folder) or small_run(side))
    tool.main(["the_run", str(tmp_path / "served"), *options])
    assert asked == ["the_run"] and str(tmp_path / "served") in capsys.readouterr().out
    signatures = tf.saved_model.load(str(tmp_path / "served")).signatures
    assert signatures["explain"].structured_outputs["attention_map"].shape.as_list() == [None, size, size]


def test_bad_input_is_one_line_and_exit_code_2(tool, monkeypatch, capsys, tmp_path):
    def refuse(folder):
        raise InputError(f"{folder} holds no run")

    put_load_run(monkeypatch, refuse)
    monkeypatch.setattr(sys, "argv", ["export.py", "the_run", str(tmp_path / "served")])
    with pytest.raises(SystemExit) as ended:
        run_tool(tool.main)
    assert ended.value.code == 2 and capsys.readouterr().err == "error: the_run holds no run\n"
    assert not list(tmp_path.iterdir())


def test_help():
    command = [sys.executable, str(TOOL), "--help"]
    environment = {**os.environ, "PYTHONPATH": str(TOOL.parents[1])}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode == 0 and "--image-size HEIGHT WIDTH" in answer.stdout
