"""Preprocessing against `keras.applications`, and inside the graphs it is used in."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf.backbones import backbone_names, get_backbone
from care_tf.backbones.preprocessing import identity, imagenet_bgr, minus_one_to_one, unit_interval

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 5, 4, 3)).astype("float32")


def test_imagenet_bgr_is_blue_first_minus_the_mean():
    red_pixel = np.array([[[250.0, 10.0, 20.0]]], "float32")
    np.testing.assert_allclose(imagenet_bgr(red_pixel)[0, 0], [20 - 103.939, 10 - 116.779, 250 - 123.68], rtol=1e-6)


@pytest.mark.parametrize("module", ["resnet", "vgg19"])
def test_imagenet_bgr_is_what_keras_applications_does(module):
    expected = getattr(keras.applications, module).preprocess_input(IMAGES.copy())
    np.testing.assert_allclose(imagenet_bgr(IMAGES), expected, atol=1e-4)


def test_unit_interval_and_identity():
    np.testing.assert_allclose(unit_interval(IMAGES), IMAGES / 255, rtol=1e-6)
    np.testing.assert_array_equal(identity(IMAGES), IMAGES)


def test_minus_one_to_one_is_127_in_the_middle_and_1_at_white():
    gray = np.array([[[0.0, 127.0, 255.0]]], "float32")
    np.testing.assert_array_equal(minus_one_to_one(gray)[0, 0], [-127 / 128, 0, 1])


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("MobileNet", IMAGES / 127.5 - 1),
        ("DenseNet121", (IMAGES / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
        ("EfficientNetB0", IMAGES),  # Preprocesses inside itself.
    ],
)
def test_other_applications_use_their_own_module(network, expected):
    given = IMAGES.copy()
    received = get_backbone(f"keras.applications/{network}").preprocess(given)
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(given, IMAGES)


@pytest.mark.parametrize("name", [*backbone_names(), "keras.applications/MobileNet", "keras.applications/DenseNet121"])
def test_one_image_or_a_batch_eagerly_or_in_a_dataset(name):
    preprocess = get_backbone(name).preprocess
    batch = preprocess(IMAGES)
    assert batch.dtype == tf.float32
    singles = tf.data.Dataset.from_tensor_slices(IMAGES).map(preprocess)
    batches = tf.data.Dataset.from_tensor_slices(IMAGES).batch(2).map(preprocess)
    np.testing.assert_allclose(np.stack(list(singles)), batch, atol=1e-4)
    np.testing.assert_allclose(next(iter(batches)), batch, atol=1e-4)
