"""Models in files, and that the code a file holds or names never runs: by any loader of the package, in any format."""

import io
import json
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest

import care_tf
from care_tf.backbones import build_classifier
from care_tf.boxes.segmentation import load_segmentation_model
from care_tf.errors import InputError
from care_tf.model_file import load_network, refuse_code

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Keras about HDF5


@keras.saving.register_keras_serializable("test_model_file")
class Registered(keras.layers.Layer):
    def call(self, inputs):
        return inputs + 1.0


class Imported(keras.layers.Layer):
    def call(self, inputs):
        return inputs + 2.0


def weights_of_classifier(path):
    build_classifier("squeezenet1_1", image_size=(32, 32), num_classes=2, weights=path)


LOADERS = [load_network, load_segmentation_model, care_tf.load_model, weights_of_classifier]


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
    return network


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("depth", [0, 2])
def test_code_in_a_file_never_runs(marker, tmp_path, suffix, depth):
    path = tmp_path / f"model{suffix}"
    with_code(marker, depth).save(path)
    for load in LOADERS:
        if suffix == ".h5" and load is weights_of_classifier:
            continue  # it reads arrays, and no network
        marker.unlink(missing_ok=True)
        with pytest.raises(
            InputError, match=r"model\..* must hold a network of known layers.* Received a Lambda layer"
        ):
            load(path)
        assert not marker.exists()


def test_nor_in_hdf5_under_another_name(marker, tmp_path):
    with_code(marker, 0).save(tmp_path / "model.h5")
    (tmp_path / "model.h5").rename(tmp_path / "model.keras")
    marker.unlink(missing_ok=True)
    for load in LOADERS:
        with pytest.raises(InputError, match="a Lambda layer"):
            load(tmp_path / "model.keras")
    assert not marker.exists()


def edited(path, change, **members):
    """The `.keras` file anew, with its configuration changed and further members."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    held["config.json"] = json.dumps(change(json.loads(held["config.json"]))).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**held, **members}.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def plain(tmp_path):
    network = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3, activation="relu"), Registered()])
    network.save(tmp_path / "plain.keras")
    return tmp_path / "plain.keras"


def with_layer(node):
    """Replaces the last layer's description."""

    def change(config):
        config["config"]["layers"][-1] = node
        return config

    return change


class _Unpickled:
    def __init__(self, marker):
        self._marker = str(marker)

    def __reduce__(self):
        return open, (self._marker, "w")


def test_weights_are_never_unpickled(plain, marker):
    pickled = io.BytesIO()
    np.savez(pickled, kernel=np.array([_Unpickled(marker)], dtype=object))
    np.load(io.BytesIO(pickled.getvalue()), allow_pickle=True)["kernel"]
    assert marker.exists()  # the code would run
    marker.unlink()
    path = edited(plain, lambda config: config, **{"model.weights.npz": pickled.getvalue()})
    for load in LOADERS:
        with pytest.raises(InputError, match="must keep its weights as HDF5. Received 'model.weights.npz'"):
            load(path)
    assert not marker.exists()


def layer_named(module, class_name, **config):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": class_name}


def function_named(module, name):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


@pytest.mark.parametrize(
    ("node", "found"),
    [
        (layer_named("module_of_a_stranger", "Pool"), "module_of_a_stranger.Pool', which is neither"),
        (layer_named("os", "system"), "os.system"),
        (layer_named("tensorflow", "Module"), "tensorflow.Module"),
        (layer_named("keras.utils", "get_file", origin="x"), "keras.utils.get_file"),
        (layer_named("keras.nowhere", "Dense"), "keras.nowhere.Dense"),
        (layer_named("keras.layers", "Lambda"), "a Lambda layer"),
        (layer_named(None, "keras>Lambda"), "a Lambda layer"),
        (layer_named("keras.layers", "TFSMLayer", filepath="/x"), "a TFSMLayer layer"),
        (layer_named("keras.layers", "Activation", activation={"class_name": "__lambda__", "config": {}}), "a lambda"),
        *(
            (
                layer_named(
                    "keras.layers", "Activation", activation={**layer_named(module, "function"), "config": name}
                ),
                name,
            )
            for module, name in [
                ("os", "system"),
                ("builtins", "eval"),
                ("keras.utils", "get_file"),
                ("keras.activations", "deserialize"),
                ("keras.config", "enable_unsafe_deserialization"),
            ]
        ),
        (layer_named("keras.layers", "TFOpLambda", function="io.write_file"), "TensorFlow's io.write_file"),
        (layer_named("keras.layers", "TFOpLambda", function="compat.v1.py_func"), "TensorFlow's compat.v1.py_func"),
        (layer_named(None, "SlicingOpLambda", function="io.gfile.makedirs"), "TensorFlow's io.gfile.makedirs"),
        (layer_named(None, "TensorFlowOpLayer", node_def="x"), "a TensorFlowOpLayer layer"),
        ({**layer_named("keras.layers", "Dense"), "registered_name": ["x"]}, "named by str and list"),
        (layer_named("keras.layers", "Activation", activation=function_named("os", {})), "named by dict"),
        (layer_named("keras.layers", "ClassMethod", cls_ref="io.TFRecordWriter"), "a ClassMethod layer"),
        ({"class_name": "__typespec__", "spec_name": "remove", "module": "os", "config": []}, "os.remove"),
    ],
)
def test_what_runs_code_is_refused_before_keras_reads_it(plain, tmp_path, node, found, monkeypatch):
    (tmp_path / "module_of_a_stranger.py").write_text("raise SystemExit('it ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=f"Received .*{found}"):
        refuse_code(edited(plain, with_layer(node)))
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": [node]}})
    with pytest.raises(InputError, match=f"Received .*{found}"):
        refuse_code(tmp_path / "model.h5")
    assert "module_of_a_stranger" not in sys.modules


@pytest.mark.parametrize("class_name", ["StringLookup", "IntegerLookup", "TextVectorization"])
@pytest.mark.parametrize("module", ["keras.layers", None])
def test_a_vocabulary_is_a_list_and_no_file(plain, tmp_path, class_name, module):
    secret = tmp_path / "secret.txt"
    secret.write_text("1\n2\n")
    words = [1, 2] if class_name == "IntegerLookup" else ["1", "2"]
    inner = layer_named(module, class_name, name="words", vocabulary=str(secret))
    wrapped = layer_named("keras.layers", "TimeDistributed", layer=inner)
    for node in (inner, wrapped):
        path = edited(plain, with_layer(node))
        with pytest.raises(InputError, match=f"reads no other file. Received the vocabulary '.*' of '{class_name}'"):
            load_network(path)
        with h5py.File(tmp_path / "model.h5", "w") as file:
            file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": [node]}})
        with pytest.raises(InputError, match="Received the vocabulary"):
            load_network(tmp_path / "model.h5")
    refuse_code(edited(plain, with_layer(layer_named(module, class_name, vocabulary=words))))


def test_code_is_looked_for_in_the_loss_only_where_it_is_made(plain):
    path = edited(plain, lambda config: {**config, "compile_config": {"loss": function_named("os", "system")}})
    load_network(path)
    with pytest.raises(InputError, match=r"Received 'os\.system'"):
        refuse_code(path, compiled=True)
    with pytest.raises(InputError, match=r"Received 'os\.system'"):
        care_tf.load_model(path)


@keras.saving.register_keras_serializable("test_model_file")
def own_loss(y_true, y_pred):
    return keras.losses.binary_crossentropy(y_true, y_pred)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_registered_loss_and_tensorflows_initializers_are_welcome(tmp_path, suffix):
    import tensorflow as tf

    initializer = "zeros" if keras.__version__.startswith("3.") else tf.zeros_initializer()
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, bias_initializer=initializer)])
    network.compile("sgd", own_loss)
    network.save(tmp_path / f"own{suffix}")
    refuse_code(tmp_path / f"own{suffix}", compiled=True)
    load_network(tmp_path / f"own{suffix}")


def test_a_folder_or_a_damaged_file_is_refused(plain, tmp_path):
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(InputError, match="must be a file. Received a folder"):
        care_tf.load_model(tmp_path / "folder.keras")
    with zipfile.ZipFile(plain) as archive:
        start = archive.getinfo("config.json").header_offset
    content = bytearray(plain.read_bytes())
    content[start + 26 : start + 60] = bytes(34)
    (tmp_path / "damaged.keras").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        care_tf.load_model(tmp_path / "damaged.keras")


def test_a_layer_of_ones_own_is_welcome(plain, tmp_path):
    """Registered, by a name given beside the file, or of a module that is imported."""
    network = keras.Sequential([keras.Input((4, 4, 3)), Imported()])
    network.save(tmp_path / "own.keras")
    refuse_code(tmp_path / "own.keras")
    own = care_tf.load_model(tmp_path / "own.keras", custom_objects={"Imported": Imported})
    assert float(own(np.zeros((1, 4, 4, 3), np.float32))[0, 0, 0, 0]) == 2
    named = edited(plain, with_layer(layer_named("not_here", "Named")))
    refuse_code(named, custom_objects={"Named": Imported})
    with pytest.raises(InputError, match=r"not_here\.Named"):
        refuse_code(named)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "\x00"])
def test_a_description_that_is_none_is_refused(tmp_path, text):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", text)
    with pytest.raises(InputError, match="does not describe its network"):
        refuse_code(tmp_path / "model.keras")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_other_models_come_back_as_they_were(tmp_path, suffix):
    relu = keras.layers.Conv2D(2, 3, activation="relu", kernel_regularizer=keras.regularizers.L2(0.1))
    network = keras.Sequential([keras.Input((4, 4, 3)), relu, Registered(), keras.layers.Flatten()])
    network.compile("adam", keras.losses.BinaryCrossentropy(), metrics=["accuracy", keras.metrics.AUC()])
    network.save(tmp_path / f"model{suffix}")
    images = np.random.default_rng(0).random((2, 4, 4, 3), np.float32)
    for load in (load_network, care_tf.load_model):
        np.testing.assert_array_equal(load(tmp_path / f"model{suffix}")(images), network(images))


def test_operations_of_tensorflow_in_a_network_of_keras_2_are_welcome(tmp_path):
    if keras.__version__.startswith("3."):
        pytest.skip("Keras 3 refuses them itself.")
    import tensorflow as tf

    image = keras.Input((4, 4, 3))
    features = tf.reduce_mean(tf.nn.relu(tf.transpose(image, (0, 2, 1, 3)) * 2.0 - 1.0), axis=(1, 2))
    network = keras.Model(image, tf.concat([features, tf.reshape(features[:, ::-1], (-1, 3))], axis=1))
    network.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).random((2, 4, 4, 3), np.float32)
    np.testing.assert_array_equal(load_network(tmp_path / "model.keras")(images), network(images))
