import functools
import importlib.util
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from marks import one_generation

from care_tf.backbones import keras_cv_networks
from care_tf.backbones.layer_changes import innermost_layers
from care_tf.backbones.preprocessing import imagenet_bgr, unit_interval
from care_tf.backbones.squeezenet import squeezenet1_1
from care_tf.boxes.segmentation._deeplab import build_segmentation_network, dilated
from care_tf.boxes.segmentation.prediction import lesion_probability, load_segmentation_model
from care_tf.errors import InputError
from care_tf.losses import DiceLoss

_ROOT = Path(__file__).parents[3]
_SIZE = (32, 64)


@functools.cache
def _network(architecture, backbone, image_size):
    return build_segmentation_network(image_size, architecture=architecture, backbone=backbone, seed=1)


def _built(architecture="deeplab_v3_plus", backbone="squeezenet1_1", image_size=_SIZE):
    """A network that tests look at and leave as it is."""
    return _network(architecture, backbone, image_size)  # in order: a cache takes names for other arguments


@pytest.mark.parametrize(
    ("architecture", "backbone", "image_size"),
    [
        ("deeplab_v3_plus", "squeezenet1_1", _SIZE),
        ("deeplab_v3_plus", "resnet18", _SIZE),
        pytest.param("deeplab_v3", "squeezenet1_1", (32, 48), marks=pytest.mark.one_generation),
        pytest.param("deeplab_v3", "resnet50", (32, 48), marks=pytest.mark.slow),
        pytest.param("deeplab_v3_plus", "resnet50", _SIZE, marks=pytest.mark.slow),
    ],
)
def test_two_probabilities_at_every_pixel(architecture, backbone, image_size):
    network = _built(architecture, backbone, image_size)
    assert all(type(layer).__module__.startswith("keras.") for layer in innermost_layers(network)), (
        "loads without KerasCV"
    )
    images = np.random.default_rng(0).uniform(0, 255, (2, *image_size, 3)).astype(np.float32)
    output = network(images).numpy()
    assert output.shape == (2, *image_size, 2)
    np.testing.assert_allclose(output.sum(-1), 1, atol=1e-5)
    assert output[..., 1].std() > 0


@pytest.mark.one_generation
def test_deeplab_v3_upsamples_the_logits_of_a_pyramid_at_stride_16():
    network = build_segmentation_network((64, 96), architecture="deeplab_v3")
    layers = {layer.name: layer for layer in innermost_layers(network)}
    assert layers["segmentation_logits"].output.shape[1:] == (4, 6, 2)
    branches = [shape[1:] for shape in (tensor.shape for tensor in layers["pyramid_branches"].input)]
    assert branches == [(4, 6, 256)] * 5  # 1 x 1, three dilated, and the pooled image
    rates = {layer.dilation_rate for layer in layers.values() if isinstance(layer, keras.layers.Conv2D)}
    assert rates == {(1, 1), (2, 2), (3, 3)}  # 6, 12, 18 on a grid of 6 instead of 33
    assert isinstance(layers["segmentation_output"], keras.layers.Softmax)
    normalizations = [layer for layer in layers.values() if isinstance(layer, keras.layers.BatchNormalization)]
    assert {layer.momentum for layer in normalizations} == {0.9}
    assert layers["segmentation_upsampling"].size == (16, 16)
    assert layers["segmentation_upsampling"].interpolation == "bilinear"


@pytest.mark.parametrize("size", [(64, 96), *one_generation((80, 48))])
def test_every_second_pixel_of_a_dilated_stage_is_what_the_strided_one_gives(size):
    def convolution(x, filters, kernel, stride, name):
        return keras.layers.Conv2D(filters, kernel, stride, "same", activation="relu", name=name)(x)

    images = keras.Input((*size, 3))
    x = convolution(images, 4, 3, 8, "conv4_end")
    for block, stride in ((1, 2), (2, 1)):  # as in ResNet50: the stride is in the 1 x 1 convolutions
        inner = convolution(x, 4, 1, stride, f"conv5_block{block}_1")
        inner = keras.layers.BatchNormalization(name=f"conv5_block{block}_norm")(inner)
        inner = convolution(inner, 5, 3, 1, f"conv5_block{block}_2")
        x = keras.layers.Add(name=f"conv5_block{block}_out")(
            [convolution(x, 5, 1, stride, f"conv5_block{block}_0"), inner]
        )
    strided = keras.Model(images, x)
    finer = dilated(strided, "conv5")
    batch = np.random.default_rng(0).uniform(-1, 1, (2, *size, 3)).astype(np.float32)
    assert finer.output.shape[1:3] == (size[0] // 8, size[1] // 8)
    assert np.asarray(strided(batch)).std() > 0.01
    np.testing.assert_allclose(finer(batch)[:, ::2, ::2], strided(batch), atol=1e-6)


@pytest.mark.slow
@pytest.mark.both_generations
def test_the_dilated_resnet50_is_keras_own():
    strided = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3))
    finer = dilated(strided, "conv5")
    assert finer.count_params() == strided.count_params() == 23_587_712
    assert finer.output.shape[1:] == (4, 4, 2048)
    batch = np.random.default_rng(0).uniform(-100, 100, (1, 64, 64, 3)).astype(np.float32)
    expected = np.asarray(strided(batch))
    np.testing.assert_allclose(finer(batch)[:, ::2, ::2], expected, rtol=1e-3, atol=1e-4 * expected.max())


@pytest.mark.one_generation
@pytest.mark.parametrize(("backbone", "preprocess"), [("squeezenet1_1", imagenet_bgr), ("resnet18", unit_interval)])
def test_the_preprocessing_inside_is_the_backbones_own(backbone, preprocess):
    network = _built(backbone=backbone)
    (normalization,) = [layer for layer in network.layers if isinstance(layer, keras.layers.Normalization)]
    images = np.random.default_rng(0).uniform(0, 255, (1, *_SIZE, 3)).astype(np.float32)
    expected = preprocess(images)[..., ::-1] if preprocess is imagenet_bgr else preprocess(images)
    np.testing.assert_allclose(normalization(images), expected, atol=1e-4)


@pytest.mark.one_generation
def test_the_first_kernel_is_turned_from_bgr_to_rgb(tmp_path):
    published = squeezenet1_1((32, 32))
    published.save(tmp_path / "squeezenet.keras")
    network = build_segmentation_network((32, 32), encoder_weights=tmp_path / "squeezenet.keras")
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


@pytest.mark.one_generation
def test_padded_squeezenet_halves_exactly_and_unpadded_is_as_published():
    padded, published = squeezenet1_1((64, 96), padding="same"), squeezenet1_1((64, 96))
    assert padded.get_layer("conv1").output.shape[1:3] == (32, 48)
    assert padded.output.shape[1:3] == (4, 6)
    assert published.get_layer("conv1").output.shape[1:3] == (31, 47)


@pytest.mark.one_generation
def test_the_seed_decides_the_weights():
    first = _built().get_weights()
    same, other = (build_segmentation_network(_SIZE, seed=seed).get_weights() for seed in (1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.fixture(scope="module")
def with_keras_cv_layers():
    """The network of `_built` as KerasCV itself builds it, its pyramid one layer."""
    import keras_cv

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            keras_cv_networks,
            "_spatial_pyramid_pooling",
            lambda _, rates: keras_cv.layers.SpatialPyramidPooling(dilation_rates=rates),
        )
        return build_segmentation_network(_SIZE, seed=1)


def _fingerprints(network):
    return sorted((weight.shape, weight.tobytes()) for weight in network.get_weights())


_LOADING_WITHOUT_KERAS_CV = """
import sys
sys.modules["keras_cv"] = None
import numpy as np
from care_tf.boxes.segmentation import lesion_probability, load_segmentation_model
image = np.load(sys.argv[1])
for path in sys.argv[2:]:
    try:
        np.save(path + ".npy", lesion_probability(load_segmentation_model(path), image))
    except ValueError as error:
        print(error)
"""


@pytest.mark.slow
@pytest.mark.both_generations
@pytest.mark.filterwarnings("ignore::UserWarning")  # Keras 2 about HDF5
def test_saved_networks_load_without_keras_cv_but_those_that_hold_its_layers(with_keras_cv_layers, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (*_SIZE, 3), np.uint8)
    np.save(tmp_path / "image.npy", image)
    networks = {
        "squeezenet1_1.keras": _built(),
        "former.keras": with_keras_cv_layers,
        "former.h5": with_keras_cv_layers,
    }
    for name, network in networks.items():
        network.save(tmp_path / name)
    paths = [tmp_path / name for name in ("image.npy", *networks)]
    program = [sys.executable, "-c", _LOADING_WITHOUT_KERAS_CV, *map(str, paths)]
    result = subprocess.run(program, capture_output=True, text=True, cwd=_ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("pip install 'care_tf[segmentation]'") == 2
    for name, network in networks.items():
        expected = network(image[np.newaxis].astype(np.float32), training=False)[0, :, :, 1]
        if network is with_keras_cv_layers:
            assert f"{name} needs keras_cv" in result.stdout
            found = lesion_probability(load_segmentation_model(tmp_path / name), image)
        else:
            found = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow
def test_plain_layers_start_and_train_as_keras_cvs_own(with_keras_cv_layers):
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (4, *_SIZE, 3)).astype(np.float32)
    masks = random.integers(0, 2, (4, *_SIZE, 1)).astype(np.float32)
    network, expected = build_segmentation_network(_SIZE, seed=1), with_keras_cv_layers
    assert _fingerprints(network) == _fingerprints(expected)
    before, start = network(images).numpy(), expected.get_weights()
    np.testing.assert_array_equal(before, expected(images))
    for model in (network, expected):
        keras.utils.set_random_seed(0)
        model.compile(keras.optimizers.SGD(0.01), DiceLoss(), run_eagerly=True)
        model.fit(images, masks, batch_size=2, epochs=1, shuffle=False, verbose=0)
    after, after_expected = network(images).numpy(), expected(images).numpy()
    expected.set_weights(start)
    # Batches of two over maps of 1 x 2 normalize rounding noise up: what counts is that it is small beside the step.
    assert np.abs(after - after_expected).max() < 0.05 * np.abs(after - before).max()


@pytest.mark.one_generation
def test_without_keras_hub_its_presets_are_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"DeepLab of KerasHub needs keras_hub.*care_tf\[hub\]"):
        build_segmentation_network((32, 48), architecture="keras_hub/preset")


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": (32, 40)}, "multiples of 16 px for squeezenet1_1 in deeplab_v3_plus. Received \\(32, 40\\)"),
        ({"image_size": (48, 48), "backbone": "resnet18"}, "multiples of 32 px for resnet18"),
        (
            {"image_size": (32, 32), "backbone": "vgg"},
            "must be one of squeezenet1_1, resnet18, resnet50. Received 'vgg'",
        ),
        (
            {"image_size": (32, 32), "architecture": "deeplab"},
            "must be one of deeplab_v3, deeplab_v3_plus, keras_hub/<preset>. Received 'deepl",
        ),
        (
            {"image_size": (48, 40), "architecture": "deeplab_v3", "backbone": "resnet50"},
            "of 16 px for resnet50 in deeplab",
        ),
        ({"image_size": (32, 32), "encoder_weights": "nowhere.h5"}, "not a file"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        build_segmentation_network(**arguments)
