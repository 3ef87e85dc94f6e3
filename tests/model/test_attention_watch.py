"""What a fit says where it trains no attention, and that it says it once."""

import re
import types
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf import CAREModel
from care_tf.losses import AttentionLoss
from care_tf.model._attention_watch import AttentionSums, AttentionWatch

GOOD = AttentionSums(100, 100, 10, 10, 0, -2.0)


def watched(epochs, alphas=0.5, first=0, watch=None, layers=("x",), **loss):
    """The warnings of a fit whose epochs have these sums; one batch each."""
    watch = watch or AttentionWatch()
    anatomy = types.SimpleNamespace(places=[types.SimpleNamespace(name=name) for name in layers])
    model = types.SimpleNamespace(weights=[], attention_loss=AttentionLoss(**loss), anatomy=anatomy)
    watch.set_model(model)
    alphas = np.broadcast_to(alphas, len(epochs))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        watch.on_train_begin()
        for epoch, (sums, alpha) in enumerate(zip(epochs, alphas, strict=True), start=first):
            model.alpha = alpha
            watch.on_epoch_begin(epoch)
            watch.add(sums)
            watch.on_epoch_end(epoch, {})
        watch.on_train_end()
    return [str(warning.message) for warning in caught]


def falling(*losses):
    return [GOOD._replace(loss=10 * loss) for loss in losses]


@pytest.mark.parametrize(
    ("sums", "message"),
    [
        (AttentionSums(8), 'in epoch 1, with alpha 0.5, no batch has masks. Likely cause: .*"mask"'),
        (AttentionSums(8, 8), "none of 8 images has a mask .* no boxes, or boxes that are not in pixels"),
        (AttentionSums(8, 8, 3), "all 3 images with a mask are left out"),
        (AttentionSums(8, 8, 3, 3, 2), "in epoch 1, the attention map at x is flat, .* on 2 of 3 images with a mask"),
    ],
)
def test_each_cause_is_named_once(sums, message):
    (found,) = watched([sums, sums])
    assert found.startswith("CARE trains no attention: ")
    assert re.search(message, found)


def test_a_flat_map_at_one_of_several_layers_is_told():
    (message,) = watched([GOOD._replace(flat=6)], layers=("x", "y"))
    assert message.startswith("CARE does not train the attention of all layers: in epoch 1, an attention map at x or y")


def test_nothing_is_said_where_attention_is_trained_or_not_asked_for():
    assert watched([AttentionSums(8), AttentionSums(8, 8)], alphas=0.0) == []
    assert watched([GOOD._replace(flat=5)]) == []
    assert watched([AttentionSums(0)]) == []  # a train_step of the user's own


@pytest.mark.parametrize(
    ("losses", "arguments", "says"),
    [
        ([-0.2] * 6, {}, '10.0% of the images have a mask, and reduction="batch".* weight of 0.05'),
        ([-0.2] * 6, {"reduction": "masked"}, "frozen, or the learning rate too low"),
        (
            [-0.2, -0.2, -0.2, -0.2, -0.21, -0.2],
            {},
            "was -0.200 in the first 2 of 6 epochs .* and -0.205 in the last 2",
        ),
        ([-0.2, -0.2, -0.2, -0.2, -0.22, -0.22], {}, None),
        ([-0.2] * 5, {}, None),  # too few to tell
        ([-0.66] * 6, {}, None),  # tau is reached
        ([float("nan")] * 6, {}, None),
        ([-0.2] * 10 + [-0.5] * 5, {}, "of 10 epochs"),  # said before the fit ends
    ],
)
def test_an_attention_loss_that_does_not_fall(losses, arguments, says):
    found = watched(falling(*losses), **arguments)
    assert len(found) == (says is not None)
    assert says is None or re.search(says, found[0])


def test_the_fall_is_that_since_attention_began():
    assert watched(falling(*[-0.2] * 6), first=7) == []  # a fit that goes on: how it began is unknown
    assert watched(falling(*[-0.2] * 7), alphas=[0.0, *[0.5] * 6], first=7) != []
    watch = AttentionWatch()
    assert watched(falling(-0.2, -0.2, -0.4, -0.5), watch=watch) == []
    assert watched(falling(*[-0.5] * 6), watch=watch) == []  # a second fit of a model that has converged


def test_a_fit_without_masks_warns_and_does_not_log_a_share(network, images, tmp_path):
    image, labels, _ = images
    model = CAREModel(network())
    model.compile("sgd", "sparse_categorical_crossentropy")
    stop = keras.callbacks.EarlyStopping("attention_inside", mode="max", patience=1)
    best = keras.callbacks.ModelCheckpoint(
        str(tmp_path / "best.keras"), "val_attention_inside", mode="max", save_best_only=True
    )
    data = tf.data.Dataset.from_tensor_slices((image, labels)).batch(8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = model.fit(data, validation_data=data, epochs=4, verbose=0, callbacks=[stop, best]).history
    assert len(history["loss"]) == 4 and not {"attention_inside", "val_attention_inside"} & set(history)
    own = [str(warning.message) for warning in caught if "CARE" in str(warning.message)]
    assert len(own) == 1 and "no batch has masks" in own[0]
    assert np.isnan(model.evaluate(data, verbose=0, return_dict=True)["attention_inside"])


def test_a_fit_counts_what_it_trains_on(network, images):
    image, labels, mask = images
    model = CAREModel(network(), alpha=0.3)
    model.compile("sgd", "sparse_categorical_crossentropy")
    weights = np.ones(16, np.float32)
    weights[0] = 0
    seen = []

    class Spy(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((AttentionSums(*model._watch._sums.numpy().tolist()), logs["attention_loss"]))

    x = {"image": image, "mask": mask}
    model.fit(x, labels, sample_weight=weights, validation_data=(x, labels), batch_size=5, verbose=0, callbacks=Spy())
    ((sums, loss),) = seen
    assert sums[:5] == (16, 16, 6, 5, 0)
    assert sums.loss / 16 == pytest.approx(loss, rel=1e-5)
