"""What an evaluation leaves of the files that were there; a run's network is not needed for it."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from care_tf import run_files
from care_tf.data import read_manifest, write_manifest
from care_tf.errors import InputError
from care_tf.runs import _run_evaluation, comparison_plan, evaluate_run
from care_tf.runs._folder import write_config
from care_tf.runs._run_predictions import Predictions, write_predictions
from care_tf.runs._source_files import FileStates, files_of_rows, write_states
from care_tf.runs.config import load_config
from care_tf.runs.earlier_runs import earlier_runs


@pytest.fixture
def cell(config, tmp_path, monkeypatch):
    """A finished run of a comparison, as far as its predictions go."""
    (cell,) = comparison_plan.plan_cells({"care": config()}, None, None, tmp_path / "out")
    write_config(cell.folder, cell.config)
    rows = read_manifest(cell.config.data.manifest).select("test")
    write_predictions(cell.folder, rows, said_of(rows))
    write_states(cell.folder / run_files.PREDICTED_FILES, FileStates().of(files_of_rows(rows)))
    (cell.folder / run_files.METRICS).write_text("{}")
    (cell.folder / run_files.CELL_RECORD).write_text(cell.prediction_fingerprint)
    monkeypatch.setattr(_run_evaluation, "finished_stages", lambda folder: cell.fingerprints)
    return cell


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Runs that say the same of every image, and reports without content."""

    def load_run(folder):
        config = load_config(folder / run_files.CONFIG)
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


def plan_again(cell):
    (again,) = comparison_plan.plan_cells({"care": cell.config}, None, None, cell.folder.parents[2])
    return again


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
    # A new one is of the files as they are now.
    record = cell.folder / run_files.PREDICTED_FILES
    np.save(record, np.load(record) - [[0, 1]] * (np.arange(18) == 3)[:, None])
    assert "1 of 18" in plan_again(cell).changes
    evaluate_run(cell.folder)
    assert contents(cell.folder).keys() == before.keys() | {run_files.REPORT}
    assert plan_again(cell).changes == ""


def other_rows(cell, folder):
    """Choices of `evaluate_run` that name other rows than the cell's: of its images, or what is said of them."""
    manifest = read_manifest(cell.config.data.manifest)
    write_manifest(manifest.without_boxes(), folder / "without_boxes.csv")
    return {"split": {"split": "validation"}, "boxes": {"manifest": folder / "without_boxes.csv"}}


@pytest.mark.parametrize("kind", ["split", "boxes"])
def test_other_rows_never_replace_what_a_comparisons_run_predicted(cell, tmp_path, kind):
    before, others = contents(cell.folder), other_rows(cell, tmp_path)[kind]
    with pytest.raises(InputError, match="care/foldtest_seed0 is a run of a comparison.* Choose another --output"):
        evaluate_run(cell.folder, **others)
    assert contents(cell.folder) == before
    evaluate_run(cell.folder, output=tmp_path / "elsewhere", **others)
    assert contents(cell.folder) == before and (tmp_path / "elsewhere" / run_files.PREDICTIONS).exists()


def test_a_run_of_a_comparison_is_evaluated_in_place_and_another_run_is_not(cell, tmp_path):
    for rows in ({}, {"split": "test"}, {"manifest": cell.config.data.manifest}):
        evaluate_run(cell.folder, **rows)
    other = shutil.copytree(cell.folder, tmp_path / "other")
    before = contents(cell.folder)
    with pytest.raises(InputError, match=f"Received {other} on 18 images of "):
        evaluate_run(other, output=cell.folder)
    assert contents(cell.folder) == before


def test_a_comparison_refuses_predictions_of_other_images_until_its_run_is_evaluated_again(cell, config, tmp_path):
    def plan():
        return comparison_plan.plan_cells({"care": config()}, None, None, tmp_path / "out")

    assert plan()[0].is_finished
    rows = read_manifest(cell.config.data.manifest)
    for wrong in (rows.select("validation"), rows.select("test").subset(range(17)), rows):
        write_predictions(cell.folder, wrong, said_of(wrong))
        refused = f"must have the 18 images that the run is tested on. Received {len(wrong)} images; .*care evaluate"
        with pytest.raises(InputError, match=refused):
            plan()
        with pytest.raises(InputError, match=f"cannot be compared again: .*Received {len(wrong)} images"):
            earlier_runs(tmp_path / "out", {}, [])
        assert (cell.folder / run_files.PREDICTIONS).exists()
    evaluate_run(cell.folder)
    assert plan()[0].is_finished
    predictions = cell.folder / run_files.PREDICTIONS
    predictions.write_text(predictions.read_text() + predictions.read_text().splitlines()[-1] + "\n")
    with pytest.raises(InputError, match="Received 19 images; one of the two has .* more often"):
        plan()
