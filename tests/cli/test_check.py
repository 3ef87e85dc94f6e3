"""What `care check` hands to the runs; what becomes of it is tested in tests/runs."""

from pathlib import Path

import pytest

from care_tf.cli.check import check


@pytest.fixture
def checked(monkeypatch, tmp_path):
    """What was to be checked, of a finished run `done`."""
    for name in ("done/config.yaml", "done/model.keras", "m.csv", "there.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    calls = []

    def check_run(*given, **named):
        calls.append((given, named))
        return "ok"

    monkeypatch.setattr("care_tf.runs.run_check.check_run", check_run)
    return calls


def test_every_option_arrives(run, checked):
    options = "--output new.html --manifest m.csv --split val --folds 1,2 --check-images 9 --resamples 5"
    assert run(check, "done", *options.split()) == (0, "ok\n", "")
    assert run(check, "done", "--output", "there.html", "--overwrite") == (0, "ok\n", "")
    given = {"manifest": Path("m.csv"), "split": "val", "folds": ["1", "2"], "check_images": 9, "num_resamples": 5}
    default = {"manifest": None, "split": None, "folds": None, "check_images": 50, "num_resamples": 1000}
    assert checked == [((Path("done"), Path("new.html")), given), ((Path("done"), Path("there.html")), default)]


def test_what_cannot_be_checked_is_refused_before_tensorflow_starts(refuses, checked, monkeypatch):
    monkeypatch.setattr("care_tf.cli.check.quiet_tensorflow", lambda: pytest.fail("TensorFlow starts"))
    assert "nowhere is not a run folder" in refuses(check, "nowhere")
    assert "there.html. Choose another one, or give --overwrite" in refuses(check, "done", "--output", "there.html")
    assert "--check-images" in refuses(check, "done", "--check-images", "0")
    assert checked == []
