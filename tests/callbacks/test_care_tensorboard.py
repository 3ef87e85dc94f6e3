"""What is in the log, read with TensorFlow's own reader: each epoch once, in order, with the numbers of the logs."""

import io

import numpy as np
import pytest
from classifiers import functional
from event_files import events, steps
from PIL import Image

from care_tf import CAREModel
from care_tf.callbacks import CARETensorBoard, TwoStageSchedule
from care_tf.callbacks.care_tensorboard import _Examples
from care_tf.errors import InputError


@pytest.fixture
def fit(images):
    image, labels, mask = images
    model = CAREModel(functional())
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)  # a step in an epoch: no trace pays off

    def fit(*callbacks, **arguments):
        validation = (image[:4], labels[:4])
        x = {"image": image, "mask": mask}
        callbacks = list(callbacks)
        return model.fit(
            x, labels, verbose=0, validation_data=validation, callbacks=callbacks, **{"epochs": 2, **arguments}
        )

    fit.examples = {"image": image[:1], "mask": mask[:1]}, labels[:1]  # drawing costs more than all else
    return fit


def test_every_log_is_in_the_log_once_and_resuming_continues_it(fit, tmp_path):
    monitor = CARETensorBoard(tmp_path, fit.examples, class_names=("NV", "DF", "MEL"), settings="a | b")
    schedule = TwoStageSchedule(pretrain_epochs=1, alpha=0.5)
    history = fit(schedule, monitor, epochs=3).history
    train, validation = events(tmp_path), events(tmp_path, "validation")
    for name, values in history.items():
        found = (validation if name.startswith("val_") else train)[name.removeprefix("val_")]
        assert [step for step, _ in found] == ([1, 2, 3] if len(values) == 3 else [2, 3])
        np.testing.assert_allclose([value for _, value in found], values, rtol=1e-6)
    assert [value for _, value in train["stage"]] == [1, 2, 2]
    assert [value for _, value in train["alpha"]] == [0, 0.5, 0.5]
    assert train["settings"] == [(0, b"a | b")]
    assert [step for step, _ in train["attention"]] == [0, 1, 2, 3]
    width, height, jpeg = train["attention"][-1][1]
    assert Image.open(io.BytesIO(jpeg)).size == (int(width), int(height))

    fit(monitor, epochs=1)  # the same object: one more stage
    assert steps(tmp_path) == [1, 2, 3, 4]
    fit(CARETensorBoard(tmp_path), initial_epoch=2, epochs=4)  # another process, after epoch 2
    assert steps(tmp_path) == [1, 2, 3, 4] and steps(tmp_path, "attention") == [0, 1, 2]
    with pytest.raises(InputError, match="a log of 4 epochs. Choose another folder"):
        fit(CARETensorBoard(tmp_path))
    assert steps(tmp_path) == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_history_is_what_the_log_holds_before_the_first_epoch(fit, tmp_path):
    rows = [{"stage": "pretrain", "epoch": 1, "loss": 3.0, "val_loss": 4.0}, {"stage": "pretrain", "loss": 2.0}]
    fit(CARETensorBoard(tmp_path, history=rows), epochs=1)
    losses = [value for _, value in events(tmp_path)["loss"]]
    assert losses[:2] == [3, 2] and steps(tmp_path) == [1, 2, 3]
    assert steps(tmp_path, part="validation") == [1, 3]
    # A killed process leaves an epoch that it did not finish, and half of a record.
    (file,) = (tmp_path / "train").iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    fit(CARETensorBoard(tmp_path, history=rows), epochs=2)
    assert steps(tmp_path) == [1, 2, 3, 4]


@pytest.mark.one_generation
def test_a_number_that_a_killed_process_did_not_write_is_written_when_the_training_resumes(fit, tmp_path):
    kept = fit(CARETensorBoard(tmp_path), epochs=2).history
    rows = [{name: values[epoch] for name, values in kept.items()} for epoch in range(2)]
    (file,) = (tmp_path / "validation").iterdir()
    file.write_bytes(file.read_bytes()[:-5])  # killed while the validation's numbers were on their way to the disk
    fit(CARETensorBoard(tmp_path, history=rows), epochs=1)
    train, validation = events(tmp_path), events(tmp_path, "validation")
    for name, values in kept.items():
        found = (validation if name.startswith("val_") else train)[name.removeprefix("val_")]
        assert [step for step, _ in found] == [1, 2, 3]
        np.testing.assert_allclose([value for _, value in found[:2]], values, rtol=1e-6)


@pytest.mark.slow
def test_an_interrupted_second_fit_continues_where_it_was(fit, tmp_path):
    monitor = CARETensorBoard(tmp_path)
    fit(monitor, epochs=1)
    fit(monitor, epochs=2)  # steps 2 and 3
    fit(monitor, initial_epoch=1, epochs=2)  # its second epoch again
    assert steps(tmp_path) == steps(tmp_path, part="validation") == [1, 2, 3]


def test_a_plain_keras_model_has_logs_and_no_maps(fit, images, tmp_path):
    model = functional()
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    model.fit(images[0], images[1], verbose=0, callbacks=[CARETensorBoard(tmp_path)])
    assert steps(tmp_path) == [1] and "alpha" not in events(tmp_path)
    with pytest.raises(InputError, match="Received a Functional: wrap the classifier"):
        model.fit(images[0], images[1], verbose=0, callbacks=[CARETensorBoard(tmp_path / "b", fit.examples)])


@pytest.mark.one_generation
def test_examples_are_those_with_a_mask_first_and_those_with_a_class_only(images):
    image, _, mask = images
    labels = np.eye(3)[[0, 1, 2] * 5 + [0]]
    labels[:2] = 0
    batch = {"image": image[::-1], "mask": mask[::-1]}, labels[::-1]
    chosen = _Examples.chosen(batch, None, None, list("abcdefghijklmnop"))
    assert chosen.image_names == ["k", "l", "m", "n", "a", "b"]
    assert chosen.pictures.dtype == np.uint8 and chosen.pictures.min() == 0 and chosen.pictures.max() == 255
    assert chosen.labels.tolist() == [2, 1, 0, 2, 0, 2] and chosen.inputs.shape == (6, 12, 12, 3)


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (np.zeros((2, 4, 4, 3)), "must be a batch .* Received a ndarray"),
        ((np.zeros((2, 4, 4, 5)), [0, 1]), "Received shape .2, 4, 4, 5.. Give pictures="),
        (({"activation": np.zeros((2, 4, 4, 5))}, [0, 1]), "Received activations. Give pictures="),
        ((np.zeros((2, 4, 4, 3)), np.zeros((2, 3))), "with a class. Received none"),
    ],
)
def test_examples_that_cannot_be_shown_are_refused_at_once(examples, message, tmp_path):
    with pytest.raises(InputError, match=message):
        CARETensorBoard(tmp_path, examples)
