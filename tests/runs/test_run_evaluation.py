"""What an evaluation leaves of the files that were there; a run's network is not needed for it."""

from types import SimpleNamespace

import numpy as np
import pytest

from care_tf import run_files
from care_tf.errors import InputError
from care_tf.runs import _run_evaluation, comparison_plan, evaluate_run
from care_tf.runs._folder import write_config
from care_tf.runs._run_predictions import Predictions, write_predictions


@pytest.fixture
def cell(config, tmp_path):
    """A finished run of a comparison, as far as its predictions go."""
    (cell,) = comparison_plan.plan_cells({"care": config()}, None, None, tmp_path / "out")
    write_config(cell.folder, cell.config)
    rows = comparison_plan.read_manifest(cell.config.data.manifest).select("test")
    write_predictions(cell.folder, rows, said_of(rows))
    (cell.folder / run_files.PREDICTED_FILES).write_text("states")
    (cell.folder / run_files.METRICS).write_text("{}")
    (cell.folder / comparison_plan.CELL_RECORD).write_text(cell.prediction_fingerprint)
    return cell


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Runs that say the same of every image, and reports without content."""

    def load_run(folder):
        config = comparison_plan.load_config(folder / run_files.CONFIG)
        return SimpleNamespace(folder=folder, config=config, class_names=config.data.class_names)

    def evaluated(run, rows, *_):
        return SimpleNamespace(run=run, rows=rows, predictions=said_of(rows), scores=SimpleNamespace(to_dict=dict))

    monkeypatch.setattr(_run_evaluation, "load_run", load_run)
    monkeypatch.setattr(_run_evaluation, "evaluated", evaluated)
    monkeypatch.setattr(_run_evaluation, "calls_of", lambda *_: ([], []))
    monkeypatch.setattr(_run_evaluation, "run_report", lambda *_: "report")
    monkeypatch.setattr(_run_evaluation, "write_report", lambda path, text: path.write_text(text))
    monkeypatch.setattr(_run_evaluation, "_summary", lambda *_: "")


def said_of(rows):
    probabilities = np.full((len(rows), 4), 0.25, np.float32)
    return Predictions(probabilities, np.full(len(rows), np.nan, np.float32), np.zeros(len(rows), bool))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
def test_an_evaluation_that_fails_leaves_the_predictions_and_what_is_known_of_their_images(cell, monkeypatch, error):
    def fails(*_):
        raise error

    before = contents(cell.folder)
    with monkeypatch.context() as patch, pytest.raises((InputError, KeyboardInterrupt)):
        patch.setattr(_run_evaluation, "write_report", fails)
        evaluate_run(cell.folder)
    assert contents(cell.folder) == before
    evaluate_run(cell.folder)
    assert {name for name in before if name not in contents(cell.folder)} == {run_files.PREDICTED_FILES}
