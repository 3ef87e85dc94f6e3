"""The forms of the attention loss beside the paper's: outside, energy, l1."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf.attention import normalize_map
from care_tf.errors import InputError
from care_tf.losses import AttentionLoss, attention_distance, attention_energy
from care_tf.metrics import attention_inside_share

pytestmark = pytest.mark.one_generation  # but for what meets Keras

FORMS = ("care", "outside", "energy", "l1")
REDUCTIONS = ("batch", "masked", "class_balanced")


def resized(attention, shape):
    return tf.image.resize(attention[..., None].astype(np.float32), shape, method="bilinear")[..., 0].numpy()


def slow_energy(attention, mask):
    """One image, in loops over the map at the mask's size."""
    at_size = resized(attention, mask.shape)
    inside = total = 0.0
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            inside, total = inside + mask[i, j] * at_size[i, j], total + at_size[i, j]
    return 1 - inside / total if mask.any() and total else 0.0


def slow_distance(attention, mask):
    at_size = resized(attention, mask.shape)
    total = 0.0
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            total += abs(mask[i, j] - at_size[i, j])
    return total / mask.size if mask.any() and attention.any() else 0.0


def slow_outside(attention, mask):
    at_size = resized(attention, mask.shape)
    values = [at_size[i, j] for i, j in np.ndindex(mask.shape) if not mask[i, j]]
    return np.mean(values) if mask.any() and values else 0.0


SLOW = {"energy": slow_energy, "l1": slow_distance, "outside": slow_outside}


@pytest.fixture
def batch():
    """Maps with a largest value of 1, of which one is zero; masks, of which one covers the frame and one is empty."""
    rng = np.random.default_rng(0)
    attention = np.maximum(rng.normal(size=(6, 5, 7)), 0)
    attention /= attention.max(axis=(1, 2), keepdims=True)
    attention[4] = 0
    mask = np.zeros((6, 20, 32), np.float32)
    mask[0, 4:17, 10:30] = mask[4, 2:9, 3:9] = 1
    mask[1, 5:6, 5:6] = 1
    mask[2] = 1
    mask[3, :10, :10] = mask[3, 12:, 25:] = 1
    return attention, mask


@pytest.mark.parametrize("form", SLOW)
@pytest.mark.parametrize("has_channel", [True, False])
def test_each_form_equals_the_slow_oracle(batch, form, has_channel):
    attention, mask = batch
    found = AttentionLoss(form=form).per_image(attention, mask[..., None] if has_channel else mask)
    expected = [SLOW[form](attention[b], mask[b]) for b in range(6)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_gradient_agrees_with_finite_differences(batch, form, reduction):
    attention, mask = batch
    raw, class_index = np.random.default_rng(2).normal(size=attention.shape), [0, 1, 1, 2, 2, 0]
    loss = AttentionLoss(**({"tau": 1.0, "lam": 0.7} if form == "care" else {}), reduction=reduction, form=form)

    def of_raw(values):
        return loss(normalize_map(values, loss.normalization), mask, class_index)

    raw = tf.constant(raw)
    with tf.GradientTape() as tape:
        tape.watch(raw)
        value = of_raw(raw)
    assert value.dtype == tf.float64
    slope = tape.gradient(value, raw).numpy()
    direction, step = np.random.default_rng(3).normal(size=slope.shape), 1e-6
    ahead, behind = (float(of_raw(raw + sign * step * direction)) for sign in (1, -1))
    np.testing.assert_allclose((ahead - behind) / (2 * step), (slope * direction).sum(), rtol=1e-6, atol=1e-9)
    assert slope[0].any() and not slope[5].any()


# --- identities ---


@pytest.mark.parametrize("scale", [1e-3, 7.0, 1e4])
def test_energy_does_not_change_with_the_scale(batch, scale):
    attention, mask = batch
    np.testing.assert_allclose(attention_energy(scale * attention, mask), attention_energy(attention, mask), rtol=1e-6)


def test_dividing_by_the_largest_value_leaves_the_gradient_of_energy_as_it_is(batch):
    _, mask = batch
    raw = tf.constant(np.random.default_rng(2).normal(size=(6, 5, 7)))
    slopes = []
    for positive in (tf.nn.relu, lambda values: normalize_map(values, "positive")):
        with tf.GradientTape() as tape:
            tape.watch(raw)
            value = tf.reduce_sum(attention_energy(positive(raw), mask))
        slopes.append(tape.gradient(value, raw).numpy())
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-9, atol=1e-12)
    # Along the map itself, which is the direction of the scale, nothing changes.
    np.testing.assert_allclose((slopes[0] * np.maximum(raw, 0)).sum(axis=(1, 2)), 0, atol=1e-12)


def test_energy_is_what_the_share_inside_leaves(batch):
    attention, mask = batch
    has_both = mask.any(axis=(1, 2)) & attention.any(axis=(1, 2))
    expected = np.where(has_both, 1 - attention_inside_share(attention, mask).numpy(), 0)
    np.testing.assert_allclose(attention_energy(attention, mask), expected, atol=1e-6)


@pytest.mark.parametrize("outside", ["uniform", "distance"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_outside_is_care_without_the_inner_term(batch, outside, reduction):
    (attention, mask), class_index = batch, [0, 1, 1, 2, 2, 0]
    alone = AttentionLoss(lam=0.6, outside=outside, reduction=reduction, form="outside")
    both = AttentionLoss(tau=0.0, lam=0.6, outside=outside, reduction=reduction)
    np.testing.assert_array_equal(alone.per_image(attention, mask), both.per_image(attention, mask))
    assert float(alone(attention, mask, class_index)) == float(both(attention, mask, class_index)) > 0


def test_lam_weighs_outside(batch):
    ones, halves = (AttentionLoss(lam=lam, form="outside")(*batch) for lam in (1.0, 0.5))
    np.testing.assert_allclose(halves, ones / 2, rtol=1e-6)


def test_the_form_of_the_paper_takes_no_other_value_than_before(batch):
    attention, mask = batch
    named, default = AttentionLoss(form="care"), AttentionLoss()
    np.testing.assert_array_equal(named.per_image(attention, mask), default.per_image(attention, mask))
    assert [AttentionLoss(form=form).normalization for form in FORMS] == ["min_max", "min_max", "positive", "positive"]


def test_a_mask_between_0_and_1_is_a_probability():
    attention, mask = np.array([[[0.25]]]), np.array([[[0.5]]])
    np.testing.assert_allclose(attention_distance(attention, mask), [0.5 * 0.75 + 0.5 * 0.25])


def test_the_best_map_has_no_loss():
    mask = np.zeros((1, 6, 6), np.float32)
    mask[0, 1:4, 2:5] = 1
    for loss in (attention_energy, attention_distance):
        np.testing.assert_allclose(loss(mask, mask), [0], atol=1e-6)
        np.testing.assert_allclose(loss(1 - mask, mask), [1], atol=1e-6)


# --- edges ---


@pytest.mark.parametrize("form", ["energy", "l1"])
def test_a_map_without_a_positive_part_adds_exactly_nothing(batch, form):
    _, mask = batch
    raw = -1 - np.random.default_rng(0).random((6, 5, 7)).astype(np.float32)
    raw[1] += 2
    raw, loss = tf.constant(raw), AttentionLoss(form=form)
    with tf.GradientTape() as tape:
        tape.watch(raw)
        per_image = loss.per_image(normalize_map(raw, loss.normalization), mask)
        total = tf.reduce_sum(per_image)
    assert per_image[1] > 0 and not np.delete(per_image.numpy(), 1).any()
    slope = tape.gradient(total, raw).numpy()
    assert slope[1].any() and np.isfinite(slope).all() and not np.delete(slope, 1, axis=0).any()


@pytest.mark.parametrize("form", FORMS)
def test_without_masks_there_is_no_loss_and_no_gradient(form):
    attention = tf.ones((2, 3, 3))
    with tf.GradientTape() as tape:
        tape.watch(attention)
        value = AttentionLoss(form=form)(attention, np.zeros((2, 9, 9)))
    assert float(value) == 0.0 and not tape.gradient(value, attention).numpy().any()


@pytest.mark.parametrize("form", FORMS)
def test_maps_of_unknown_size_and_half_precision(batch, form):
    attention, mask = batch
    loss = AttentionLoss(form=form)
    open_size = tf.function(loss.per_image, input_signature=[tf.TensorSpec([None] * 3), tf.TensorSpec([None] * 3)])
    expected = loss.per_image(attention.astype(np.float32), mask)
    np.testing.assert_allclose(open_size(attention.astype(np.float32), mask), expected, rtol=1e-5, atol=1e-6)
    half = loss.per_image(attention.astype(np.float16), mask)
    assert half.dtype == tf.float32
    np.testing.assert_allclose(half, expected, atol=2e-3)


@pytest.mark.both_generations
@pytest.mark.parametrize("form", FORMS)
def test_each_form_serializes(form):
    loss = AttentionLoss(reduction="masked", form=form)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert again.form == form


# --- errors ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"form": "dice"}, "form must be one of care, outside, energy, l1. Received form='dice'"),
        ({"form": "energy", "tau": 0.5}, "does not use must keep its default. Received tau=0.5 for form='energy'"),
        ({"form": "l1", "lam": 0.5}, "Received lam=0.5 for form='l1'. Set lam=1.0"),
        ({"form": "energy", "outside": "distance"}, "Received outside='distance'"),
        ({"form": "outside", "tau": 0.5}, "Received tau=0.5 for form='outside'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        AttentionLoss(**arguments)
