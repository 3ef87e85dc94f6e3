"""Models in files, and that the code a file holds never runs: by any loader of the package, in either format."""

import keras
import numpy as np
import pytest

from care_tf.backbones import build_classifier
from care_tf.boxes.segmentation import load_segmentation_model
from care_tf.errors import InputError
from care_tf.keras_file import load_keras_file

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Keras about HDF5


@pytest.fixture
def marker(tmp_path):
    """A file that only the stored code makes."""
    return tmp_path / "ran"


def with_code(marker, depth):
    """A network whose `Lambda` makes the marker, within `depth` models, and is saved with its byte code."""
    make = eval(f"lambda x: [open({str(marker)!r}, 'w').close(), x][1]")
    layer = keras.layers.Lambda(make, output_shape=(8, 8, 3))
    for _ in range(depth):
        layer = keras.Sequential([keras.Input((8, 8, 3)), layer])
    image = keras.Input((8, 8, 3))
    network = keras.Model(image, keras.layers.Conv2D(2, 1, activation="softmax")(layer(image)))
    network(np.zeros((1, 8, 8, 3), np.float32))
    assert marker.exists()  # the code would run
    marker.unlink()
    return network


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("load", [load_keras_file, load_segmentation_model])
def test_code_in_a_file_never_runs(marker, tmp_path, suffix, depth, load):
    path = tmp_path / f"model{suffix}"
    with_code(marker, depth).save(path)
    marker.unlink(missing_ok=True)
    of_keras = load is load_keras_file and suffix == ".keras"
    with pytest.raises(ValueError if of_keras else InputError, match="[Ll]ambda"):
        load(path)
    assert not marker.exists()


def test_nor_where_the_file_is_meant_as_weights(marker, tmp_path):
    with_code(marker, 0).save(tmp_path / "model.keras")
    marker.unlink(missing_ok=True)
    with pytest.raises(InputError, match="cannot be loaded|can load"):
        build_classifier("squeezenet1_1", image_size=(32, 32), num_classes=2, weights=tmp_path / "model.keras")
    assert not marker.exists()


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_other_models_come_back_as_they_were(tmp_path, suffix):
    network = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3), keras.layers.Flatten()])
    network.save(tmp_path / f"model{suffix}")
    images = np.random.default_rng(0).random((2, 4, 4, 3), np.float32)
    np.testing.assert_array_equal(load_keras_file(tmp_path / f"model{suffix}")(images), network(images))
