"""The losses that ask a network what it makes of the image outside the boxes, on a network in two lines of NumPy."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.losses import InputGradient, OutsidePerturbation
from care_tf.losses._outside_perturbation import divergence

pytestmark = pytest.mark.one_generation  # but for what meets Keras

SHAPE = (4, 3, 2)
SCALE = np.array([0.5, 2.0])
LOSSES = (OutsidePerturbation(), OutsidePerturbation("worst", 0.3, 2), OutsidePerturbation("swap"), InputGradient(0.4))


def name_of(loss):
    return getattr(loss, "kind", "gradient")


def slow_log_probabilities(images, kernel):
    logits = images.reshape(len(images), -1) @ kernel
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


class Network:
    """A softmax of a linear map, which notes what it was given."""

    def __init__(self, kernel):
        self.kernel, self.given = tf.Variable(kernel), []

    def __call__(self, images):
        self.given.append(images.numpy())
        return tf.nn.log_softmax(tf.reshape(images, (len(images), self.kernel.shape[0])) @ self.kernel)


@pytest.fixture
def network():
    return Network(np.random.default_rng(1).normal(size=(np.prod(SHAPE), 3)))


@pytest.fixture
def batch():
    """Five images; the second's mask covers the frame, the fourth's is half inside where it is."""
    rng = np.random.default_rng(0)
    mask = np.zeros((5, *SHAPE[:2]), np.float32)
    mask[0, 1:3, :2] = mask[2, :1, :1] = mask[4, 2:] = 1
    mask[1], mask[3, :, 1] = 1, 0.5
    return tf.constant(rng.normal(size=(5, *SHAPE))), mask


def per_image(loss, network, batch, step=0):
    return loss.per_image(network, *batch, tf.constant(SCALE), tf.constant([0, step]))


# --- oracles ---


@pytest.mark.parametrize("loss", LOSSES[:3], ids=name_of)
def test_the_loss_is_the_divergence_of_the_predictions_that_were_made(network, batch, loss):
    found = per_image(loss, network, batch)
    before, after = (slow_log_probabilities(network.given[i], network.kernel.numpy()) for i in (0, -1))
    expected = [
        sum(np.exp(p) * (p - q) for p, q in zip(*rows, strict=True)) for rows in zip(before, after, strict=True)
    ]
    expected[1] = 0  # nothing is outside
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)
    given_nothing = loss.kind == "swap"  # the one whose turn it is with the image that is all box
    assert found.dtype == tf.float64 and np.count_nonzero(np.delete(found, 1) > 0) == 4 - given_nothing
    np.testing.assert_array_equal(network.given[0], batch[0])


@pytest.mark.parametrize("loss", LOSSES[:2], ids=name_of)
def test_images_change_outside_the_mask_alone_and_by_as_much_as_is_asked(network, batch, loss):
    images = tf.tile(batch[0], (200, 1, 1, 1))
    masks = np.tile(batch[1], (200, 1, 1))
    per_image(loss, network, (images, masks))
    change = network.given[-1] - images.numpy()
    assert not change[masks == 1].any()
    outside = change[masks == 0] / (loss.strength * SCALE)
    if loss.kind == "worst":
        assert np.abs(outside).max() <= 1 + 1e-9
    else:
        np.testing.assert_allclose(outside.std(axis=0), [1, 1], rtol=0.05)
        np.testing.assert_allclose(outside.mean(axis=0), [0, 0], atol=0.05)
        np.testing.assert_allclose(change[masks == 0.5].std(axis=0), 0.5 * loss.strength * SCALE, rtol=0.15)


def slow_swap(images, masks, shift):
    swapped = images.copy()
    for i, mask in enumerate(masks):
        other, its_mask = images[i - shift], masks[i - shift][..., np.newaxis]
        if (its_mask < 1).any():  # without an outside it has nothing to give
            mean = ((1 - its_mask) * other).sum(axis=(0, 1)) / (1 - its_mask).sum()
            bare = its_mask * mean + (1 - its_mask) * other
            inside = mask[..., np.newaxis]
            swapped[i] = inside * images[i] + (1 - inside) * bare
    return swapped


def test_swapped_images_have_the_surroundings_of_the_others_in_turn(network, batch):
    images, masks = batch[0].numpy(), batch[1].astype(float)
    swapped = {shift: slow_swap(images, masks, shift) for shift in range(5)}
    shifts = set()
    for step in range(20):
        per_image(OutsidePerturbation("swap"), network, batch, step)
        (shift,) = [k for k, expected in swapped.items() if np.allclose(network.given[-1], expected, rtol=1e-12)]
        shifts.add(shift)
    assert shifts == {1, 2, 3, 4}  # never its own


def test_one_image_alone_has_nothing_to_swap_with(network, batch):
    assert float(per_image(OutsidePerturbation("swap"), network, (batch[0][:1], batch[1][:1]))[0]) == 0.0


def test_the_worst_perturbation_is_nearly_the_worst_corner(network):
    """The divergence is convex in the noise, so a corner of the box of all noises is the worst: tried one by one."""
    rng = np.random.default_rng(2)
    images, mask = tf.constant(0.3 * rng.normal(size=(4, *SHAPE))), np.ones((4, *SHAPE[:2]), np.float32)
    mask[:, 1:3, 1:3] = 0
    loss = OutsidePerturbation("worst", 0.3, steps=8)
    found = per_image(loss, network, (images, mask)).numpy()
    worst = np.zeros(4)
    before = slow_log_probabilities(images.numpy(), network.kernel.numpy())
    for corner in itertools.product((-1, 1), repeat=8):
        noise = np.zeros((1, *SHAPE))
        noise[:, 1:3, 1:3] = 0.3 * SCALE * np.reshape(corner, (2, 2, 2))
        after = slow_log_probabilities(images.numpy() + noise, network.kernel.numpy())
        worst = np.maximum(worst, (np.exp(before) * (before - after)).sum(axis=-1))
    assert (found <= worst * (1 + 1e-9)).all()
    assert np.median(found / worst) > 0.85 and (found / worst).min() > 0.3  # a step may end in a lower corner
    random = per_image(OutsidePerturbation("random", 0.3), network, (images, mask)).numpy()
    assert (found > random).all()


def test_the_input_gradient_equals_its_closed_form(network, batch):
    """d sum_k log p_k / dx = W (1 - K p) of a softmax of W x."""
    images, mask = batch
    found = per_image(InputGradient(0.4), network, batch)
    kernel = network.kernel.numpy()
    expected = []
    for image, inside in zip(images.numpy(), mask, strict=True):
        probabilities = np.exp(slow_log_probabilities(image[None], kernel))[0]
        slope, total = (kernel @ (1 - 3 * probabilities)).reshape(SHAPE), 0.0
        for i, j, k in np.ndindex(SHAPE):
            total += ((1 - float(inside[i, j])) * 0.4 * SCALE[k] * slope[i, j, k]) ** 2
        expected.append(total)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


def test_to_first_order_the_input_gradient_is_what_noise_makes_the_sum_vary(network):
    rng, strength = np.random.default_rng(3), 0.002
    image, nothing = rng.normal(size=(1, *SHAPE)), np.zeros((1, *SHAPE[:2]), np.float32)
    loss = float(per_image(InputGradient(strength), network, (tf.constant(image), nothing))[0])
    noisy = image + strength * SCALE * rng.normal(size=(20_000, *SHAPE))
    sums = slow_log_probabilities(noisy, network.kernel.numpy()).sum(axis=-1)
    np.testing.assert_allclose(loss, sums.var(), rtol=0.05)


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_the_gradient_agrees_with_finite_differences(network, batch, loss):
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(per_image(loss, network, batch))
    slope = tape.gradient(value, network.kernel).numpy()
    # Of noise, neither the prediction before nor the perturbation has a gradient: they stay what they were.
    first, last = network.given[0], network.given[-1]
    before = slow_log_probabilities(first, network.kernel.numpy())
    direction, step, start, values = np.random.default_rng(3).normal(size=slope.shape), 1e-6, network.kernel.numpy(), []
    for sign in (1, -1):
        moved = start + sign * step * direction
        if name_of(loss) in ("gradient", "swap"):
            network.kernel.assign(moved)
            values.append(float(tf.reduce_sum(per_image(loss, network, batch))))
        else:
            divergences = (np.exp(before) * (before - slow_log_probabilities(last, moved))).sum(axis=-1)
            values.append(np.delete(divergences, 1).sum())
    np.testing.assert_allclose((values[0] - values[1]) / (2 * step), (slope * direction).sum(), rtol=1e-6, atol=1e-9)


# --- identities ---


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_a_network_that_sees_the_inside_alone_has_no_loss(batch, loss):
    mask = batch[1]
    kernel = tf.constant(np.random.default_rng(1).normal(size=(np.prod(SHAPE), 3)))
    inside = tf.constant(mask == 1, tf.float64)[..., None]

    def sees_the_inside(given):
        return tf.nn.log_softmax(tf.reshape(given * inside, (len(given), -1)) @ kernel)

    assert not per_image(loss, sees_the_inside, batch).numpy().any()


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_a_mask_over_the_whole_frame_has_neither_loss_nor_gradient(network, batch, loss):
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(per_image(loss, network, (batch[0], np.ones((5, *SHAPE[:2], 1), np.float32))))
    assert float(value) == 0.0 and not tape.gradient(value, network.kernel).numpy().any()


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_no_images_are_no_loss(network, batch, loss):
    with tf.GradientTape() as tape:
        losses = per_image(loss, network, (batch[0][:0], batch[1][:0]))
        value = tf.reduce_sum(losses)
    assert losses.shape == (0,) and not tape.gradient(value, network.kernel).numpy().any()


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_the_loss_does_not_depend_on_the_unit_of_the_input(network, batch, loss):
    """Images of 0 to 255 and a kernel a 255th as large are the same network."""
    images, mask = batch
    found = per_image(loss, network, batch)
    kernel = tf.constant(network.kernel.numpy() / 255)
    other = loss.per_image(
        lambda given: tf.nn.log_softmax(tf.reshape(given, (5, -1)) @ kernel),
        *(255 * images, mask, tf.constant(255 * SCALE), tf.constant([0, 0])),
    )
    np.testing.assert_allclose(found, other, rtol=1e-9, atol=1e-15)


def test_draws_are_those_of_the_seed_and_the_step(network, batch):
    def drawn(seed=0, step=0, kind="random"):
        return per_image(OutsidePerturbation(kind, seed=seed), network, batch, step).numpy()

    for kind in ("random", "worst"):
        np.testing.assert_array_equal(drawn(kind=kind), drawn(kind=kind))
        for other in (drawn(seed=1, kind=kind), drawn(step=1, kind=kind)):
            assert (np.delete(other, 1) != np.delete(drawn(kind=kind), 1)).all()


@pytest.mark.parametrize(("p", "q"), [([0.5, 0.5], [0.9, 0.1]), ([0.2, 0.3, 0.5], [0.5, 0.3, 0.2])])
def test_the_divergence_is_positive_and_zero_for_equal_predictions(p, q):
    p, q = (tf.math.log([values]) for values in (p, q))
    assert float(divergence(p, q)[0]) > 0.1 and float(divergence(p, p)[0]) == 0.0


@pytest.mark.both_generations
@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_each_serializes(loss):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is type(loss) and again.get_config() == loss.get_config()


# --- errors ---


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (OutsidePerturbation, {"kind": "blur"}, "kind must be one of random, worst, swap. Received kind='blur'"),
        (OutsidePerturbation, {"strength": 0}, r"strength must be a number in \(0, inf\)"),
        (
            OutsidePerturbation,
            {"kind": "worst", "steps": 0},
            "steps must be a whole number, at least 1. Received steps=0",
        ),
        (OutsidePerturbation, {"steps": 3}, 'Only kind="worst" takes gradient steps. Received steps=3'),
        (OutsidePerturbation, {"kind": "swap", "strength": 2.0}, 'kind="swap" has no strength. Received strength=2.0'),
        (OutsidePerturbation, {"seed": 1.5}, "seed must be a whole number, at least 0"),
        (OutsidePerturbation, {"reduction": "sum"}, "reduction must be one of"),
        (InputGradient, {"strength": -1}, "strength must be a number"),
    ],
)
def test_bad_arguments_are_refused(make, arguments, message):
    with pytest.raises(InputError, match=message):
        make(**arguments)
