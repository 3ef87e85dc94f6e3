import numpy as np
import tensorflow as tf

from care_tf.empty_batch import call_with_an_image

KERNEL = tf.constant(np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4))


@tf.function(
    input_signature=[tf.TensorSpec((None, 5, 6, 3), tf.float32), tf.TensorSpec((None,), tf.int32)], autograph=False
)
def served(images, index):
    def network(inputs):
        images, index = inputs
        assert images.shape == (None, 5, 6, 3)  # a network asks for its size
        features = tf.nn.conv2d(images, KERNEL, 1, "SAME") + tf.range(4.0)
        return {"features": features, "index": index}

    return call_with_an_image(network, (images, index))


def test_no_image_gives_no_rows_of_the_right_shape():
    outputs = served(tf.zeros((0, 5, 6, 3)), tf.zeros((0,), tf.int32))
    assert outputs["features"].shape == (0, 5, 6, 4) and outputs["index"].shape == (0,)


def test_images_are_left_as_they_are():
    images = np.random.default_rng(0).random((2, 5, 6, 3)).astype(np.float32)
    outputs = served(images, [7, 8])
    np.testing.assert_allclose(outputs["features"], images @ KERNEL[0, 0] + np.arange(4), rtol=1e-5)
    np.testing.assert_array_equal(outputs["index"], [7, 8])
