import dataclasses

import keras
import numpy as np
import pytest

from care_tf.data import read_manifest
from care_tf.runs import _shared_images as shared_images
from care_tf.runs._shared_images import SharedImages

SIZE = (16, 16)


@pytest.fixture
def rows(data):
    return read_manifest(data).select(split="test")


@pytest.fixture
def lower():
    image = keras.Input((*SIZE, 3))
    return keras.Model(image, keras.layers.Conv2D(2, 3)(image))


def activations(images, rows, lower, scale=1.0):
    return images.activations(rows, SIZE, lower, lambda x: x * scale, f"times {scale}", ((1, 1),))


def test_what_is_asked_for_again_is_not_made_again(rows, lower):
    images = SharedImages("memory")
    assert images.loader(rows, SIZE) is images.loader(rows, SIZE)
    first = activations(images, rows, lower)
    assert activations(images, rows, lower) is first
    assert activations(images, rows, lower, scale=2.0) is not first
    assert activations(images, rows.subset(np.arange(4)), lower) is not first
    other = dataclasses.replace(rows, max_pixel_value=4095)
    assert activations(images, other, lower) is not first and images.loader(other, SIZE) is not images.loader(
        rows, SIZE
    )


def test_other_weights_give_other_activations(rows, lower):
    images = SharedImages(None)
    first = activations(images, rows, lower)
    lower.set_weights([2 * weight for weight in lower.get_weights()])
    np.testing.assert_allclose(activations(images, rows, lower).activations, 2 * first.activations, rtol=1e-5)


def test_only_the_last_ones_are_kept(rows, lower, monkeypatch):
    monkeypatch.setattr(shared_images, "CAPACITY_BYTES", 5 * SIZE[0] * SIZE[1] * 3)
    images = SharedImages("memory")
    loaders = [images.loader(rows.subset(np.arange(n)), SIZE) for n in (1, 2, 3)]
    assert images.loader(rows.subset(np.arange(2)), SIZE) is loaders[1]
    assert images.loader(rows.subset(np.arange(3)), SIZE) is loaders[2]
    assert images.loader(rows.subset(np.arange(1)), SIZE) is not loaders[0]


def test_a_folder_outlives_the_process(rows, lower, tmp_path):
    first = activations(SharedImages(str(tmp_path)), rows, lower)
    kept = {path.name.split("-")[0] for path in tmp_path.iterdir()}
    assert kept == {"images", "activations"}
    second = activations(SharedImages(str(tmp_path)), rows, lower)
    np.testing.assert_array_equal(first.activations, second.activations)
    lower.set_weights([2 * weight for weight in lower.get_weights()])
    third = activations(SharedImages(str(tmp_path)), rows, lower)
    np.testing.assert_allclose(third.activations, 2 * first.activations, rtol=1e-5)
