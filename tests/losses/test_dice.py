import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.errors import InputError
from care_tf.losses import DiceLoss, dice_loss

pytestmark = pytest.mark.one_generation  # but for what meets Keras


def _slow(masks, probabilities, smooth):
    losses = []
    for mask, probability in zip(masks, probabilities, strict=True):
        overlap = total = 0.0
        for m, p in zip(mask.ravel(), probability.ravel(), strict=True):
            overlap += m * p
            total += m + p
        losses.append(1 - (2 * overlap + smooth) / (total + smooth))
    return losses


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 10))
def test_it_is_the_formula_pixel_by_pixel(seed, smooth):
    random = np.random.default_rng(seed)
    masks = (random.uniform(size=(3, 4, 5)) > 0.6).astype(np.float64)
    probabilities = random.uniform(size=(3, 4, 5))
    np.testing.assert_allclose(dice_loss(masks, probabilities, smooth), _slow(masks, probabilities, smooth), atol=1e-12)


def test_gradients_agree_with_finite_differences():
    random = np.random.default_rng(0)
    masks = (random.uniform(size=(2, 3, 3)) > 0.5).astype(np.float64)
    predictions = random.uniform(size=(2, 3, 3))
    variable = tf.Variable(predictions)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(dice_loss(masks, variable))
    gradient = tape.gradient(loss, variable).numpy()
    for index in np.ndindex(predictions.shape):
        shifted = predictions.copy()
        shifted[index] += 1e-6
        difference = (np.sum(dice_loss(masks, shifted)) - np.sum(dice_loss(masks, predictions))) / 1e-6
        assert gradient[index] == pytest.approx(difference, abs=1e-6)


def test_a_perfect_region_costs_nothing_and_a_disjoint_one_nearly_all():
    mask = np.zeros((1, 8, 8), np.float32)
    mask[:, :4] = 1
    assert dice_loss(mask, mask).numpy() == pytest.approx(0, abs=1e-6)
    assert dice_loss(mask, 1 - mask, smooth=1e-6).numpy() == pytest.approx(1, abs=1e-6)


def test_an_empty_mask_is_finite_and_costs_nothing_where_nothing_is_predicted():
    empty = np.zeros((2, 4, 4), np.float32)
    assert dice_loss(empty, empty).numpy().tolist() == [0, 0]
    assert (dice_loss(empty, np.ones((2, 4, 4), np.float32)).numpy() > 0.9).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bits_do_not_overflow_in_a_large_image(dtype):
    masks = np.ones((1, 300, 300), np.float32)
    loss = dice_loss(masks, tf.cast(masks, dtype))
    assert loss.dtype == tf.float32
    assert loss.numpy() == pytest.approx(0, abs=1e-6)


def test_it_compiles_to_the_same_values():
    random = np.random.default_rng(0)
    masks = (random.uniform(size=(2, 4, 4)) > 0.5).astype(np.float32)
    predictions = random.uniform(size=(2, 4, 4, 2)).astype(np.float32)
    expected = dice_loss(masks, predictions)
    np.testing.assert_allclose(tf.function(dice_loss)(masks, predictions), expected, rtol=1e-6)
    np.testing.assert_allclose(tf.function(dice_loss, jit_compile=True)(masks, predictions), expected, rtol=1e-6)


def test_of_several_channels_the_last_is_the_lesion():
    random = np.random.default_rng(0)
    masks = (random.uniform(size=(2, 4, 4, 1)) > 0.5).astype(np.float32)
    lesion = random.uniform(size=(2, 4, 4)).astype(np.float32)
    two_channels = np.stack([1 - lesion, lesion], axis=-1)
    np.testing.assert_array_equal(dice_loss(masks, two_channels), dice_loss(masks[..., 0], lesion))
    np.testing.assert_array_equal(dice_loss(masks, lesion[..., None]), dice_loss(masks[..., 0], lesion))


@pytest.mark.both_generations
def test_the_object_averages_the_function_and_survives_serialization():
    random = np.random.default_rng(0)
    masks = (random.uniform(size=(3, 4, 4, 1)) > 0.5).astype(np.float32)
    predictions = random.uniform(size=(3, 4, 4, 2)).astype(np.float32)
    loss = DiceLoss(smooth=2.0)
    assert float(loss(masks, predictions)) == pytest.approx(float(np.mean(dice_loss(masks, predictions, 2.0))))
    copy = DiceLoss.from_config(loss.get_config())
    assert copy.get_config() == loss.get_config() == {"smooth": 2.0, "name": "dice_loss"}


@pytest.mark.parametrize("smooth", [0, -1, float("nan"), "1"])
def test_a_bad_smoothing_is_refused(smooth):
    with pytest.raises(InputError, match="smooth must be a number in"):
        DiceLoss(smooth=smooth)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"Received masks \(1, 4, 4\) and predictions \(1, 4, 5\)"):
        dice_loss(np.zeros((1, 4, 4)), np.zeros((1, 4, 5)))
