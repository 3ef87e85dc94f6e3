"""The resize as matrix products against TensorFlow's own, which training uses."""

import numpy as np
import pytest
import tensorflow as tf

from care_tf.images.resize_choice import RESIZES
from care_tf.images.resizing import padded, placement, resize_images
from care_tf.serving._portable_resize import portable_resize

IMAGES = tf.TensorSpec((None, None, None, 3), tf.float32, name="images")


@pytest.fixture(scope="module")
def resizes():
    def traced(choice):
        function = lambda images: portable_resize(images, (24, 32), choice)  # noqa: E731
        return tf.function(function, input_signature=[IMAGES], autograph=False)

    return {choice: traced(choice) for choice in RESIZES}


@pytest.fixture
def resize(resizes):
    return resizes["stretch"]


@pytest.mark.one_generation
@pytest.mark.parametrize("choice", RESIZES)
@pytest.mark.parametrize("size", [(61, 50), (12, 9), (24, 64), (23, 32), (150, 200), (1, 1), (7, 300)])
def test_values_are_those_of_training_but_for_halves(resizes, size, choice):
    images = np.random.default_rng(5).integers(0, 256, (3, *size, 3)).astype(np.float32)
    found, expected = resizes[choice](images).numpy(), resize_images(images, (24, 32), choice).numpy()
    place = placement(np.array(size), (24, 32), choice)
    exact = padded(tf.image.resize(images, place.size, antialias=True), place, (24, 32)).numpy()
    is_half = np.abs(np.abs(exact - np.floor(exact)) - 0.5) < 1e-3
    np.testing.assert_array_equal(found[~is_half], expected[~is_half])
    np.testing.assert_allclose(found, expected, atol=1)


@pytest.mark.parametrize("choice", RESIZES)
def test_onnx_resizes_alike(resizes, choice):
    tf2onnx = pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    model, _ = tf2onnx.convert.from_function(resizes[choice], [IMAGES])
    session = runtime.InferenceSession(model.SerializeToString())
    for size in [(61, 50), (9, 12), (24, 32), (50, 200), (150, 40), (1, 1)]:
        images = np.random.default_rng(7).integers(0, 256, (2, *size, 3)).astype(np.float32)
        (found,) = session.run(None, {"images": images})
        expected = resizes[choice](images).numpy()
        np.testing.assert_allclose(found, expected, atol=1)
        assert (found != expected).mean() < 1e-3  # halves, rounded the other way


def test_images_of_the_size_pass_untouched(resize):
    images = np.random.default_rng(6).uniform(-3, 300, (2, 24, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(resize(images), images)
    assert resize(np.zeros((0, 5, 5, 3), np.float32)).shape == (0, 24, 32, 3)
