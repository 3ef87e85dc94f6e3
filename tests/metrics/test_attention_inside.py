import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf.metrics import AttentionInside, attention_inside_share

pytestmark = pytest.mark.one_generation  # but for what meets Keras


def _maps_and_masks(seed=0, count=5):
    rng = np.random.default_rng(seed)
    attention = rng.uniform(size=(count, 3, 4)).astype(np.float32)
    return attention, (rng.uniform(size=(count, 17, 20)) < 0.3).astype(np.float32)


# oracle


def test_equals_the_share_of_the_resized_map():
    attention, mask = _maps_and_masks()
    resized = tf.image.resize(attention[..., np.newaxis], (17, 20)).numpy()[..., 0]
    expected = [(r * m).sum() / r.sum() for r, m in zip(resized, mask, strict=True)]
    np.testing.assert_allclose(attention_inside_share(attention, mask), expected, rtol=1e-5)
    np.testing.assert_allclose(attention_inside_share(attention, mask[..., np.newaxis]), expected, rtol=1e-5)


# identities


def test_uniform_map_gives_the_masks_share_of_the_frame():
    _, mask = _maps_and_masks()
    shares = attention_inside_share(np.full((5, 3, 4), 0.3, np.float32), mask)
    np.testing.assert_allclose(shares, mask.mean(axis=(1, 2)), rtol=1e-5)


@pytest.mark.both_generations
def test_metric_is_the_mean_over_masked_images():
    attention, mask = _maps_and_masks()
    mask[[1, 3]] = 0
    metric = AttentionInside()
    metric.update_state(attention[:2], mask[:2])
    metric.update_state(attention[2:], mask[2:, ..., np.newaxis])
    expected = attention_inside_share(attention, mask).numpy()[[0, 2, 4]].mean()
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    metric.reset_state()
    assert np.isnan(float(metric.result()))  # no image: 0 would be a share


def test_sample_weight_weighs_images():
    attention, mask = _maps_and_masks()
    metric = AttentionInside()
    metric.update_state(attention, mask, sample_weight=np.float32([1, 0, 0, 2, 0]))
    shares = attention_inside_share(attention, mask).numpy()
    assert float(metric.result()) == pytest.approx((shares[0] + 2 * shares[3]) / 3, rel=1e-5)


# properties


def test_scale_of_the_map_does_not_matter():
    attention, mask = _maps_and_masks()
    np.testing.assert_allclose(
        attention_inside_share(attention * 7, mask), attention_inside_share(attention, mask), rtol=1e-5
    )


@pytest.mark.both_generations
def test_config_mirrors_the_constructor():
    metric = AttentionInside(name="inside")
    assert keras.metrics.deserialize(keras.metrics.serialize(metric)).get_config() == metric.get_config()


def test_works_in_a_graph_with_unknown_sizes():
    attention, mask = _maps_and_masks()
    signature = [tf.TensorSpec([None, None, None]), tf.TensorSpec([None, None, None])]
    shares = tf.function(attention_inside_share, input_signature=signature)(attention, mask)
    np.testing.assert_allclose(shares, attention_inside_share(attention, mask), rtol=1e-6)


# edges


def test_map_without_energy_gives_zero():
    _, mask = _maps_and_masks(count=2)
    assert attention_inside_share(np.zeros((2, 3, 4), np.float32), mask).numpy().tolist() == [0.0, 0.0]
