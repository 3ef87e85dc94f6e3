import numpy as np
import pytest
import tensorflow as tf

from care_tf.attention import ACTIVATION_MAPS, get_activation_map, gradcam, hirescam, layercam
from care_tf.errors import InputError


def slow_map(name, features, gradients):
    """One image, loops only, from the papers' equations."""
    height, width, depth = features.shape
    result = np.zeros((height, width))
    for k in range(depth):
        a, g = features[..., k], gradients[..., k]
        for i in range(height):
            for j in range(width):
                if name == "gradcam":
                    weight = sum(g[p, q] for p in range(height) for q in range(width)) / (height * width)
                elif name == "gradcam++":
                    weight = 0.0
                    for p in range(height):
                        for q in range(width):
                            denominator = 2 * g[p, q] ** 2 + a.sum() * g[p, q] ** 3
                            weight += max(g[p, q], 0) * (g[p, q] ** 2 / denominator if denominator else 0)
                elif name == "hirescam":
                    weight = g[i, j]
                elif name == "layercam":
                    weight = max(g[i, j], 0)
                elif name == "xgradcam":
                    weight = (g * a).sum() / a.sum() if a.sum() else 0.0
                result[i, j] += weight * a[i, j]
    return result


@pytest.mark.parametrize("name", sorted(ACTIVATION_MAPS))
def test_map_equals_the_slow_oracle(name):
    rng = np.random.default_rng(0)
    features = rng.random((2, 3, 4, 5))
    gradients = rng.normal(size=(2, 3, 4, 5))
    features[0, :, :, 1] = 0  # a silent channel
    gradients[1, :, :, 2] = 0
    expected = np.stack([slow_map(name, features[b], gradients[b]) for b in range(2)])
    np.testing.assert_allclose(
        ACTIVATION_MAPS[name](tf.constant(features), tf.constant(gradients)), expected, atol=1e-12
    )


def test_gradients_constant_over_the_map_make_hirescam_equal_gradcam():
    rng = np.random.default_rng(1)
    features = tf.constant(rng.random((2, 3, 3, 4)))
    gradients = tf.broadcast_to(tf.constant(rng.normal(size=(2, 1, 1, 4))), features.shape)
    np.testing.assert_allclose(hirescam(features, gradients), gradcam(features, gradients), atol=1e-12)
    positive = tf.abs(gradients)
    np.testing.assert_allclose(layercam(features, positive), gradcam(features, positive), atol=1e-12)


@pytest.mark.parametrize("name", sorted(ACTIVATION_MAPS))
def test_permuting_the_batch_permutes_the_maps(name):
    rng = np.random.default_rng(2)
    features, gradients = tf.constant(rng.random((4, 3, 3, 2))), tf.constant(rng.normal(size=(4, 3, 3, 2)))
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(
        ACTIVATION_MAPS[name](tf.gather(features, order), tf.gather(gradients, order)),
        tf.gather(ACTIVATION_MAPS[name](features, gradients), order),
        atol=1e-14,
    )


@pytest.mark.parametrize("name", sorted(ACTIVATION_MAPS))
@pytest.mark.parametrize("zero", ["features", "gradients"])
def test_zeros_give_a_zero_map_with_finite_gradients(name, zero):
    features = tf.ones((1, 2, 2, 3), tf.float64) * (0.0 if zero == "features" else 1.0)
    gradients = tf.ones((1, 2, 2, 3), tf.float64) * (0.0 if zero == "gradients" else -1.0)
    with tf.GradientTape() as tape:
        tape.watch([features, gradients])
        total = tf.reduce_sum(ACTIVATION_MAPS[name](features, gradients) ** 2)
    assert float(total) == 0.0
    for slope in tape.gradient(total, [features, gradients], unconnected_gradients="zero"):
        assert np.isfinite(slope.numpy()).all()


def test_a_function_passes_through():
    assert get_activation_map(gradcam) is gradcam


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="cam must be one of gradcam, .*Received 'scorecam'"):
        get_activation_map("scorecam")
