"""Weights of every kind of file go through the real loading code, with files written here."""

import functools
import re
import sys
import urllib.error

import h5py
import keras
import numpy as np
import pytest
from marks import one_generation

from care_tf.backbones import build_classifier, classifier_and_weights, get_backbone
from care_tf.backbones._local_weights import load_layers, load_weights
from care_tf.errors import InputError
from care_tf.keras_generation import KERAS_3, seeded_initial_weights

SIZE = (32, 32)
IMAGES = np.random.default_rng(0).uniform(-100, 100, (2, *SIZE, 3)).astype("float32")
SQUEEZENET = "squeezenet1_1"
MOBILENET = "keras.applications/MobileNet"


def network(name, weights=None, seed=0):
    with seeded_initial_weights(seed):
        return get_backbone(name).build_network(SIZE, weights)


@functools.cache
def saved_network(name):
    """The network of seed 0, for saving and looking at."""
    return network(name)


def assert_loaded(name, path, saved):
    """The file fills a network that started from another seed, which alone would give other features."""
    expected = np.asarray(saved(IMAGES, training=False))
    assert expected.std() > 0
    np.testing.assert_array_equal(network(name, path, seed=1)(IMAGES, training=False), expected)


@pytest.mark.parametrize("name", ["resnet18", *one_generation("resnet50", "vgg19", "efficientnet_lite0")])
def test_weights_saved_by_keras_load(name, tmp_path):
    saved, path = network(name), str(tmp_path / "notop.weights.h5")
    saved.save_weights(path)
    assert_loaded(name, path, saved)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_the_older_hdf5_layout_of_the_published_files_loads(tmp_path):
    saved, path = saved_network(MOBILENET), str(tmp_path / "notop.h5")
    saved.save(path) if KERAS_3 else saved.save_weights(path)
    assert_loaded(MOBILENET, path, saved)


def test_a_whole_network_loads(tmp_path):
    saved, path = saved_network(SQUEEZENET), tmp_path / "network.keras"
    saved.save(path)
    assert_loaded(SQUEEZENET, path, saved)


@pytest.mark.parametrize("nested", [True, *one_generation(False)])
def test_a_whole_classifier_gives_its_network(nested, tmp_path):
    saved, path = saved_network(SQUEEZENET), tmp_path / "classifier.keras"
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(9)]
    if nested:
        classifier = keras.Sequential([keras.Input((*SIZE, 3)), saved, *layers])
    else:
        classifier = keras.Model(saved.input, layers[1](layers[0](saved.output)))
    classifier.save(path)
    assert_loaded(SQUEEZENET, path, saved)


@pytest.mark.one_generation
def test_the_head_is_not_taken_from_the_file(tmp_path):
    first = build_classifier(SQUEEZENET, image_size=SIZE, num_classes=3, seed=0)
    path = tmp_path / "first.keras"
    first.save(path)
    second = build_classifier(SQUEEZENET, image_size=SIZE, num_classes=5, weights=path, seed=1)
    for one, other in zip(second.get_weights()[:-2], first.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert second.output_shape == (None, 5)


@pytest.mark.one_generation
@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_another_network_is_refused(suffix, tmp_path):
    path = str(tmp_path / f"other{suffix}")
    other = saved_network(MOBILENET)
    other.save(path) if suffix == ".keras" else other.save_weights(path)
    with pytest.raises(InputError, match=rf"other{suffix} does not fit squeezenet.*: "):
        network(SQUEEZENET, path)


def test_a_saved_model_that_is_too_short_names_the_layer(tmp_path):
    path = tmp_path / "short.keras"
    keras.Sequential([keras.Input((*SIZE, 3)), keras.layers.Conv2D(64, 3, name="only")]).save(path)
    with pytest.raises(InputError, match=r"1 of 25 layers fit \(conv1\); it has nothing for fire2_squ.* to fire9_exp"):
        network(SQUEEZENET, path)


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("file_name", "message"),
    [
        ("bad.keras", r"bad\.keras is not a model that Keras can load"),
        ("bad.h5", r"bad\.h5 does not fit small_cnn"),
        ("bad.weights.h5", r"bad\.weights\.h5 does not fit small_cnn"),
        ("bad.pth", r"must end in \.h5, \.weights\.h5 or \.keras"),
    ],
)
def test_a_corrupt_file_is_refused(file_name, message, tmp_path):
    path = tmp_path / file_name
    path.write_bytes(b"not a weights file" * 50)
    with pytest.raises(InputError, match=message):
        network("small_cnn", path)


@pytest.mark.one_generation
@pytest.mark.parametrize("weights", ["Imagenet", "weights/resnet50.h5", "."])
def test_what_is_no_file_is_refused(weights):
    with pytest.raises(InputError, match="weights must be None"):
        network(MOBILENET, weights)


@pytest.mark.parametrize("name", [*one_generation("vgg19"), MOBILENET])
def test_a_failed_download_says_how_to_pass_a_file(name, monkeypatch, tmp_path):
    asked = []

    def no_network(url, *_, **__):
        asked.append(url)
        raise urllib.error.URLError("no network")

    module = "file_utils" if KERAS_3 else "data_utils"
    monkeypatch.setattr(f"keras.src.utils.{module}.urlretrieve", no_network)
    monkeypatch.setenv("HOME", str(tmp_path))  # An empty cache, wherever this generation of Keras keeps it.
    if KERAS_3:
        monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    message = r"could not be downloaded \(.*https://[^ ]*h5.*no network.*file that Keras names in this error"
    with pytest.raises(InputError, match=message):
        get_backbone(name).build_network((224, 224), "imagenet")
    assert len(asked) == 1 and "storage.googleapis.com/tensorflow" in asked[0]


@pytest.mark.one_generation
def test_resnet18_has_imagenet_weights_where_keras_hub_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(InputError, match=r"KerasHub needs keras_hub.*pip install 'care_tf\[hub\]'"):
        network("resnet18", "imagenet")


def published_file(path, layers):
    """The layout of Keras' published files; an array is (shape, value), which takes no space in the file."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, arrays in layers.items():
            group = file.create_group(name)
            keys = [f"{name}/{number}" for number in range(len(arrays))]
            group.attrs["weight_names"] = [key.encode() for key in keys]
            for key, (shape, value) in zip(keys, arrays, strict=True):
                group.create_dataset(key, shape, "float32", fillvalue=value)
    return str(path)


def constants(model, skip=(), **replaced):
    """Arrays for `published_file`: layer number k holds the value k."""
    layers = [layer for layer in model.layers if layer.name not in skip]
    shapes = {layer.name: [tuple(weight.shape) for weight in layer.weights] for layer in layers} | replaced
    return {name: [(shape, number) for shape in each] for number, (name, each) in enumerate(shapes.items())}


def small_vgg(with_top):
    layers = [
        keras.layers.Conv2D(4, 3, name="block1_conv1"),
        keras.layers.BatchNormalization(name="block1_norm"),
        keras.layers.Conv2D(6, 3, name="block2_conv1"),
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(8, name="fc1"),
        keras.layers.Dense(8, name="fc2"),
        keras.layers.Dense(5, name="predictions"),
    ]
    return keras.Sequential([keras.Input((8, 8, 3)), *layers[: None if with_top else 3]], name="small_vgg")


def values(model):
    return {layer.name: [float(weight[..., 0].mean()) for weight in layer.get_weights()] for layer in model.layers}


def test_a_published_file_with_its_top_fills_the_network_before_it(tmp_path):
    path, small = published_file(tmp_path / "with_top.h5", constants(small_vgg(with_top=True))), small_vgg(False)
    load_weights(small, path)
    assert values(small) == {"block1_conv1": [0, 0], "block1_norm": [1] * 4, "block2_conv1": [2, 2]}


@pytest.mark.one_generation
def test_layers_of_other_names_load_in_order_and_layers_in_another_order_by_name(tmp_path):
    arrays = constants(small_vgg(with_top=False))
    renamed = published_file(tmp_path / "renamed.h5", {f"old_{name}": each for name, each in arrays.items()})
    turned = published_file(tmp_path / "turned.h5", dict(reversed(arrays.items())))
    for path in (renamed, turned):
        small = small_vgg(with_top=False)
        load_weights(small, path)
        assert values(small) == {"block1_conv1": [0, 0], "block1_norm": [1] * 4, "block2_conv1": [2, 2]}


def normalizing(mean=None):
    """A network that begins with a Normalization, adapted where a mean is given."""
    normalization = keras.layers.Normalization(name="normalization")
    small = keras.Sequential([keras.Input((8, 8, 3)), normalization, keras.layers.Conv2D(4, 3, name="conv")])
    if mean is not None:
        normalization.adapt(mean + 5 * IMAGES[:, :8, :8])
    return small


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".keras"])
def test_the_statistics_of_a_normalization_are_computed_with(suffix, tmp_path):
    saved, path = normalizing(mean=40), str(tmp_path / f"adapted{suffix}")
    if suffix == ".h5":
        values = {layer.name: layer.get_weights() for layer in saved.layers if layer.weights}
        published_file(path, {name: [(each.shape, 0) for each in arrays] for name, arrays in values.items()})
        with h5py.File(path, "r+") as file:
            for name, arrays in values.items():
                for number, each in enumerate(arrays):
                    file[name][f"{name}/{number}"][...] = each
    else:
        saved.save(path) if suffix == ".keras" else saved.save_weights(path)
    loaded = normalizing()
    load_weights(loaded, path)
    images = IMAGES[:, :8, :8]
    np.testing.assert_array_equal(loaded(images), saved(images))


@pytest.mark.one_generation
def test_names_decide_where_order_would_fit_as_well(tmp_path):
    def two_heads(*names):
        image = keras.Input((8, 8, 3))
        both = [keras.layers.Conv2D(4, 3, name=name)(image) for name in names]
        return keras.Model(image, keras.layers.Add()(both))

    path, network = published_file(tmp_path / "turned.h5", constants(two_heads("b", "a"))), two_heads("a", "b")
    load_weights(network, path)
    file_value = {name: number for number, name in enumerate(constants(two_heads("b", "a")))}
    assert values(network)["a"] == [file_value["a"]] * 2 and values(network)["b"] == [file_value["b"]] * 2


@pytest.mark.parametrize("names", [["fc1", "fc2"], ["fc1"]])
def test_chosen_layers_load_where_the_file_has_them(names, tmp_path):
    path, large = published_file(tmp_path / "with_top.h5", constants(small_vgg(with_top=True))), small_vgg(True)
    before = values(large)
    assert load_layers(large, path, names)
    expected = before | {"fc1": [4, 4], "fc2": [5, 5] if "fc2" in names else before["fc2"]}
    assert values(large) == expected


@pytest.mark.one_generation
@pytest.mark.parametrize("change", [{"skip": ("fc1", "fc2", "predictions")}, {"fc1": [(99, 8), (8,)]}])
def test_chosen_layers_stay_where_the_file_lacks_one(change, tmp_path):
    large = small_vgg(with_top=True)
    path, before = published_file(tmp_path / "file.h5", constants(large, **change)), values(large)
    assert not load_layers(large, path, ("fc1", "fc2"))
    assert values(large) == before


@pytest.mark.one_generation
def test_a_misfit_names_what_fits_and_what_does_not_with_both_shapes(tmp_path):
    change = {"skip": ("predictions", "fc2"), "block1_norm": [(4,)] * 2}
    path = published_file(tmp_path / "file.h5", constants(small_vgg(with_top=True), **change))
    message = (
        "small_vgg: 3 of 6 layers fit (block1_conv1, block2_conv1 to fc1); block1_norm needs [(4,), (4,), (4,), "
        "(4,)], it has [(4,), (4,)] (block1_norm); it has nothing for fc2 to predictions. It must"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        load_weights(small_vgg(with_top=True), path)


@pytest.mark.parametrize(
    ("suffix", "reason"),
    [
        (
            ".weights.h5",
            "block2_conv1 needs [(3, 3, 4, 6), (6,)], it has [(3, 3, 4, 7), (7,)] (conv2d_1); it has nothing "
            "for block1_norm",
        ),
        (
            ".keras",
            "block1_norm needs [(4,), (4,), (4,), (4,)], it has [(3, 3, 4, 7), (7,)] (b); it has nothing for "
            "block2_conv1",
        ),
    ],
)
def test_a_misfit_of_keras_newer_formats_is_told_by_layer_too(suffix, reason, tmp_path):
    images = keras.Input((8, 8, 3))
    other = keras.Model(images, keras.layers.Conv2D(7, 3, name="b")(keras.layers.Conv2D(4, 3, name="a")(images)))
    path = str(tmp_path / f"other{suffix}")
    other.save(path) if suffix == ".keras" else other.save_weights(path)
    with pytest.raises(InputError, match=re.escape(f"small_vgg: 1 of 3 layers fit (block1_conv1); {reason}. It must")):
        load_weights(small_vgg(with_top=False), path)


def published_vgg19(path, fc1_inputs):
    """A file with the top, whose layer number k holds the value k."""
    blocks = {1: (64, 64), 2: (128, 128), 3: (256,) * 4, 4: (512,) * 4, 5: (512,) * 4}
    layers, inputs = {}, 3
    for block, channels in blocks.items():
        for number, outputs in enumerate(channels, start=1):
            layers[f"block{block}_conv{number}"] = [(3, 3, inputs, outputs), (outputs,)]
            inputs = outputs
    for name, inputs, outputs in (("fc1", fc1_inputs, 4096), ("fc2", 4096, 4096), ("predictions", 4096, 1000)):
        layers[name] = [(inputs, outputs), (outputs,)]
    constant = {name: [(shape, number) for shape in each] for number, (name, each) in enumerate(layers.items())}
    return published_file(path, constant)


@pytest.mark.one_generation
@pytest.mark.parametrize(("fc1_inputs", "fills_head"), [(512, True), (25088, False)])
def test_vgg19_starts_from_the_two_wide_layers_of_a_file_for_its_image_size(fc1_inputs, fills_head, tmp_path):
    path = published_vgg19(tmp_path / "vgg19.h5", fc1_inputs)
    classifier, weights = classifier_and_weights(
        "vgg19", image_size=SIZE, num_classes=3, weights=path, dropout=0, activation="softmax", seed=0
    )
    kernels = {layer.name: layer.get_weights()[0] for layer in classifier.layers if layer.weights}
    assert np.all(kernels["block1_conv1"] == 0) and np.all(kernels["block5_conv4"] == 15)
    for number, name in enumerate(("fc1", "fc2"), start=16):
        assert np.all(kernels[name] == number) if fills_head else 0 < kernels[name].std() < 1
    loaded, random = ("fc2", "predictions") if fills_head else ("block5_conv4", "fc1 to predictions")
    assert str(weights) == f"Initial weights: {path} for block1_conv1 to {loaded}; random: {random}."


@pytest.mark.one_generation
def test_random_weights_are_called_so():
    arguments = {"num_classes": 3, "weights": None, "dropout": 0, "activation": "softmax", "seed": 0}
    _, weights = classifier_and_weights(SQUEEZENET, image_size=SIZE, **arguments)
    assert str(weights) == "Initial weights: random."
