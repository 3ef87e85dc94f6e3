"""What `care serve` hands on; what becomes of it is tested in tests/serving."""

import importlib.util

import pytest

from care_tf.cli.serve import serve


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Arguments and options of every call; there is an exported model."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served/saved_model.pb").touch()
    calls = []
    monkeypatch.setattr("care_tf.serving.load", lambda path: ("loaded", path.name))
    monkeypatch.setattr(
        "care_tf.serving.demo_server.serve_demo", lambda *given, **options: calls.append((given, options))
    )
    return calls


def test_every_option_arrives(run, calls):
    assert run(serve, "served", "--host", "0.0.0.0", "--port", "9000")[0] == 0
    assert run(serve, "served/.")[0] == 0
    given = (("loaded", "served"), "served")
    assert calls[0] == (given, {"host": "0.0.0.0", "port": 9000})
    assert calls[1][0][1] == "served" and calls[1][1] == {"host": "127.0.0.1", "port": 8600}


def test_no_model_and_no_flask_are_one_line(refuses, calls, monkeypatch):
    assert "nowhere must be a run folder (with config.yaml, of care train) or a SavedModel" in refuses(serve, "nowhere")
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "flask" else found(name))
    assert "pip install 'care_tf[serve]'" in refuses(serve, "served")
    assert calls == []
