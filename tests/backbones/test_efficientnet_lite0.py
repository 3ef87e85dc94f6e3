"""EfficientNet-Lite0 and the conversion of its weights against a slow NumPy network that reads PyTorch's arrays."""

import hashlib
import importlib.machinery
import sys
import types

import h5py
import numpy as np
import pytest

from care_tf.backbones import build_classifier, get_backbone
from care_tf.backbones._efficientnet_lite0 import efficientnet_lite0
from care_tf.backbones.lite0_weights import convert_lite0_weights, network_of
from care_tf.errors import InputError
from care_tf.model.observed_classifier import ObservedClassifier
from care_tf.network.freezing import Freezer

# kernel, stride, expansion, channels in and out of the sixteen blocks, as the authors' release lists them
BLOCKS = [
    *[(3, 1, 1, 32, 16)],
    *[(3, 2, 6, 16, 24), (3, 1, 6, 24, 24)],
    *[(5, 2, 6, 24, 40), (5, 1, 6, 40, 40)],
    *[(3, 2, 6, 40, 80), (3, 1, 6, 80, 80), (3, 1, 6, 80, 80)],
    *[(5, 1, 6, 80, 112), (5, 1, 6, 112, 112), (5, 1, 6, 112, 112)],
    *[(5, 2, 6, 112, 192), (5, 1, 6, 192, 192), (5, 1, 6, 192, 192), (5, 1, 6, 192, 192)],
    *[(3, 1, 6, 192, 320)],
]
SMALL = (33, 50)  # kernels of 3 and of 5 under a stride of 2 meet odd and even sides


def torch_arrays():
    """Random arrays by the names and in the shapes of the published PyTorch file, its top included."""
    rng = np.random.default_rng(3)
    arrays = {}

    def convolution(name, channels_out, channels_in, size):
        scale = np.sqrt(2 / (size * size * channels_in))
        arrays[f"{name}.weight"] = rng.normal(0, scale, (channels_out, channels_in, size, size)).astype("float32")

    def norm(name, channels, largest=1):  # more in all of them would make a network that multiplies rounding errors
        values = {"weight": rng.uniform(0.5, largest, channels), "bias": rng.normal(0, 0.2, channels)}
        values |= {"running_mean": rng.normal(0, 0.1, channels), "running_var": rng.uniform(0.5, 1.5, channels)}
        arrays.update({f"{name}.{part}": value.astype("float32") for part, value in values.items()})
        arrays[f"{name}.num_batches_tracked"] = np.float32(7)

    convolution("_conv_stem", 32, 3, 3)
    norm("_bn0", 32, largest=4)
    for number, (kernel, _, expansion, channels_in, channels_out) in enumerate(BLOCKS):
        block, inner = f"_blocks.{number}", expansion * channels_in
        if expansion > 1:
            convolution(f"{block}._expand_conv", inner, channels_in, 1)
            norm(f"{block}._bn0", inner)
        convolution(f"{block}._depthwise_conv", inner, 1, kernel)
        norm(f"{block}._bn1", inner)
        convolution(f"{block}._project_conv", channels_out, inner, 1)
        norm(f"{block}._bn2", channels_out)
    convolution("_conv_head", 1280, 320, 1)
    norm("_bn1", 1280, largest=4)
    return arrays | {"_fc.weight": np.zeros((1000, 1280), "float32"), "_fc.bias": np.zeros(1000, "float32")}


@pytest.fixture(scope="module")
def arrays():
    return torch_arrays()


def convolved(x, weight, stride=1):
    """(C,H,W) -> (D,ceil(H/stride),ceil(W/stride)), zeros around it, the odd one below and on the right."""
    size, sides = weight.shape[-1], [-(-side // stride) for side in x.shape[1:]]
    missing = [max((out - 1) * stride + size - side, 0) for out, side in zip(sides, x.shape[1:], strict=True)]
    x = np.pad(x, [(0, 0)] + [(total // 2, total - total // 2) for total in missing])
    depthwise = weight.shape[1] == 1
    y = 0
    for row in range(size):
        for column in range(size):
            seen = x[:, row : row + stride * sides[0] : stride, column : column + stride * sides[1] : stride]
            seen = seen[:, : sides[0], : sides[1]]
            kernel = weight[:, :, row, column]
            y = y + (kernel[:, :1, None] * seen if depthwise else np.tensordot(kernel, seen, 1))
    return y


def slow_features(image, arrays):
    """The map of one (H,W,3) image, (h,w,1280)."""

    def normalized(x, name):
        gamma, beta, mean, variance = (
            arrays[f"{name}.{part}"][:, None, None].astype("float64")
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return gamma * (x - mean) / np.sqrt(variance + 0.001) + beta

    def relu6(x):
        return np.clip(x, 0, 6)

    x = image.transpose(2, 0, 1).astype("float64")
    x = relu6(normalized(convolved(x, arrays["_conv_stem.weight"], 2), "_bn0"))
    for number, (_, stride, expansion, channels_in, channels_out) in enumerate(BLOCKS):
        block, y = f"_blocks.{number}", x
        if expansion > 1:
            y = relu6(normalized(convolved(y, arrays[f"{block}._expand_conv.weight"]), f"{block}._bn0"))
        y = relu6(normalized(convolved(y, arrays[f"{block}._depthwise_conv.weight"], stride), f"{block}._bn1"))
        y = normalized(convolved(y, arrays[f"{block}._project_conv.weight"]), f"{block}._bn2")
        x = x + y if stride == 1 and channels_in == channels_out else y
    x = relu6(normalized(convolved(x, arrays["_conv_head.weight"]), "_bn1"))
    return x.transpose(1, 2, 0)


def test_features_equal_the_slow_network(arrays, tmp_path, torch_file):
    converted = tmp_path / "converted.h5"
    convert_lite0_weights(torch_file, converted)
    image = np.random.default_rng(4).uniform(-1, 1, (*SMALL, 3)).astype("float32")
    features = efficientnet_lite0(SMALL, converted)(image[None], training=False)
    expected = slow_features(image, arrays)
    assert features.shape == (1, 2, 2, 1280) and (expected == 6).any()
    np.testing.assert_allclose(features[0], expected, atol=1e-4)


def test_parameters_are_the_published_ones(arrays):
    network = efficientnet_lite0((224, 224))
    trained = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    assert trained + 1000 * (1280 + 1) == 4_652_008
    assert network.output_shape == (None, 7, 7, 1280)
    in_file = sum(each.size for name, each in arrays.items() if "num_batches" not in name)
    assert network.count_params() == in_file - 1000 * (1280 + 1) == 3_413_024


def test_attention_is_taken_from_the_last_activation_and_all_but_the_last_block_can_be_frozen():
    classifier = build_classifier("efficientnet_lite0", image_size=(64, 64), num_classes=3)
    backbone = get_backbone("efficientnet_lite0")
    anatomy = ObservedClassifier(classifier, "auto").study((None, 64, 64, 3), "float32", True)
    assert anatomy.attention_path == backbone.attention_layer == "top_activation"
    Freezer(classifier).freeze_through(backbone.penultimate_block)
    trained = {layer.name.split("_")[0] for layer in classifier.layers if layer.weights and layer.trainable}
    assert trained == {"block7a", "top", "predictions"}


# --- the conversion ---


class Tensor:
    """As much of PyTorch's as the conversion uses."""

    def __init__(self, array):
        self.array = array

    def float(self):
        return Tensor(np.asarray(self.array, "float32"))

    def numpy(self):
        return self.array


def load(file, *, map_location, weights_only):
    assert weights_only and map_location == "cpu"
    with np.load(file, allow_pickle=False) as stored:
        return {name: Tensor(stored[name]) for name in stored.files}


@pytest.fixture
def torch_file(arrays, tmp_path, monkeypatch):
    """A file of the published arrays, and a PyTorch that reads it."""
    torch = types.ModuleType("torch")
    torch.__spec__, torch.load = importlib.machinery.ModuleSpec("torch", None), load
    monkeypatch.setitem(sys.modules, "torch", torch)
    path = tmp_path / "lite0.pth"
    with path.open("wb") as file:
        np.savez(file, **arrays)
    return path


@pytest.mark.filterwarnings("ignore:.*")
def test_keras_alone_loads_the_file_which_says_what_it_was_made_of(arrays, torch_file, tmp_path):
    path = tmp_path / "new" / "converted.h5"
    said = convert_lite0_weights(torch_file, path)
    with h5py.File(path) as converted:
        assert said == f"{converted.attrs['source']}: 3,413,024 parameters without the top"
    assert said.startswith(f"lite0.pth, sha256 {hashlib.sha256(torch_file.read_bytes()).hexdigest()}: ")
    network = efficientnet_lite0((32, 32))
    network.load_weights(path)
    np.testing.assert_array_equal(network.get_layer("top_bn").get_weights()[3], arrays["_bn1.running_var"])
    (kernel,) = network.get_layer("block3a_depthwise_conv").get_weights()
    np.testing.assert_array_equal(kernel[1, 4, 7, 0], arrays["_blocks.3._depthwise_conv.weight"][7, 0, 1, 4])


@pytest.mark.one_generation
def test_arrays_that_do_not_fit_are_named(arrays):
    zeros = {"_conv_head.weight": (1280, 320), "_blocks.3._depthwise_conv.weight": (144, 1, 3, 3)}
    changed = arrays | {name: np.zeros(shape, "float32") for name, shape in zeros.items()}
    del changed["_bn1.running_var"], changed["_conv_stem.weight"]
    with pytest.raises(InputError) as refused:
        network_of(changed, "lite0.pth")
    for said in (
        "lite0.pth does not fit: 94 of 98 layers fit (stem_bn to block3a_expand_bn, block3a_depthwise_bn to ",
        "block3a_depthwise_conv needs [(5, 5, 144, 1)], it has [(3, 3, 144, 1)] (_blocks.3._depthwise_conv)",
        "top_conv needs [(1, 1, 320, 1280)], it has [(1280, 320)] (_conv_head)",
        "top_bn needs [(1280,), (1280,), (1280,), (1280,)], it has [(1280,), (1280,), (1280,)] (_bn1)",
        "it has nothing for stem_conv. It must be what the PyPI package",
    ):
        assert said in str(refused.value)


@pytest.mark.one_generation
def test_arrays_of_a_larger_network_are_refused(arrays):
    larger = arrays | {"_blocks.3._se_reduce.weight": np.zeros((6, 144, 1, 1), "float32")}
    with pytest.raises(InputError, match=r"no place for _blocks\.3\._se_reduce\.weight\. It must be"):
        network_of(larger, "lite0.pth")


@pytest.mark.one_generation
def test_a_file_that_pytorch_cannot_read_is_refused(torch_file, tmp_path):
    torch_file.write_bytes(b"no arrays")
    with pytest.raises(InputError, match=r"lite0\.pth cannot be read as a PyTorch file of arrays alone: .*the PyPI"):
        convert_lite0_weights(torch_file, tmp_path / "converted.h5")
    with pytest.raises(InputError, match=r"There is no file .*nowhere\.pth\."):
        convert_lite0_weights(tmp_path / "nowhere.pth", tmp_path / "converted.h5")
    assert not (tmp_path / "converted.h5").exists()


@pytest.mark.one_generation
def test_imagenet_names_the_command_that_writes_the_file():
    with pytest.raises(InputError, match="there is none for efficientnet_lite0. Run care prepare weights"):
        efficientnet_lite0((64, 64), "imagenet")
