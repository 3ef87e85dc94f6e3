import json
import re
import shutil
import types
import warnings

import keras
import numpy as np
import pytest

from care_tf import CAREModel
from care_tf.callbacks import TwoStageSchedule
from care_tf.callbacks.two_stage_schedule import ramped_alpha
from care_tf.errors import InputError

SETTINGS = dict(batch_size=16, verbose=0, shuffle=False)


def model_for(network, optimizer=None, run_eagerly=False):
    model = CAREModel(network(), alpha=0.6)
    optimizer = optimizer or keras.optimizers.Adam(1e-3)
    model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=run_eagerly)
    return model


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("losses", "rule", "start"),
    [
        ([3, 2, 1], {"pretrain_epochs": 3}, 3),
        ([3, 2], {"pretrain_epochs": 3}, None),
        ([3, 2, 2, 2.5], {"patience": 2}, 4),
        ([3, 2, 2, 1.9], {"patience": 2}, None),
        ([3, 2.95, 2.91], {"patience": 2, "min_delta": 0.1}, 3),
        ([3, 3, 3], {"patience": 2, "pretrain_epochs": 2}, 2),
        ([float("nan")] * 3, {"patience": 3}, 3),
    ],
)
def test_stage_one_ends_when_its_rule_says(losses, rule, start):
    schedule = TwoStageSchedule(**rule, reset_optimizer=False)
    schedule.set_model(types.SimpleNamespace(alpha=0.6, attention_loss=None))
    schedule.on_train_begin()
    for epoch, loss in enumerate([*losses, 9.0]):
        schedule.on_epoch_begin(epoch)
        assert (schedule.model.alpha > 0) == (start is not None and epoch >= start)
        schedule.on_epoch_end(epoch, {"classification_loss": loss})


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("losses", "rule", "says"),
    [
        ([3, 2, 1], {"patience": 2}, "in stage 1, after epoch 3,.*fell until the last 2 epochs"),
        ([3, 3, 3], {"patience": 2}, "in stage 1"),  # stage 2 would have begun with the next epoch
        ([3, 2], {"pretrain_epochs": 5}, "fit had 2 epochs, and pretrain_epochs is 5"),
        ([3, 3, 3, 3], {"patience": 2}, None),
        ([3], {"pretrain_epochs": 0}, None),
        ([3, 2], {"pretrain_epochs": 5, "alpha": 0.0}, None),
    ],
)
def test_a_fit_that_ends_in_stage_one_says_so_once(losses, rule, says):
    schedule = TwoStageSchedule(**rule, reset_optimizer=False)
    schedule.set_model(types.SimpleNamespace(alpha=0.6, attention_loss=None, stop_training=False))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            schedule.on_train_begin()
            for epoch, loss in enumerate(losses):
                schedule.on_epoch_begin(epoch)
                schedule.on_epoch_end(epoch, {"classification_loss": loss})
            schedule.on_train_end()
    found = [str(warning.message) for warning in caught]
    assert len(found) == (says is not None)
    assert says is None or re.search(says, found[0])


@pytest.mark.one_generation
def test_the_ramp_reaches_alpha():
    assert [ramped_alpha(0.8, epoch, 4) for epoch in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert ramped_alpha(0.8, 0, 0) == 0.8


def test_alpha_and_stage_in_the_history(network, images):
    image, labels, mask = images
    model = model_for(network, run_eagerly=True)
    schedule = TwoStageSchedule(pretrain_epochs=2, alpha=0.4, ramp_epochs=2, finetune_epochs=3)
    history = model.fit({"image": image, "mask": mask}, labels, epochs=20, callbacks=[schedule], **SETTINGS).history
    np.testing.assert_allclose(history["alpha"], [0, 0, 0.2, 0.4, 0.4], atol=1e-7)
    assert history["stage"] == [1, 1, 2, 2, 2]
    assert float(model.alpha) == pytest.approx(0.6)


def test_stage_two_starts_with_a_fresh_optimizer_and_learning_rate(network, images):
    image, labels, mask = images
    seen = {}

    class Spy(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen[epoch] = (int(self.model.optimizer.iterations), float(self.model.optimizer.learning_rate))

    for reset, use_ema, expected in ((True, False, 0), (True, True, 0), (False, False, 2)):
        is_traced = reset and not use_ema  # what is reset while a traced step knows it
        model = model_for(network, keras.optimizers.Adam(1e-3, use_ema=use_ema), run_eagerly=not is_traced)
        schedule = TwoStageSchedule(pretrain_epochs=2, learning_rate=5e-4, reset_optimizer=reset)
        model.fit({"image": image, "mask": mask}, labels, epochs=3, callbacks=[schedule, Spy()], **SETTINGS)
        assert seen[1][1] == pytest.approx(1e-3)
        assert seen[2] == (expected, pytest.approx(5e-4))


@pytest.mark.one_generation
def test_stage_two_equals_a_second_fit_from_the_weights_of_the_first(network, images):
    image, labels, mask = images
    batch = {"image": image, "mask": mask}
    scheduled = model_for(network)
    scheduled.fit(batch, labels, epochs=4, callbacks=[TwoStageSchedule(pretrain_epochs=2, alpha=0.5)], **SETTINGS)
    by_hand = model_for(network, run_eagerly=True)
    by_hand.alpha = 0.0
    by_hand.fit(batch, labels, epochs=2, **SETTINGS)
    by_hand.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", run_eagerly=True)
    by_hand.alpha = 0.5
    by_hand.fit(batch, labels, epochs=2, **SETTINGS)
    for a, b in zip(scheduled.classifier.get_weights(), by_hand.classifier.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_schedule_works_in_mixed_precision(network, images):
    image, labels, mask = images
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = model_for(network)
        schedule = TwoStageSchedule(pretrain_epochs=1, alpha=0.3, learning_rate=1e-4)
        history = model.fit({"image": image, "mask": mask}, labels, epochs=2, callbacks=[schedule], **SETTINGS).history
    finally:
        keras.mixed_precision.set_global_policy("float32")
    np.testing.assert_allclose(history["alpha"], [0, 0.3], atol=1e-7)


def test_an_interrupted_run_resumes_in_the_right_stage(network, images, tmp_path):
    image, labels, mask = images
    batch = {"image": image, "mask": mask}

    class LeftByAKill(keras.callbacks.Callback):
        """Keeps the folder as a kill at the start of an epoch would leave it."""

        def on_epoch_begin(self, epoch, logs=None):
            if epoch:
                shutil.copytree(tmp_path / "whole", tmp_path / str(epoch))

    def fit(folder, *more):
        rule = {"patience": 1, "min_delta": 10.0, "pretrain_epochs": 9, "ramp_epochs": 3}
        schedule = TwoStageSchedule(**rule, state_path=folder / "s.json")
        callbacks = [schedule, keras.callbacks.BackupAndRestore(str(folder / "backup")), *more]
        return (
            model_for(network, run_eagerly=True).fit(batch, labels, epochs=6, callbacks=callbacks, **SETTINGS).history
        )

    (tmp_path / "whole").mkdir()
    expected = fit(tmp_path / "whole", LeftByAKill())
    assert expected["stage"] == [1, 1, 2, 2, 2, 2]
    for stop_after in (2, 3, 5):  # at the beginning of stage 2, in its ramp, after it
        resumed = fit(tmp_path / str(stop_after))
        assert len(resumed["loss"]) == 6 - stop_after
        np.testing.assert_allclose(resumed["alpha"], expected["alpha"][stop_after:], atol=1e-7)
        assert resumed["stage"] == expected["stage"][stop_after:]
        np.testing.assert_allclose(resumed["loss"], expected["loss"][stop_after:], rtol=1e-4)


def test_resuming_without_the_state_is_refused(network, images, tmp_path):
    image, labels, mask = images
    model = model_for(network)
    schedule = TwoStageSchedule(patience=2, state_path=tmp_path / "missing.json")
    with pytest.raises(InputError, match="resumes at epoch 3.*state_path"):
        model.fit({"image": image, "mask": mask}, labels, initial_epoch=3, epochs=4, callbacks=[schedule], **SETTINGS)
    (tmp_path / "missing.json").write_text(json.dumps({"3": {"wrong": 1}}))
    with pytest.raises(InputError, match="not a TwoStageSchedule state file"):
        model.fit({"image": image, "mask": mask}, labels, initial_epoch=3, epochs=4, callbacks=[schedule], **SETTINGS)


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Stage 1 needs an end"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"pretrain_epochs": -1}, "pretrain_epochs must be at least 0"),
        ({"pretrain_epochs": 1, "alpha": 2}, "alpha must lie"),
        ({"pretrain_epochs": 1, "finetune_epochs": 0}, "finetune_epochs must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        TwoStageSchedule(**arguments)


def test_a_plain_keras_model_or_an_unknown_log_is_refused(network, images):
    image, labels, _ = images
    plain = network()
    plain.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(InputError, match="alpha of a CAREModel"):
        plain.fit(image, labels, callbacks=[TwoStageSchedule(pretrain_epochs=1)], **SETTINGS)
    with pytest.raises(InputError, match="monitor='val_loss'.*classification_loss"):
        model_for(network).fit(image, labels, callbacks=[TwoStageSchedule(patience=1, monitor="val_loss")], **SETTINGS)


def test_a_learning_rate_schedule_cannot_be_replaced(network, images):
    image, labels, _ = images
    rate = keras.optimizers.schedules.ExponentialDecay(1e-3, 10, 0.9)
    model = model_for(network, keras.optimizers.Adam(rate))
    with pytest.raises(InputError, match="LearningRateSchedule"):
        model.fit(image, labels, callbacks=[TwoStageSchedule(pretrain_epochs=0, learning_rate=1e-4)], **SETTINGS)
