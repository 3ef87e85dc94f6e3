"""Weights of every kind of file go through the real loading code, with files written here."""

import urllib.error

import keras
import numpy as np
import pytest

from care_tf.backbones import build_classifier, get_backbone
from care_tf.errors import InputError
from care_tf.keras_generation import KERAS_3, seeded_initial_weights

SIZE = (32, 32)
IMAGES = np.random.default_rng(0).uniform(-100, 100, (2, *SIZE, 3)).astype("float32")
SQUEEZENET = "squeezenet1_1"
MOBILENET = "keras.applications/MobileNet"


def network(name, weights=None, seed=0):
    with seeded_initial_weights(seed):
        return get_backbone(name).build_network(SIZE, weights)


def assert_loaded(name, path, saved):
    """The file fills a network that started from another seed, which alone would give other features."""
    expected = np.asarray(saved(IMAGES, training=False))
    assert expected.std() > 0
    np.testing.assert_array_equal(network(name, path, seed=1)(IMAGES, training=False), expected)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "vgg19"])
def test_weights_saved_by_keras_load(name, tmp_path):
    saved, path = network(name), str(tmp_path / "notop.weights.h5")
    saved.save_weights(path)
    assert_loaded(name, path, saved)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_the_older_hdf5_layout_of_the_published_files_loads(tmp_path):
    saved, path = network(MOBILENET), str(tmp_path / "notop.h5")
    saved.save(path) if KERAS_3 else saved.save_weights(path)
    assert_loaded(MOBILENET, path, saved)


def test_a_whole_network_loads(tmp_path):
    saved, path = network(SQUEEZENET), tmp_path / "network.keras"
    saved.save(path)
    assert_loaded(SQUEEZENET, path, saved)


@pytest.mark.parametrize("nested", [False, True])
def test_a_whole_classifier_gives_its_network(nested, tmp_path):
    saved, path = network(SQUEEZENET), tmp_path / "classifier.keras"
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(9)]
    if nested:
        classifier = keras.Sequential([keras.Input((*SIZE, 3)), saved, *layers])
    else:
        classifier = keras.Model(saved.input, layers[1](layers[0](saved.output)))
    classifier.save(path)
    assert_loaded(SQUEEZENET, path, saved)


def test_the_head_is_not_taken_from_the_file(tmp_path):
    first = build_classifier(SQUEEZENET, image_size=SIZE, num_classes=3, seed=0)
    path = tmp_path / "first.keras"
    first.save(path)
    second = build_classifier(SQUEEZENET, image_size=SIZE, num_classes=5, weights=path, seed=1)
    for one, other in zip(second.get_weights()[:-2], first.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert second.output_shape == (None, 5)


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_another_network_is_refused(suffix, tmp_path):
    path = str(tmp_path / f"other{suffix}")
    other = network(SQUEEZENET)
    other.save(path) if suffix == ".keras" else other.save_weights(path)
    with pytest.raises(InputError, match=rf"other{suffix} does not fit mobilenet.*: "):
        network(MOBILENET, path)


def test_a_saved_model_that_is_too_short_names_the_layer(tmp_path):
    path = tmp_path / "short.keras"
    keras.Sequential([keras.Input((*SIZE, 3)), keras.layers.Conv2D(64, 3, name="only")]).save(path)
    with pytest.raises(InputError, match=r"layer fire2_squeeze1x1 needs shapes .* has no further layer"):
        network(SQUEEZENET, path)


@pytest.mark.parametrize(
    ("file_name", "message"),
    [
        ("bad.keras", r"bad\.keras is not a model that Keras can load"),
        ("bad.h5", r"bad\.h5 does not fit mobilenet"),
        ("bad.weights.h5", r"bad\.weights\.h5 does not fit mobilenet"),
        ("bad.pth", r"must end in \.h5, \.weights\.h5 or \.keras"),
    ],
)
def test_a_corrupt_file_is_refused(file_name, message, tmp_path):
    path = tmp_path / file_name
    path.write_bytes(b"not a weights file" * 50)
    with pytest.raises(InputError, match=message):
        network(MOBILENET, path)


@pytest.mark.parametrize("weights", ["Imagenet", "weights/resnet50.h5", "."])
def test_what_is_no_file_is_refused(weights):
    with pytest.raises(InputError, match="weights must be None"):
        network(MOBILENET, weights)


@pytest.mark.parametrize("name", ["vgg19", MOBILENET])
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
    with pytest.raises(InputError, match=r"could not be downloaded \(.*no network.*pass its path as weights"):
        get_backbone(name).build_network((224, 224), "imagenet")
    assert len(asked) == 1 and "storage.googleapis.com/tensorflow" in asked[0]


def test_resnet18_has_no_imagenet_weights():
    with pytest.raises(InputError, match="no ImageNet weights for resnet18. Pass the path"):
        network("resnet18", "imagenet")
