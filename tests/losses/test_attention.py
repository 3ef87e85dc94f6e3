import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.losses import AttentionLoss, attention_terms


def slow_terms(attention, mask, tau, lam):
    """One image: Eqs. 5-7 on the map resized by TensorFlow, in loops."""
    height, width = mask.shape
    resized = tf.image.resize(attention[..., None].astype(np.float32), mask.shape, method="bilinear")[..., 0].numpy()
    inside = outside = num_inside = num_outside = 0.0
    for i in range(height):
        for j in range(width):
            if mask[i, j]:
                inside, num_inside = inside + resized[i, j], num_inside + 1
            else:
                outside, num_outside = outside + resized[i, j], num_outside + 1
    if num_inside == 0:
        return 0.0, 0.0
    return -min(inside / num_inside, tau), lam * (outside / num_outside if num_outside else 0.0)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    attention = rng.random((5, 7, 7)).astype(np.float32)
    mask = np.zeros((5, 32, 40), np.float32)
    mask[0, 4:20, 10:30] = 1
    mask[1, 5:6, 5:6] = 1
    mask[2] = 1  # the whole frame
    mask[3, :10, :10] = mask[3, 20:, 30:] = 1
    return attention, mask  # the last image has no box


@pytest.mark.parametrize(("tau", "lam"), [(0.7, 1.0), (0.3, 0.5), (1.0, 1.3)])
@pytest.mark.parametrize("has_channel", [True, False])
def test_terms_equal_the_slow_oracle(batch, tau, lam, has_channel):
    attention, mask = batch
    inner, outer = attention_terms(attention, mask[..., None] if has_channel else mask, tau, lam)
    expected = np.array([slow_terms(attention[b], mask[b], tau, lam) for b in range(5)])
    np.testing.assert_allclose(inner, expected[:, 0], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(outer, expected[:, 1], rtol=1e-5, atol=1e-7)


def test_an_image_without_a_box_adds_exactly_nothing(batch):
    attention, mask = batch
    attention = tf.constant(attention)
    with tf.GradientTape() as tape:
        tape.watch(attention)
        inner, outer = attention_terms(attention, mask, 0.7, 1.0)
        total = tf.reduce_sum(inner + outer)
    assert inner[4] == 0.0 and outer[4] == 0.0
    slope = tape.gradient(total, attention).numpy()
    assert not slope[4].any() and slope[0].any()


def test_a_box_over_the_whole_frame_has_no_outer_term(batch):
    attention, mask = batch
    inner, outer = attention_terms(attention, mask, 1.0, 1.0)
    assert outer[2] == 0.0
    resized = tf.image.resize(attention[2][..., None], (32, 40), method="bilinear")
    np.testing.assert_allclose(inner[2], -np.mean(resized), rtol=1e-5)


def test_the_gradient_is_exactly_zero_above_tau():
    mask = np.zeros((1, 8, 8), np.float32)
    mask[0, 2:6, 2:6] = 1
    for value, moves in ((0.9, False), (0.5, True)):
        attention = tf.fill((1, 4, 4), value)
        with tf.GradientTape() as tape:
            tape.watch(attention)
            inner, _ = attention_terms(attention, mask, 0.7, 1.0)
        assert tape.gradient(inner, attention).numpy().any() == moves


def test_reductions_divide_by_the_batch_or_by_the_masked_images(batch):
    attention, mask = batch
    total = float(tf.reduce_sum(AttentionLoss().per_image(attention, mask)))
    np.testing.assert_allclose(AttentionLoss(reduction="batch")(attention, mask), total / 5, rtol=1e-6)
    np.testing.assert_allclose(AttentionLoss(reduction="masked")(attention, mask), total / 4, rtol=1e-6)


@pytest.mark.parametrize("reduction", ["batch", "masked"])
def test_a_batch_without_boxes_costs_nothing(reduction):
    assert float(AttentionLoss(reduction=reduction)(np.ones((2, 3, 3)), np.zeros((2, 9, 9, 1)))) == 0.0


def test_permuting_the_batch_permutes_the_terms(batch):
    attention, mask = batch
    order = [3, 1, 4, 0, 2]
    loss = AttentionLoss()
    np.testing.assert_allclose(
        loss.per_image(attention[order], mask[order]), loss.per_image(attention, mask).numpy()[order], rtol=1e-6
    )


def test_half_precision_attention_is_computed_in_float32(batch):
    attention, mask = batch
    inner, _ = attention_terms(tf.cast(attention, tf.float16), mask, 0.7, 1.0)
    assert inner.dtype == tf.float32


def test_the_loss_serializes():
    loss = AttentionLoss(tau=0.4, lam=0.5, reduction="masked")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config() == {"tau": 0.4, "lam": 0.5, "reduction": "masked"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tau": 1.5}, "tau .*Received tau=1.5"),
        ({"tau": float("nan")}, "tau .*Received"),
        ({"lam": -1}, "lam .*Received lam=-1"),
        ({"reduction": "mean"}, "reduction must be one of .*Received reduction='mean'"),
    ],
)
def test_arguments_outside_their_range_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        AttentionLoss(**arguments)


def test_attention_of_another_rank_is_refused():
    with pytest.raises(ValueError, match=r"attention must have shape \(B, h, w\)"):
        attention_terms(np.ones((2, 3, 3, 1)), np.ones((2, 3, 3)))
