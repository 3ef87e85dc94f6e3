"""Images and masks that change under the same names after they were trained on, or tested."""

import contextlib
import dataclasses
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from care_tf import run_files
from care_tf.data import read_manifest
from care_tf.errors import InputError
from care_tf.runs import _source_files, _stage_training, comparison_plan, comparison_runs, train_run
from care_tf.runs._cell_training import predict_cell
from care_tf.runs._fingerprint import stage_files
from care_tf.runs._run_predictions import Predictions, write_predictions
from care_tf.runs._source_files import FileStates, changes_since, write_states
from care_tf.runs._training_rows import TrainingRows, read_training_rows
from care_tf.runs.earlier_runs import earlier_runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:CARE trained no attention"),
    pytest.mark.filterwarnings("ignore:.*goes on from epochs"),
    pytest.mark.filterwarnings("ignore:Images or masks have changed"),
]


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(b"1234")
    return list(map(str, paths))


def test_what_has_changed_is_counted_and_named(files, tmp_path):
    record = tmp_path / "files.npy"
    write_states(record, FileStates().of(files))
    assert changes_since([(record, FileStates().of(files)), (tmp_path / "none.npy", FileStates().of(files))]) == ""
    os.utime(files[1], ns=(0, 0))
    by_time = f"1 of 3 images and masks has changed since, by time alone, the first is {files[1]}"
    assert changes_since([(record, FileStates().of(files))] * 2) == by_time
    Path(files[2]).write_bytes(b"12345")
    Path(files[0]).unlink()
    every = f"3 of 3 images and masks have changed since, 2 of them in size, the first is {files[0]}"
    assert changes_since([(record, FileStates().of(files))]) == every
    of_others = changes_since([(record, FileStates().of(files[1:]))])
    assert of_others == f"2 of 2 images and masks have changed since, 2 of them in size, the first is {files[1]}"
    record.write_bytes(record.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"files\.npy, which says .* cannot be read: .* Move it away"):
        changes_since([(record, FileStates().of(files))])


def test_each_file_is_asked_for_once_and_of_images_in_a_shard_the_shard(files, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(_source_files, "_FILES_AT_ONCE", 2)
    monkeypatch.setattr(_source_files, "file_state", lambda path: asked.append(path) or (len(asked), 0))
    shard = tmp_path / "0.tfrecord"
    shard.touch()
    places = [f"{shard}/{offset}/image/x.png" for offset in (0, 9, 90)]
    states = FileStates()
    assert states.of([*places, *files]).paths == [str(shard), *files]
    np.testing.assert_array_equal(states.of(files[1:]).states, [[3, 0], [4, 0]])
    assert asked == [str(shard), *files]
    assert states.of([]).states.shape == (0, 2)


def test_masks_count_from_the_first_stage_on_that_uses_attention_and_validation_where_it_is_looked_at(config):
    manifest = read_manifest(config().data.manifest)
    train = manifest.select("train")
    masked = dataclasses.replace(train, boxes=(), mask_paths=("m.png", *[""] * (len(train) - 1)))
    rows = TrainingRows(masked, manifest.select("validation"))
    images = list(train.image_paths)
    assert stage_files(config(), rows) == [images, [*images, "m.png"]]
    looked_at = config(every_stage={"monitor": "val_loss"})
    validated = list(rows.validation.image_paths)
    assert stage_files(looked_at, rows) == [[*images, *validated], [*images, "m.png", *validated]]
    cropped = dataclasses.replace(rows, train=dataclasses.replace(masked, outside_boxes="crop"))
    assert stage_files(config(), cropped) == [[*images, "m.png"]] * 2


@pytest.fixture
def own_data(data, tmp_path):
    """A copy of the drawn lesions, whose files may change."""
    return shutil.copytree(data.parent, tmp_path / "data") / data.name


def change(path):
    """Another image of the same size under the same name."""
    Image.fromarray(255 - np.asarray(Image.open(path).convert("RGB"))).save(path)


@contextlib.contextmanager
def told(*matches):
    """Inside, just one warning of changed files comes for each of some texts."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    found = [str(each.message) for each in caught if "changed since" in str(each.message)]
    assert len(found) == len(matches) and all(map(str.__contains__, found, matches)), found


@pytest.mark.slow
def test_a_run_that_goes_on_from_other_images_is_told_and_goes_on(config, own_data, eager, monkeypatch):
    settings = {"model__backbone": "tiny_network:build", "data__manifest": str(own_data), "data__cache": None}
    real = _stage_training.load_start_weights

    def stopped_before_the_second(classifier, stages, index, *rest):
        if index == 1:
            raise KeyboardInterrupt
        real(classifier, stages, index, *rest)

    first = read_training_rows(config(**settings)).train.image_paths[3]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), told():
        patch.setattr(_stage_training, "load_start_weights", stopped_before_the_second)
        train_run(config(**settings), show_progress=False)
    change(first)
    with told(f"the first is {first}"):
        folder = train_run(config(**settings), show_progress=False)
    assert (folder / run_files.MODEL).exists()

    stages = {"pretrain": {"epochs": 1, "reuse": str(folder)}, "finetune": {"epochs": 1}}
    with told(f"the first is {first}"):  # the second stage was trained on the new ones, the first was not
        other = train_run(config("other", **settings, stages=stages), show_progress=False)
    with told(f"the first is {first}"):
        train_run(config("other", **settings, stages=stages), show_progress=False)
    for record in (other / "checkpoints").glob("*.files.npy"):  # as runs from before they were kept
        record.unlink()
    with told():
        train_run(config("other", **settings, stages=stages), show_progress=False)


@pytest.mark.slow
def test_finished_runs_of_a_comparison_on_other_images_are_kept_and_told(config, own_data, eager, tmp_path):
    settings = {"model__backbone": "tiny_network:build", "data__manifest": str(own_data), "data__cache": None}
    methods = {"plain": config(**settings, stages={"finetune": {"epochs": 1}})}

    def plan():
        return comparison_plan.plan_cells(methods, None, None, tmp_path / "out")

    with told():
        comparison_runs.run_cells(plan(), show_epochs=False)
    (cell,) = plan()
    assert (
        cell.is_finished and cell.changes == "" and "changed" not in comparison_runs.comparison_notes(methods, [cell])
    )
    tested = read_manifest(own_data).select("test").image_paths[0]
    change(tested)
    (cell,) = plan()
    note = f"since 1 of the finished runs, which are kept as they are. Of {cell.folder}: 1 of "
    assert cell.is_finished and tested in cell.changes
    assert note in comparison_runs.comparison_notes(methods, [cell])
    with told(note):
        comparison_runs.run_cells([cell])
    assert [each.changes for each in earlier_runs(tmp_path / "out", {}, [])[1]] == [cell.changes]
    predict_cell(cell)  # again, on the new ones
    assert plan()[0].changes == ""
    change(tested)
    rows = read_manifest(own_data).select("test")
    empty = np.zeros((len(rows), 4), np.float32), np.zeros(len(rows), np.float32), np.zeros(len(rows), bool)
    write_predictions(cell.folder, rows, Predictions(*empty))  # as `care evaluate` does
    assert plan()[0].changes == ""
    trained = read_training_rows(cell.config).train.image_paths[0]
    change(trained)
    assert trained in plan()[0].changes
