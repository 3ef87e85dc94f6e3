import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from care_tf.errors import InputError
from care_tf.losses import AttentionLoss, attention_terms

pytestmark = pytest.mark.one_generation  # but for what meets Keras

REDUCTIONS = ("batch", "masked", "class_balanced")


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


def slow_mean(per_image, has_mask, class_index, reduction):
    """A batch's L_a from the images' losses, in loops: the mean over images, masked images, or classes with masks."""
    of_class = {}
    for value, masked, index in zip(per_image, has_mask, class_index, strict=True):
        if masked and index >= 0:
            of_class.setdefault(int(index), []).append(float(value))
    if reduction == "class_balanced":
        means = [sum(values) / len(values) for values in of_class.values()]
        return sum(means) / len(means) if means else 0.0
    values = [value for of_one in of_class.values() for value in of_one]
    count = len(per_image) if reduction == "batch" else len(values)
    return sum(values) / count if count else 0.0


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


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("class_index", [[0, 1, 2, 1, 0], [2, 2, 2, 2, 2], [0, -1, 2, 2, 1], [-1, -1, -1, -1, -1]])
def test_reductions_equal_the_slow_oracle(batch, reduction, class_index):
    attention, mask = batch
    per_image = [sum(slow_terms(attention[b], mask[b], 0.4, 0.8)) for b in range(5)]
    loss = AttentionLoss(0.4, 0.8, reduction)
    expected = slow_mean(per_image, mask.any(axis=(1, 2)), class_index, reduction)
    np.testing.assert_allclose(loss(attention, mask, class_index), expected, rtol=1e-5, atol=1e-7)


def test_reductions_divide_by_the_batch_or_by_the_masked_images(batch):
    attention, mask = batch
    total = float(tf.reduce_sum(AttentionLoss().per_image(attention, mask)))
    np.testing.assert_allclose(AttentionLoss(reduction="batch")(attention, mask), total / 5, rtol=1e-6)
    np.testing.assert_allclose(AttentionLoss(reduction="masked")(attention, mask), total / 4, rtol=1e-6)


@given(
    images=st.lists(st.tuples(st.booleans(), st.integers(-1, 4)), min_size=1, max_size=12),
    reduction=st.sampled_from(REDUCTIONS),
)
def test_the_weights_give_the_mean_of_any_batch(images, reduction):
    has_mask, class_index = (np.array(values) for values in zip(*images, strict=True))
    per_image = np.where(has_mask, np.linspace(-0.7, 1.0, len(images)), 0.0)
    expected = slow_mean(per_image, has_mask, class_index, reduction)
    loss = AttentionLoss(reduction=reduction)
    for num_classes in (5, 7, None):
        weights = loss.image_weights(has_mask, class_index, num_classes)
        assert weights.dtype == tf.float32
        np.testing.assert_allclose((weights.numpy() * per_image).sum(), expected, rtol=1e-5, atol=1e-6)
        assert not weights.numpy()[~has_mask | (class_index < 0)].any()


def test_with_masks_of_one_class_class_balanced_is_masked(batch):
    attention, mask = batch
    class_index = [2, 2, 2, 2, 0]  # the last image has no mask, so its class has none
    np.testing.assert_allclose(
        AttentionLoss(reduction="class_balanced")(attention, mask, class_index),
        AttentionLoss(reduction="masked")(attention, mask, class_index),
        rtol=1e-6,
    )


def test_a_class_ten_times_as_large_leaves_the_others_their_share():
    has_mask, class_index = np.ones(4, bool), np.array([0, 1, 1, 2])
    many = np.concatenate([class_index, np.repeat(2, 9)])
    shares = {}
    for reduction in ("masked", "class_balanced"):
        loss = AttentionLoss(reduction=reduction)
        once = loss.image_weights(has_mask, class_index, 3).numpy()
        more = loss.image_weights(np.ones(13, bool), many, 3).numpy()
        shares[reduction] = once[:3], more[:3]
        assert more[many == 2].sum() == pytest.approx(1 / 3 if reduction == "class_balanced" else 10 / 13)
    np.testing.assert_array_equal(*shares["class_balanced"])
    assert (shares["masked"][1] < shares["masked"][0]).all()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_batch_without_boxes_costs_nothing_and_has_no_gradient(reduction):
    attention, class_index = tf.ones((2, 3, 3)), [0, 1]
    with tf.GradientTape() as tape:
        tape.watch(attention)
        value = AttentionLoss(reduction=reduction)(attention, np.zeros((2, 9, 9, 1)), class_index)
    assert float(value) == 0.0
    np.testing.assert_array_equal(tape.gradient(value, attention), np.zeros((2, 3, 3)))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_gradient_agrees_with_finite_differences(batch, reduction):
    attention, mask = batch
    attention, class_index = tf.constant(attention, tf.float64), [0, 1, 1, 2, 0]
    loss = AttentionLoss(1.0, 0.7, reduction)
    with tf.GradientTape() as tape:
        tape.watch(attention)
        value = loss(attention, mask, class_index)
    assert value.dtype == tf.float64
    slope = tape.gradient(value, attention).numpy()
    direction, step = np.random.default_rng(3).normal(size=slope.shape), 1e-6
    ahead, behind = (float(loss(attention + sign * step * direction, mask, class_index)) for sign in (1, -1))
    np.testing.assert_allclose((ahead - behind) / (2 * step), (slope * direction).sum(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_graph_and_xla_give_the_eager_weights(reduction):
    has_mask, class_index = tf.constant([True, True, False, True]), tf.constant([0, 2, 1, 2])
    loss = AttentionLoss(reduction=reduction)
    expected = loss.image_weights(has_mask, class_index, 3)
    for jit_compile in (False, True):
        compiled = tf.function(lambda m, c: loss.image_weights(m, c, 3), jit_compile=jit_compile)
        np.testing.assert_allclose(compiled(has_mask, class_index), expected, rtol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_order_of_the_batch_does_not_matter(batch, reduction):
    attention, mask = batch
    class_index, order = np.array([0, 1, 1, 2, 0]), [3, 1, 4, 0, 2]
    loss = AttentionLoss(reduction=reduction)
    shuffled = loss(attention[order], mask[order], class_index[order])
    np.testing.assert_allclose(shuffled, loss(attention, mask, class_index), rtol=1e-6)


def test_a_column_of_class_indices_is_a_row_of_them(batch):
    attention, mask = batch
    loss, class_index = AttentionLoss(reduction="class_balanced"), np.array([0, 1, 1, 2, 0])
    assert float(loss(attention, mask, class_index[:, None])) == float(loss(attention, mask, class_index))


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


@pytest.mark.both_generations
@pytest.mark.parametrize("outside", ["uniform", "distance"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_loss_serializes(reduction, outside):
    loss = AttentionLoss(tau=0.4, lam=0.5, reduction=reduction, outside=outside)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    given = {"tau": 0.4, "lam": 0.5, "reduction": reduction, "outside": outside, "form": "care"}
    assert again.get_config() == loss.get_config() == given


def test_class_balanced_without_classes_is_refused(batch):
    with pytest.raises(InputError, match='"class_balanced".*needs the class.*class_index=None.*"masked"'):
        AttentionLoss(reduction="class_balanced")(*batch)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tau": 1.5}, "tau .*Received tau=1.5"),
        ({"tau": float("nan")}, "tau .*Received"),
        ({"lam": -1}, "lam .*Received lam=-1"),
        ({"reduction": "mean"}, "reduction must be one of .*Received reduction='mean'"),
        ({"outside": "far"}, "outside must be one of uniform, distance. Received outside='far'"),
    ],
)
def test_arguments_outside_their_range_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        AttentionLoss(**arguments)


def test_attention_of_another_rank_is_refused():
    with pytest.raises(ValueError, match=r"attention must have shape \(B, h, w\)"):
        attention_terms(np.ones((2, 3, 3, 1)), np.ones((2, 3, 3)))
