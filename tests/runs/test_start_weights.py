"""Weights that a stage starts from: a layer that computes with a copy of its weights computes with those."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from care_tf.runs._start_weights import check_start_weights, load_start_weights

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 2, 2, 3)).astype("float32")


def network(scale=None):
    normalization = keras.layers.Normalization(name="normalization")
    layers = [normalization, keras.layers.Flatten(), keras.layers.Dense(3, kernel_initializer="ones")]
    model = keras.Sequential([keras.Input((2, 2, 3)), *layers])
    if scale is not None:
        normalization.adapt(scale * IMAGES)
    return model


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_the_statistics_of_a_normalization_come_with_a_file_and_go_again(suffix, tmp_path):
    saved, classifier, path = network(scale=3), network(scale=1), tmp_path / f"start{suffix}"
    saved.save(path) if suffix == ".keras" else saved.save_weights(path)
    expected, before = saved(IMAGES).numpy(), classifier(IMAGES).numpy()
    initial = classifier.get_weights()
    stages = [SimpleNamespace(name=name, start_from=start) for name, start in (("a", str(path)), ("b", "initial"))]
    check_start_weights(classifier, stages)
    np.testing.assert_array_equal(classifier(IMAGES), before)
    load_start_weights(classifier, stages[:1], 0, tmp_path, initial)
    np.testing.assert_array_equal(classifier(IMAGES), expected)
    np.testing.assert_array_less(0.1, np.abs(expected - before).max())
    load_start_weights(classifier, [SimpleNamespace(name="b", start_from="initial")], 0, tmp_path, initial)
    np.testing.assert_array_equal(classifier(IMAGES), before)
