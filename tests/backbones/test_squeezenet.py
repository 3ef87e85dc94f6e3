"""SqueezeNet 1.1 against a slow NumPy network that reads the weights file itself."""

import h5py
import numpy as np
import pytest

from care_tf.backbones import build_classifier, get_backbone
from care_tf.backbones.squeezenet import squeezenet1_1
from care_tf.errors import InputError

SQUEEZE = [16, 16, 32, 32, 48, 48, 64, 64]


def file_arrays():
    """Random arrays in the layout of the published file: group -> (kernel, bias)."""
    rng = np.random.default_rng(3)

    def arrays(size, channels_in, channels_out):
        scale = np.sqrt(2 / (size * size * channels_in))
        kernel = rng.normal(0, scale, (size, size, channels_in, channels_out)).astype("float32")
        return kernel, rng.normal(0, 0.1, channels_out).astype("float32")

    content, channels = {"conv1": arrays(3, 3, 64)}, 64
    for number, squeeze in enumerate(SQUEEZE, start=2):
        content[f"fire{number}/squeeze1x1"] = arrays(1, channels, squeeze)
        content[f"fire{number}/expand1x1"] = arrays(1, squeeze, 4 * squeeze)
        content[f"fire{number}/expand3x3"] = arrays(3, squeeze, 4 * squeeze)
        channels = 8 * squeeze
    return content


def write_file(path, content):
    with h5py.File(path, "w") as file:
        for group, (kernel, bias) in content.items():
            # Biases lie one group deeper than kernels, and sort before or after them by name, as in the real file.
            file[f"{group}/uniform7"] = kernel
            file[f"{group}/{group.split('/')[0]}/{group.split('/')[-1]}_b"] = bias
    return path


@pytest.fixture(scope="module")
def content():
    return file_arrays()


@pytest.fixture(scope="module")
def weights_file(content, tmp_path_factory):
    return write_file(tmp_path_factory.mktemp("weights") / "notop.h5", content)


def convolve(x, kernel, bias, stride=1):
    """Unpadded convolution and ReLU of one image, pixel by pixel."""
    size = kernel.shape[0]
    height, width = ((side - size) // stride + 1 for side in x.shape[:2])
    out = np.zeros((height, width, kernel.shape[3]))
    for i in range(height):
        for j in range(width):
            window = x[i * stride : i * stride + size, j * stride : j * stride + size]
            out[i, j] = np.einsum("abc,abcd->d", window, kernel) + bias
    return np.maximum(out, 0)


def pool(x):
    height, width = ((side - 3) // 2 + 1 for side in x.shape[:2])
    return np.array(
        [[x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(0, 1)) for j in range(width)] for i in range(height)]
    )


def slow_squeezenet(image, content):
    x = pool(convolve(image, *content["conv1"], stride=2))
    for number in range(2, 10):
        squeezed = convolve(x, *content[f"fire{number}/squeeze1x1"])
        padded = np.pad(squeezed, ((1, 1), (1, 1), (0, 0)))
        x = np.concatenate(
            [
                convolve(squeezed, *content[f"fire{number}/expand1x1"]),
                convolve(padded, *content[f"fire{number}/expand3x3"]),
            ],
            axis=-1,
        )
        if number in (3, 5):
            x = pool(x)
    return x


def test_features_equal_the_slow_network(content, weights_file):
    images = np.random.default_rng(4).uniform(-100, 100, (2, 47, 63, 3)).astype("float32")
    features = squeezenet1_1((47, 63), weights_file)(images)
    expected = np.stack([slow_squeezenet(image, content) for image in images])
    assert features.shape == (2, 2, 3, 512)
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3 * expected.max())


@pytest.mark.one_generation
def test_parameters_and_map_sizes_are_the_published_ones():
    network = squeezenet1_1((128, 128))
    assert network.count_params() == 722_496
    assert network.output_shape == (None, 7, 7, 512)
    assert squeezenet1_1((224, 224)).output_shape == (None, 13, 13, 512)


def test_classifier_is_the_network_and_a_linear_head(content, weights_file):
    images = np.random.default_rng(5).uniform(-100, 100, (2, 40, 40, 3)).astype("float32")
    classifier = build_classifier(
        "squeezenet1_1", image_size=(40, 40), num_classes=3, weights=weights_file, activation=None
    )
    kernel, bias = classifier.layers[-1].get_weights()
    pooled = np.asarray(squeezenet1_1((40, 40), weights_file)(images)).mean(axis=(1, 2))
    np.testing.assert_allclose(classifier(images), pooled @ kernel + bias, rtol=1e-3, atol=1e-3)
    assert classifier.get_layer(get_backbone("squeezenet1_1").attention_layer).output.shape[-1] == 512


@pytest.mark.one_generation
@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_files_that_keras_wrote_load_too(suffix, tmp_path):
    saved = squeezenet1_1((40, 40))
    path = str(tmp_path / f"squeezenet{suffix}")
    saved.save(path) if suffix == ".keras" else saved.save_weights(path)
    loaded = squeezenet1_1((40, 40), path)
    for one, other in zip(loaded.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.one_generation
def test_imagenet_asks_for_a_file():
    with pytest.raises(InputError, match=r"Pass the path of a local file, an HDF5 file with groups conv1"):
        squeezenet1_1((64, 64), "imagenet")


@pytest.mark.one_generation
def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.h5', which is not a file"):
        squeezenet1_1((64, 64), tmp_path / "nowhere.h5")


@pytest.mark.one_generation
def test_corrupt_file_is_refused(tmp_path):
    path = tmp_path / "corrupt.h5"
    path.write_bytes(b"not HDF5" * 100)
    with pytest.raises(InputError, match=r"corrupt\.h5 cannot be read as HDF5"):
        squeezenet1_1((64, 64), path)


@pytest.mark.one_generation
def test_truncated_file_is_refused(weights_file, tmp_path):
    path = tmp_path / "truncated.h5"
    path.write_bytes(weights_file.read_bytes()[:500_000])
    with pytest.raises(InputError, match=r"truncated\.h5 cannot be read as HDF5"):
        squeezenet1_1((64, 64), path)


@pytest.mark.one_generation
def test_missing_group_is_named(content, tmp_path):
    rest = {group: arrays for group, arrays in content.items() if group != "fire6/expand3x3"}
    path = write_file(tmp_path / "partial.h5", rest)
    with pytest.raises(InputError, match=r"24 of 25 layers fit \(.*\); it has nothing for fire6_expand3x3"):
        squeezenet1_1((64, 64), path)


@pytest.mark.one_generation
def test_wrong_kernel_is_named(content, tmp_path):
    kernel, bias = content["fire4/squeeze1x1"]
    path = write_file(tmp_path / "other.h5", {**content, "fire4/squeeze1x1": (kernel[..., :31], bias)})
    expected = (
        r"24 of 25 layers fit \(conv1 to fire3_expand3x3, fire4_expand1x1 to fire9_expand3x3\); fire4_squeeze1x1 needs "
        r"\[\(1, 1, 128, 32\), \(32,\)\], it has \[\(1, 1, 128, 31\)"
    )
    with pytest.raises(InputError, match=expected):
        squeezenet1_1((64, 64), path)
