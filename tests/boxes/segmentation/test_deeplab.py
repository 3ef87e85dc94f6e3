import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from care_tf.backbones import keras_cv_networks
from care_tf.backbones.preprocessing import imagenet_bgr, unit_interval
from care_tf.backbones.squeezenet import squeezenet1_1
from care_tf.boxes.segmentation._deeplab import build_segmentation_network
from care_tf.boxes.segmentation.prediction import lesion_probability, load_segmentation_model
from care_tf.errors import InputError
from care_tf.losses import DiceLoss

_ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("backbone", "image_size"), [("squeezenet1_1", (32, 48)), ("resnet18", (32, 64))])
def test_two_probabilities_at_every_pixel(backbone, image_size):
    network = build_segmentation_network(image_size, backbone=backbone)
    images = np.random.default_rng(0).uniform(0, 255, (2, *image_size, 3)).astype(np.float32)
    output = network(images).numpy()
    assert output.shape == (2, *image_size, 2)
    np.testing.assert_allclose(output.sum(-1), 1, atol=1e-5)
    assert output[..., 1].std() > 0


@pytest.mark.parametrize(("backbone", "preprocess"), [("squeezenet1_1", imagenet_bgr), ("resnet18", unit_interval)])
def test_the_preprocessing_inside_is_the_backbones_own(backbone, preprocess):
    network = build_segmentation_network((32, 64), backbone=backbone)
    (normalization,) = [layer for layer in network.layers if isinstance(layer, keras.layers.Normalization)]
    images = np.random.default_rng(0).uniform(0, 255, (1, 32, 64, 3)).astype(np.float32)
    expected = preprocess(images)[..., ::-1] if preprocess is imagenet_bgr else preprocess(images)
    np.testing.assert_allclose(normalization(images), expected, atol=1e-4)


def test_the_first_kernel_is_turned_from_bgr_to_rgb(tmp_path):
    published = squeezenet1_1((32, 32))
    published.save(tmp_path / "squeezenet.keras")
    network = build_segmentation_network((32, 32), weights=tmp_path / "squeezenet.keras")
    (deeplab,) = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    extractor = next(layer for layer in deeplab.layers if isinstance(layer, keras.Model) and _has(layer, "conv1"))
    kernel, bias = extractor.get_layer("conv1").get_weights()
    expected_kernel, expected_bias = published.get_layer("conv1").get_weights()
    np.testing.assert_array_equal(kernel[:, :, ::-1], expected_kernel)
    np.testing.assert_array_equal(bias, expected_bias)
    np.testing.assert_array_equal(
        extractor.get_layer("fire9_expand3x3").get_weights()[0], published.get_layer("fire9_expand3x3").get_weights()[0]
    )


def _has(model, name):
    return any(layer.name == name for layer in model.layers)


def test_padded_squeezenet_halves_exactly_and_unpadded_is_as_published():
    padded, published = squeezenet1_1((64, 96), padding="same"), squeezenet1_1((64, 96))
    assert padded.get_layer("conv1").output.shape[1:3] == (32, 48)
    assert padded.output.shape[1:3] == (4, 6)
    assert published.get_layer("conv1").output.shape[1:3] == (31, 47)


def test_the_seed_decides_the_weights():
    first, same, other = (build_segmentation_network((32, 32), seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def _network_with_keras_cv_layers(backbone, monkeypatch):
    """The network as KerasCV itself builds it, its pyramid one layer."""
    import keras_cv

    with monkeypatch.context() as patch:
        patch.setattr(
            keras_cv_networks,
            "_spatial_pyramid_pooling",
            lambda _, rates: keras_cv.layers.SpatialPyramidPooling(dilation_rates=rates),
        )
        return build_segmentation_network((32, 64), backbone=backbone, seed=1)


def _fingerprints(network):
    return sorted((weight.shape, weight.tobytes()) for weight in network.get_weights())


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["squeezenet1_1", "resnet18"])
def test_plain_layers_start_and_train_as_keras_cvs_own(backbone, monkeypatch):
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (4, 32, 64, 3)).astype(np.float32)
    masks = random.integers(0, 2, (4, 32, 64, 1)).astype(np.float32)
    keras.utils.set_random_seed(0)
    expected = _network_with_keras_cv_layers(backbone, monkeypatch)
    keras.utils.set_random_seed(0)
    network = build_segmentation_network((32, 64), backbone=backbone, seed=1)
    assert _fingerprints(network) == _fingerprints(expected)
    before = network(images).numpy()
    np.testing.assert_array_equal(before, expected(images))
    for model in (network, expected):
        model.compile(keras.optimizers.SGD(0.01), DiceLoss())
        model.fit(images, masks, batch_size=2, epochs=1, shuffle=False, verbose=0)
    # Batches of two over maps of 1 x 2 normalize rounding noise up: what counts is that it is small beside the step.
    after = network(images).numpy()
    assert np.abs(after - expected(images)).max() < 0.05 * np.abs(after - before).max()


_LOADING_WITHOUT_KERAS_CV = """
import sys
sys.modules["keras_cv"] = None
import numpy as np
from care_tf.boxes.segmentation import lesion_probability, load_segmentation_model
try:
    np.save(sys.argv[2], lesion_probability(load_segmentation_model(sys.argv[1]), np.load(sys.argv[3])))
except ValueError as error:
    print(error)
"""


def _loaded_without_keras_cv(path):
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)
    np.save(path.parent / "image.npy", image)
    arguments = [path, path.parent / "probability.npy", path.parent / "image.npy"]
    program = [sys.executable, "-c", _LOADING_WITHOUT_KERAS_CV, *map(str, arguments)]
    return image, subprocess.run(program, capture_output=True, text=True, cwd=_ROOT)


@pytest.mark.slow
@pytest.mark.both_generations
@pytest.mark.parametrize("backbone", ["squeezenet1_1", "resnet18"])
def test_a_saved_network_loads_without_keras_cv(backbone, tmp_path):
    network = build_segmentation_network((32, 64), backbone=backbone)
    network.save(tmp_path / "model.keras")
    image, result = _loaded_without_keras_cv(tmp_path / "model.keras")
    assert result.returncode == 0, result.stderr
    expected = network(image[np.newaxis].astype(np.float32), training=False)[0, :, :, 1]
    np.testing.assert_allclose(np.load(tmp_path / "probability.npy"), expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.both_generations
@pytest.mark.parametrize("file", ["model.keras", "model.h5"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # Keras 2 about HDF5
def test_a_network_with_keras_cvs_layers_still_loads_where_keras_cv_is(file, tmp_path, monkeypatch):
    network = _network_with_keras_cv_layers("squeezenet1_1", monkeypatch)
    network.save(tmp_path / file)
    image, result = _loaded_without_keras_cv(tmp_path / file)
    assert f"{file} needs keras_cv" in result.stdout and "pip install 'care_tf[segmentation]'" in result.stdout
    loaded = load_segmentation_model(tmp_path / file)
    expected = network(image[np.newaxis].astype(np.float32), training=False)[0, :, :, 1]
    np.testing.assert_allclose(lesion_probability(loaded, image), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": (32, 40)}, "multiples of 16 px for squeezenet1_1. Received \\(32, 40\\)"),
        ({"image_size": (48, 48), "backbone": "resnet18"}, "multiples of 32 px for resnet18"),
        ({"image_size": (32, 32), "backbone": "vgg"}, "must be one of squeezenet1_1, resnet18. Received 'vgg'"),
        ({"image_size": (32, 32), "weights": "nowhere.h5"}, "not a file"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        build_segmentation_network(**arguments)
