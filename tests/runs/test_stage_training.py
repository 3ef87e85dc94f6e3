import contextlib
import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from classifiers import functional
from eager_steps import eager_steps
from event_files import events
from marks import one_generation

from care_tf import CAREModel, keras_generation
from care_tf.callbacks import CARETensorBoard
from care_tf.errors import InputError
from care_tf.runs import _stage_training as stage_training
from care_tf.runs._prepared_stage import PreparedStage
from care_tf.runs._progress import check_progress, file_states, sole_training, stage_weights
from care_tf.runs._stage import Stage

STAGES = (Stage("pretrain", epochs=2), Stage("finetune", epochs=3, alpha=0.5, learning_rate=5e-4))


RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.random((16, 12, 12, 3)).astype(np.float32), RNG.integers(0, 3, 16).astype(np.int32)
MASKS = np.zeros((16, 12, 12, 1), np.float32)
MASKS[:6, 2:7, 1:6] = 1


class Batches:
    """The sixteen images in two batches an epoch, in an order of the stage's and the epoch's own."""

    steps_per_epoch, validation_steps = 2, None

    def __init__(self, index):
        self.index = index

    def images_of(self, epoch, batch):
        return []

    def training(self, first_epoch):
        def batch(i):
            return {"image": tf.gather(IMAGES, i), "mask": tf.gather(MASKS, i)}, tf.gather(LABELS, i)

        def epoch(number):
            seed = tf.stack([self.index, number])
            order = tf.argsort(tf.random.stateless_uniform([16], seed))
            return tf.data.Dataset.from_tensor_slices(order).batch(8).map(batch)

        return tf.data.Dataset.range(first_epoch, 99).map(lambda e: tf.cast(e, tf.int32)).flat_map(epoch)

    def validation(self):
        return None


def logged_in(folder):
    return lambda stage, rows: [CARETensorBoard(folder / "tensorboard", history=rows)]


def assert_logged(folder, rows):
    """Every epoch is in the log once, in order, with the numbers of the rows."""
    found = events(folder / "tensorboard")
    for name in ("loss", "alpha", "learning_rate"):
        assert [step for step, _ in found[name]] == list(range(1, len(rows) + 1))
        np.testing.assert_allclose([value for _, value in found[name]], [row[name] for row in rows], rtol=1e-6)


def unbiased():
    """A bias before a normalization has a gradient of rounding alone, which Adam makes as large as any other."""
    return functional(has_bias=False)


def run_in(folder, stages=STAGES, stop=None, fingerprints=("a", "b"), build=unbiased, seed=0, kept=None):
    """Trains STAGES in a folder; `stop` = (stage index, epoch) raises at the start of that epoch.

    `kept` is a folder for copies of the run's, as a kill at the start of each epoch would leave it.
    """

    class Stop(keras.callbacks.Callback):
        def __init__(self, stages, index):
            super().__init__()
            self.index = index

        def on_epoch_begin(self, epoch, logs=None):
            if stop == (self.index, epoch):
                raise KeyboardInterrupt
            if kept is not None:
                folder.mkdir(exist_ok=True)
                shutil.copytree(folder, kept / f"{self.index}_{epoch}")

    classifier, prepared = build(), []
    for index, stage in enumerate(stages):
        model = CAREModel(classifier)
        optimizer = keras.optimizers.Adam(stage.learning_rate)
        model.compile(optimizer, "sparse_categorical_crossentropy")
        prepared.append(PreparedStage(stage, model, Batches(index)))
    progress = check_progress(folder, fingerprints)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage_training, "EpochLines", Stop)
        stage_training.train_stages(classifier, prepared, folder, progress, seed, True, logged_in(folder))
    return progress.rows, classifier.get_weights()


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def whole(whole_folder, kept):
    return run_in(whole_folder, kept=kept)


@pytest.fixture
def reusing(whole, whole_folder):
    return dataclasses.replace(STAGES[0], reuse=str(whole_folder)), STAGES[1]


@pytest.mark.one_generation
def test_rows_tell_stage_epoch_and_alpha(whole):
    rows, _ = whole
    expected = [("pretrain", 1, 0.0), ("pretrain", 2, 0.0), *(("finetune", epoch, 0.5) for epoch in (1, 2, 3))]
    assert [(row["stage"], row["epoch"], row["alpha"]) for row in rows] == expected


def assert_ends_as(whole, rows, weights):
    assert [(row["stage"], row["epoch"]) for row in rows] == [(row["stage"], row["epoch"]) for row in whole[0]]
    np.testing.assert_allclose([r["loss"] for r in rows], [r["loss"] for r in whole[0]], rtol=1e-5)
    for found, expected in zip(weights, whole[1], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("stop", [*one_generation((0, 0), (0, 1), (1, 0)), (1, 2)])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(whole, kept, tmp_path, stop):
    again = shutil.copytree(kept / f"{stop[0]}_{stop[1]}", tmp_path / "again")
    if stop == (0, 1):
        with eager_steps(), pytest.raises(KeyboardInterrupt):
            run_in(again, stop=(1, 0))
    elif stop == (1, 2):  # as an earlier version left it
        last = again / "checkpoints" / "last"
        (last / "2-2.weights.h5").rename(last / "model.weights.h5")
        entries = json.loads((last / "progress.json").read_text())
        del entries["weights"]
        (last / "progress.json").write_text(json.dumps(entries))
    # One goes on in graphs, as the whole run was trained; tracing is what the others would take most of their time for.
    with contextlib.nullcontext() if stop == (1, 2) else eager_steps():
        rows, weights = run_in(again)
    assert_ends_as(whole, rows, weights)
    assert_logged(tmp_path / "again", rows)


@pytest.mark.one_generation
def test_a_kill_between_the_weights_and_the_progress_costs_that_epoch_alone(whole, kept, tmp_path):
    again = shutil.copytree(kept / "0_1", tmp_path / "again")
    last = again / "checkpoints" / "last"
    assert {path.name for path in last.iterdir()} == {"progress.json", "1-1.weights.h5"}
    (last / "1-2.weights.h5").write_bytes(b"cut off")
    (last / ".1-2.weights.h5.0123abcd.weights.h5").write_bytes(b"cut off")
    with sole_training(again), eager_steps():
        assert_ends_as(whole, *run_in(again))
    assert {path.name for path in last.iterdir()} == {"progress.json"}


@pytest.mark.one_generation
def test_weights_that_were_cut_off_are_told_in_a_line(kept, tmp_path):
    again = shutil.copytree(kept / "0_1", tmp_path / "again")
    weights = again / "checkpoints" / "last" / "1-1.weights.h5"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(InputError, match="The weights .*1-1.weights.h5 cannot be loaded: .*Copy the file again"):
        run_in(again)


@pytest.mark.one_generation
def test_two_processes_never_train_in_one_folder(tmp_path):
    folder = tmp_path / "run"
    message = "Another run is at work on .*run; wait for it"
    with sole_training(folder), pytest.raises(InputError, match=message), sole_training(folder):
        pass
    with sole_training(folder):
        pass
    assert list(folder.iterdir()) == []


def test_a_finished_run_is_not_trained_again(whole, whole_folder):
    rows, weights = run_in(whole_folder, stop=(0, 0))
    assert rows == whole[0]
    for found, expected in zip(weights, whole[1], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_a_reused_stage_gives_the_same_result_as_training_it(whole, reusing, eager, tmp_path):
    rows, weights = run_in(tmp_path / "reusing", stages=reusing, stop=(0, 0))
    assert_logged(tmp_path / "reusing", rows)
    np.testing.assert_allclose([r["loss"] for r in rows], [r["loss"] for r in whole[0]], rtol=1e-5)
    for found, expected in zip(weights, whole[1], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def with_dropout():
    keras.utils.set_random_seed(1)
    image = keras.Input((12, 12, 3))
    features = keras.layers.Conv2D(5, 3, activation="relu")(image)
    embedding = keras_generation.dropout(0.5, name="dropout")(keras.layers.GlobalAveragePooling2D()(features))
    return keras.Model(image, keras.layers.Dense(3, activation="softmax")(embedding))


def test_dropout_draws_the_same_however_a_run_came_about(tmp_path):
    (tmp_path / "kept").mkdir()
    first, expected = run_in(tmp_path / "whole", build=with_dropout, kept=tmp_path / "kept")
    reusing = (dataclasses.replace(STAGES[0], reuse=str(tmp_path / "whole")), STAGES[1])
    _, reused = run_in(tmp_path / "reusing", stages=reusing, build=with_dropout)
    _, resumed = run_in(tmp_path / "kept" / "1_1", build=with_dropout)
    for weights in (reused, resumed):
        for found, wanted in zip(weights, expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-6)
    with eager_steps():
        same, other = (
            run_in(tmp_path / f"seed_{seed}", STAGES[:1], fingerprints=("a",), build=with_dropout, seed=seed)[0]
            for seed in (0, 1)
        )
    np.testing.assert_allclose(same[0]["loss"], first[0]["loss"], rtol=1e-5)
    assert abs(other[0]["loss"] - same[0]["loss"]) > 1e-4


@pytest.mark.slow
def test_rows_of_an_interrupted_try_give_way_to_those_taken_over(whole, reusing, eager, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_in(tmp_path / "x", stop=(0, 1))
    own_files = file_states(stage_weights(tmp_path / "x", 0, STAGES[0]))
    own_files.touch()  # the other run is from before these were kept
    rows, _ = run_in(tmp_path / "x", stages=reusing)
    assert not own_files.exists()
    assert [(row["stage"], row["epoch"]) for row in rows] == [(row["stage"], row["epoch"]) for row in whole[0]]


@pytest.mark.slow
def test_patience_ends_a_stage(eager, tmp_path):
    stages = (dataclasses.replace(STAGES[0], epochs=9, patience=2, min_delta=100.0), STAGES[1])
    rows, _ = run_in(tmp_path, stages=stages)
    assert [row["stage"] for row in rows] == ["pretrain"] * 3 + ["finetune"] * 3


@pytest.mark.one_generation
def test_a_folder_of_another_run_is_refused(whole, whole_folder):
    with pytest.raises(InputError, match="other settings or data"):
        run_in(whole_folder, fingerprints=("a", "c"))


@pytest.mark.one_generation
def test_reuse_of_an_unfinished_or_different_stage_is_refused(reusing, tmp_path):
    missing = (dataclasses.replace(STAGES[0], reuse=str(tmp_path / "nowhere")), STAGES[1])
    with pytest.raises(InputError, match="no finished stage 'pretrain'"):
        run_in(tmp_path / "x", stages=missing)
    with pytest.raises(InputError, match="other data or settings"):
        run_in(tmp_path / "y", stages=reusing, fingerprints=("z", "b"))
