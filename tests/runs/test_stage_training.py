import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf import CAREModel, keras_generation
from care_tf.errors import InputError
from care_tf.runs import _stage_training as stage_training
from care_tf.runs._prepared_stage import PreparedStage
from care_tf.runs._progress import check_progress
from care_tf.runs._stage import Stage

STAGES = (Stage("pretrain", epochs=2), Stage("finetune", epochs=3, alpha=0.5, learning_rate=5e-4))


class Batches:
    """The sixteen images in two batches an epoch, in an order of the stage's and the epoch's own."""

    steps_per_epoch = 2

    def __init__(self, images, index):
        self.images, self.index = images, index

    def training(self, first_epoch):
        image, labels, mask = self.images

        def batch(i):
            return {"image": tf.gather(image, i), "mask": tf.gather(mask, i)}, tf.gather(labels, i)

        def epoch(number):
            seed = tf.stack([self.index, number])
            order = tf.argsort(tf.random.stateless_uniform([16], seed))
            return tf.data.Dataset.from_tensor_slices(order).batch(8).map(batch)

        return tf.data.Dataset.range(first_epoch, 99).map(lambda e: tf.cast(e, tf.int32)).flat_map(epoch)

    def validation(self):
        return None


@pytest.fixture
def run_in(network, images, monkeypatch):
    """Trains STAGES in a folder; `stop` = (stage index, epoch) raises at the start of that epoch."""

    def run(folder, stages=STAGES, stop=None, fingerprints=("a", "b"), build=network, seed=0):
        classifier = build()

        class Stop(keras.callbacks.Callback):
            def __init__(self, stages, index):
                super().__init__()
                self.index = index

            def on_epoch_begin(self, epoch, logs=None):
                if stop == (self.index, epoch):
                    raise KeyboardInterrupt

        prepared = []
        for index, stage in enumerate(stages):
            model = CAREModel(classifier)
            model.compile(keras.optimizers.Adam(stage.learning_rate), "sparse_categorical_crossentropy")
            prepared.append(PreparedStage(stage, model, Batches(images, index)))
        progress = check_progress(folder, fingerprints)
        monkeypatch.setattr(stage_training, "EpochLines", Stop)
        stage_training.train_stages(classifier, prepared, folder, progress, seed, show_progress=True)
        return progress.rows, classifier.get_weights()

    return run


@pytest.fixture
def whole(run_in, tmp_path):
    return run_in(tmp_path / "whole")


def test_rows_tell_stage_epoch_and_alpha(whole):
    rows, _ = whole
    assert [(row["stage"], row["epoch"], row["alpha"]) for row in rows] == [
        ("pretrain", 1, 0.0),
        ("pretrain", 2, 0.0),
        ("finetune", 1, 0.5),
        ("finetune", 2, 0.5),
        ("finetune", 3, 0.5),
    ]


@pytest.mark.parametrize("stop", [(0, 0), (0, 1), (1, 0), (1, 2)])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(run_in, whole, tmp_path, stop):
    with pytest.raises(KeyboardInterrupt):
        run_in(tmp_path / "again", stop=stop)
    rows, weights = run_in(tmp_path / "again")
    assert [(row["stage"], row["epoch"]) for row in rows] == [(row["stage"], row["epoch"]) for row in whole[0]]
    np.testing.assert_allclose([r["loss"] for r in rows], [r["loss"] for r in whole[0]], rtol=1e-5)
    for found, expected in zip(weights, whole[1], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_finished_run_is_not_trained_again(run_in, whole, tmp_path):
    rows, weights = run_in(tmp_path / "whole", stop=(0, 0))
    assert rows == whole[0]
    for found, expected in zip(weights, whole[1], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_reused_stage_gives_the_same_result_as_training_it(run_in, whole, tmp_path):
    reusing = (dataclasses.replace(STAGES[0], reuse=str(tmp_path / "whole")), STAGES[1])
    rows, weights = run_in(tmp_path / "reusing", stages=reusing, stop=(0, 0))
    np.testing.assert_allclose([r["loss"] for r in rows], [r["loss"] for r in whole[0]], rtol=1e-5)
    for found, expected in zip(weights, whole[1], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.fixture
def with_dropout(network):
    def build():
        classifier = network()
        embedding = keras_generation.dropout(0.5, name="dropout")(classifier.get_layer("pool").output)
        return keras.Model(classifier.inputs, classifier.get_layer("scores")(embedding))

    return build


def test_dropout_draws_the_same_however_a_run_came_about(run_in, with_dropout, tmp_path):
    _, expected = run_in(tmp_path / "whole", build=with_dropout)
    reusing = (dataclasses.replace(STAGES[0], reuse=str(tmp_path / "whole")), STAGES[1])
    _, reused = run_in(tmp_path / "reusing", stages=reusing, build=with_dropout)
    with pytest.raises(KeyboardInterrupt):
        run_in(tmp_path / "resumed", stop=(1, 1), build=with_dropout)
    _, resumed = run_in(tmp_path / "resumed", build=with_dropout)
    _, other = run_in(tmp_path / "other", build=with_dropout, seed=1)
    for weights in (reused, resumed):
        for found, wanted in zip(weights, expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert max(np.abs(a - b).max() for a, b in zip(other, expected, strict=True)) > 1e-4


def test_rows_of_an_interrupted_try_give_way_to_those_taken_over(run_in, whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_in(tmp_path / "x", stop=(0, 1))
    reusing = (dataclasses.replace(STAGES[0], reuse=str(tmp_path / "whole")), STAGES[1])
    rows, _ = run_in(tmp_path / "x", stages=reusing)
    assert [(row["stage"], row["epoch"]) for row in rows] == [(row["stage"], row["epoch"]) for row in whole[0]]


def test_patience_ends_a_stage(run_in, tmp_path):
    stages = (dataclasses.replace(STAGES[0], epochs=9, patience=2, min_delta=100.0), STAGES[1])
    rows, _ = run_in(tmp_path, stages=stages)
    assert [row["stage"] for row in rows] == ["pretrain"] * 3 + ["finetune"] * 3


def test_a_folder_of_another_run_is_refused(run_in, whole, tmp_path):
    with pytest.raises(InputError, match="other settings or data"):
        run_in(tmp_path / "whole", fingerprints=("a", "c"))


def test_reuse_of_an_unfinished_or_different_stage_is_refused(run_in, whole, tmp_path):
    missing = (dataclasses.replace(STAGES[0], reuse=str(tmp_path / "nowhere")), STAGES[1])
    with pytest.raises(InputError, match="no finished stage 'pretrain'"):
        run_in(tmp_path / "x", stages=missing)
    other = (dataclasses.replace(STAGES[0], reuse=str(tmp_path / "whole")), STAGES[1])
    with pytest.raises(InputError, match="other data or settings"):
        run_in(tmp_path / "y", stages=other, fingerprints=("z", "b"))
