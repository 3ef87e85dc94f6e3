import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf.boxes.segmentation.prediction import lesion_probability, load_segmentation_model
from care_tf.errors import InputError


def _image(height=20, width=30):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _redness(size=(16, 16), activation="sigmoid"):
    """A network that a person can check: the probability is a function of the red channel alone."""
    images = keras.Input((*size, 3))
    kernel = np.array([1 / 64, 0, 0], np.float32).reshape(1, 1, 3, 1)
    layer = keras.layers.Conv2D(1, 1, activation=activation)
    network = keras.Model(images, layer(images))
    layer.set_weights([kernel, np.array([-2.0], np.float32)])
    return network


def _loaded(tmp_path, network):
    network.save(tmp_path / "model.keras")
    return load_segmentation_model(tmp_path / "model.keras")


def test_the_map_has_the_images_size_and_follows_the_lesion(tmp_path):
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 15:45, 0] = 255
    loaded = _loaded(tmp_path, _redness())
    assert loaded.image_size == (16, 16)
    probability = lesion_probability(loaded, image)
    assert probability.shape == (40, 60) and probability.dtype == np.float32
    assert probability[20, 30] == pytest.approx(1 / (1 + np.exp(2 - 255 / 64)), abs=1e-5)
    assert probability[2, 2] == pytest.approx(1 / (1 + np.exp(2)), abs=1e-5)


def test_a_saved_model_gives_what_the_keras_model_gives(tmp_path):
    network = _redness()
    tf.saved_model.save(tf.train.Checkpoint(), str(tmp_path / "empty"))
    module = tf.Module()
    module.network = network
    serve = tf.function(lambda image: {"probability": network(image)})
    specification = tf.TensorSpec((None, 16, 16, 3), tf.float32, name="image")
    tf.saved_model.save(
        module, str(tmp_path / "saved"), signatures={"serving_default": serve.get_concrete_function(specification)}
    )
    image = _image()
    saved = lesion_probability(load_segmentation_model(tmp_path / "saved"), image)
    np.testing.assert_allclose(saved, lesion_probability(_loaded(tmp_path, network), image), atol=1e-6)
    with pytest.raises(InputError, match='needs a signature "serving_default" with one input and one output'):
        load_segmentation_model(tmp_path / "empty")


def test_a_model_of_any_size_takes_256_px(tmp_path):
    loaded = _loaded(tmp_path, _redness(size=(None, None)))
    assert loaded.image_size == (256, 256)
    assert lesion_probability(loaded, _image()).shape == (20, 30)


@pytest.mark.one_generation
def test_logits_are_refused(tmp_path):
    with pytest.raises(InputError, match="gave values from .* end it with a softmax or sigmoid"):
        lesion_probability(_loaded(tmp_path, _redness(activation=None)), _image())


@pytest.mark.one_generation
def test_a_classifier_is_refused(tmp_path):
    layers = [keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    with pytest.raises(InputError, match=r"gave an output of shape \(1, 2\)"):
        lesion_probability(_loaded(tmp_path, keras.Sequential(layers)), _image())


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [((None, 16, 16, 3), tf.uint8, "takes images of uint8"), (None, tf.float32, r"takes inputs of shape \(\)")],
)
def test_saved_models_of_other_inputs_are_refused(tmp_path, shape, dtype, message):
    serve = tf.function(lambda image: {"probability": tf.cast(image, tf.float32) / 255})
    signature = serve.get_concrete_function(tf.TensorSpec(shape, dtype, name="image"))
    tf.saved_model.save(tf.Module(), str(tmp_path / "saved"), signatures={"serving_default": signature})
    with pytest.raises(InputError, match=message):
        load_segmentation_model(tmp_path / "saved")


@pytest.mark.one_generation
def test_bad_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="There is no segmentation model"):
        load_segmentation_model(tmp_path / "nothing.keras")
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(InputError, match="is not a model that Keras can load"):
        load_segmentation_model(tmp_path / "text.keras")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is not a SavedModel"):
        load_segmentation_model(tmp_path / "folder")
    images, others = keras.Input((16, 16, 3)), keras.Input((16, 16, 3))
    layer = keras.layers.Conv2D(1, 1, activation="sigmoid")
    for network, message in (
        (keras.Model(images, [layer(images), keras.layers.Flatten()(images)]), "must have one output"),
        (keras.Model([images, others], layer(images + others)), "must have one input"),
        (keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]), r"takes inputs of shape \(None, 8\)"),
    ):
        with pytest.raises(InputError, match=message):
            _loaded(tmp_path, network)
