"""What `care predict` hands on; what becomes of it is tested in tests/serving."""

from pathlib import Path

import pytest

from care_tf.cli.predict import predict


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Arguments and options of every call; there is an exported model."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served/saved_model.pb").touch()
    calls = []

    def predict_folder(*arguments, **options):
        calls.append((arguments, options))
        return "done"

    monkeypatch.setattr("care_tf.serving.load", lambda path: ("loaded", path))
    monkeypatch.setattr("care_tf.serving.prediction_folder.predict_folder", predict_folder)
    return calls


def test_every_option_arrives(run, calls):
    options = "--output out --sort-by DF --no-heatmaps --batch-size 5"
    assert run(predict, "served", "a.jpg", "folder", *options.split()) == (0, "done\n", "")
    assert run(predict, *options.split(), "served", "a.jpg", "folder") == (0, "done\n", "")
    given = {"sort_by": "DF", "heatmaps": False, "batch_size": 5}
    assert calls == [((("loaded", Path("served")), ("a.jpg", "folder"), Path("out")), given)] * 2
    run(predict, "served", "a.jpg", "--output", "out")
    assert calls[-1][1] == {"sort_by": None, "heatmaps": True, "batch_size": 32}


def test_an_interrupted_call_says_how_to_go_on(run, calls, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("care_tf.serving.prediction_folder.predict_folder", interrupted)
    code, _, err = run(predict, "served", "a.jpg", "--output", "out")
    assert code == 130 and "the same command continues from there" in err


def test_no_model_is_one_line(refuses, tmp_path):
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished/config.yaml").touch()
    for folder, message in {
        "nowhere": "nowhere must be a run folder (with config.yaml, of care train) or a SavedModel",
        "unfinished": "The run unfinished has not finished",
    }.items():
        assert message in refuses(predict, folder, "a.jpg", "--output", "out")
    assert not (tmp_path / "out").exists()
