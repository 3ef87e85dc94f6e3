"""The exported model against NumPy, against the model in memory, and in a process that has only TensorFlow."""

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from care_tf.boxes import boxes_from_map
from care_tf.data import InputEncoding
from care_tf.errors import InputError
from care_tf.evaluation.decision_thresholds import Decision
from care_tf.images.decoding import decode_image
from care_tf.model import CAREModel
from care_tf.serving import convert_to_onnx, convert_to_tflite, export_saved_model
from care_tf.serving._description import ModelDescription
from care_tf.serving._signatures import ServedClassifier

SIZE = (24, 32)
CLASSES = ("AKIEC", "DF", "NV")
IMAGES = tf.TensorSpec((None, None, None, 3), tf.float32)


def preprocess(images):
    return images / 127.5 - 1


def care_model(units=3, activation="softmax", nested=False):
    """Convolution, batch normalization with moved statistics, pooling, Dense: enough to need every kind of variable."""
    keras.utils.set_random_seed(11)
    images = keras.Input((*SIZE, 3))
    x = keras.layers.Conv2D(6, 3, strides=2, name="features")(images)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Dropout(0.5)(x)
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(units, activation=activation, dtype="float32")]
    if nested:
        classifier = keras.Sequential([keras.Input((*SIZE, 3)), keras.Model(images, x), *head])
    else:
        classifier = keras.Model(images, head[1](head[0](x)))
    rng = np.random.default_rng(12)
    classifier.set_weights(
        [rng.uniform(0.2, 1.2, w.shape) * np.sign(rng.normal(size=w.shape) + 0.8) for w in classifier.get_weights()]
    )
    for layer in [*classifier.layers, *(classifier.layers[0].layers if nested else [])]:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([np.abs(w) for w in layer.get_weights()])
    return CAREModel(classifier)


def random_images(count=4, size=SIZE):
    return np.random.default_rng(13).uniform(0, 255, (count, *size, 3)).astype("float32")


def export(model, path, class_names=CLASSES, **arguments):
    export_saved_model(
        model, path, **{"preprocess": preprocess, "image_size": SIZE, "class_names": class_names, **arguments}
    )
    return tf.saved_model.load(str(path)).signatures


@pytest.fixture(autouse=True)
def same_start():
    """In place of the suite's own, whose seeding makes TensorFlow optimize every signature anew for every test."""
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(scope="module")
def model():
    return care_model()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("serving") / "model"
    return path, export(model, path)


DECISION = Decision(CLASSES, 2.0, (0.4, None, 0.3))


@pytest.fixture(scope="module")
def special(tmp_path_factory):
    """All that a signature may be made otherwise for: a nested classifier, padding, 12 bits, and a decision."""
    model, path = care_model(nested=True), tmp_path_factory.mktemp("serving") / "special"
    return model, export(model, path, resize="pad", max_pixel_value=4095, decision=DECISION)


def slow_logits(classifier, images):
    """The classifier of `care_model`, by hand, from its weights."""
    kernel, bias, gamma, beta, mean, variance, dense, dense_bias = classifier.get_weights()
    x = images / 127.5 - 1
    height, width = (SIZE[0] - 3) // 2 + 1, (SIZE[1] - 3) // 2 + 1
    maps = np.zeros((len(x), height, width, 6))
    for i in range(height):
        for j in range(width):
            maps[:, i, j] = np.tensordot(x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3], kernel, 3) + bias
    maps = np.maximum((maps - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)
    return maps.mean(axis=(1, 2)) @ dense + dense_bias


def softmax(x):
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def two_classes(x):
    return np.concatenate([1 - sigmoid(x), sigmoid(x)], axis=1)


def check_endings(signatures, classifier, expected, names):
    """What the two signatures that answer pixels say against the classifier by hand."""
    images = random_images()
    logits = slow_logits(classifier, images)
    for signature in ("serving_default", "explain"):
        outputs = signatures[signature](images=tf.constant(images))
        np.testing.assert_allclose(outputs["probabilities"], expected(logits), rtol=1e-4, atol=1e-5)
        tops = [names[index] for index in expected(logits).argmax(axis=1)]
        assert [name.decode() for name in outputs["top_class"].numpy()] == tops
        for row in outputs["class_names"].numpy():  # one row per image, as of every output
            assert [name.decode() for name in row] == list(names)


def test_probabilities_against_numpy(model, exported):
    check_endings(exported[1], model.classifier, softmax, CLASSES)


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("units", "activation", "expected"), [(3, None, softmax), (3, "sigmoid", sigmoid), (1, None, two_classes)]
)
def test_probabilities_of_every_other_ending_against_numpy(units, activation, expected):
    """Of the functions that are saved, run eagerly: what saving does to them is the same for every ending."""
    model, names = care_model(units, activation), CLASSES if units == 3 else ("benign", "malignant")
    served = ServedClassifier(model, preprocess, ModelDescription(names, SIZE))
    tf.config.run_functions_eagerly(True)
    try:
        signatures = {"serving_default": served.serve_images, "explain": served.explain}
        check_endings(signatures, model.classifier, expected, names)
    finally:
        tf.config.run_functions_eagerly(False)


def test_attention_map_is_that_of_the_model_in_memory(model, exported):
    images = random_images()
    outputs = exported[1]["explain"](images=tf.constant(images))
    attention = outputs["attention_map"].numpy()
    assert attention.shape == (4, *SIZE) and attention.dtype == np.float32
    assert attention.min() >= 0 and attention.max() <= 1 and attention.std(axis=(1, 2)).min() > 0.01
    np.testing.assert_allclose(attention, model.attention_map(preprocess(images)), atol=1e-4)


@pytest.mark.one_generation
def test_the_map_of_any_class_is_that_of_the_model_in_memory(model, exported):
    images, index = random_images(), np.array([2, 0, 1, 1], np.int32)
    outputs = exported[1]["explain_class"](images=tf.constant(images), class_index=tf.constant(index))
    expected = model.attention_map(preprocess(images), class_index=index)
    np.testing.assert_allclose(outputs["attention_map"], expected, atol=1e-4)
    np.testing.assert_allclose(outputs["box"], [boxes_from_map(each)[0] for each in outputs["attention_map"].numpy()])
    explained = exported[1]["explain"](images=tf.constant(images))
    np.testing.assert_allclose(outputs["probabilities"], explained["probabilities"], rtol=1e-6)
    assert set(outputs) == set(explained)
    for wrong in (-1, 3):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"class_index must lie in \[0, 3\). Received"):
            exported[1]["explain_class"](images=tf.constant(images[:1]), class_index=tf.constant([wrong]))


@pytest.mark.one_generation
def test_nested_classifier(special):
    (model, signatures), images = special, random_images()
    outputs = signatures["explain"](images=tf.constant(images))
    np.testing.assert_allclose(outputs["probabilities"], softmax(slow_logits(model.classifier, images)), rtol=1e-4)
    np.testing.assert_allclose(outputs["attention_map"], model.attention_map(preprocess(images)), atol=1e-4)


def test_signatures_and_shapes(exported):
    signatures = exported[1]
    assert set(signatures) == {"serving_default", "serve_bytes", "explain", "explain_class", "portable"}
    assert signatures["explain"].structured_outputs["box"].shape.as_list() == [None, 4]
    assert set(signatures["serving_default"].structured_outputs) == {"probabilities", "top_class", "class_names"}
    assert signatures["explain"].structured_outputs["attention_map"].shape.as_list() == [None, *SIZE]


@pytest.mark.one_generation
def test_images_of_another_size_are_resized_as_in_the_data_pipeline(exported):
    images = random_images(size=(61, 50))
    resized = tf.round(tf.image.resize(images, SIZE, method="bilinear", antialias=True))
    for signature in ("serving_default", "explain"):
        given, expected = (exported[1][signature](images=tf.constant(x)) for x in (images, resized))
        np.testing.assert_array_equal(given["probabilities"], expected["probabilities"])


@pytest.mark.one_generation
def test_padded_images_are_those_of_the_data_pipeline_and_the_map_is_that_of_the_image(special):
    (model, signatures), (top, bottom) = special, (6, 18)
    images = np.round(random_images(size=(21, 56)))  # 12 x 32 px in the frame
    framed = np.zeros((4, *SIZE, 3), np.float32)
    framed[:, top:bottom] = tf.round(tf.image.resize(images, (12, 32), antialias=True))
    expected = softmax(slow_logits(model.classifier, framed))
    outputs = {
        name: signatures[name](images=tf.constant(images)) for name in ("serving_default", "portable", "explain")
    }
    for each in outputs.values():
        np.testing.assert_allclose(
            each["probabilities"], expected, rtol=2e-3
        )  # `portable` rounds some halves otherwise
    contents = [tf.io.encode_png(image.astype(np.uint8)).numpy() for image in images]
    from_bytes = signatures["serve_bytes"](image_bytes=tf.constant(contents))["probabilities"]
    np.testing.assert_allclose(from_bytes, expected, rtol=1e-4)
    inside = model.attention_map(preprocess(framed))[:, top:bottom]
    attention = outputs["explain"]["attention_map"].numpy()
    np.testing.assert_allclose(attention, tf.image.resize(inside[..., None], SIZE)[..., 0], atol=1e-4)
    for image_map, box in zip(attention, outputs["explain"]["box"].numpy(), strict=True):
        np.testing.assert_allclose([box], boxes_from_map(image_map) * np.tile([56 / 32, 21 / 24], 2), rtol=1e-6)


@pytest.mark.one_generation
def test_order_and_size_of_the_batch_do_not_matter(exported):
    images = random_images()
    together = exported[1]["serving_default"](images=tf.constant(images))["probabilities"].numpy()
    backward = exported[1]["serving_default"](images=tf.constant(images[::-1]))["probabilities"].numpy()
    alone = exported[1]["serving_default"](images=tf.constant(images[2:3]))["probabilities"].numpy()
    np.testing.assert_allclose(backward[::-1], together, rtol=1e-5)
    np.testing.assert_allclose(alone, together[2:3], rtol=1e-5)


@pytest.mark.one_generation
@pytest.mark.parametrize("signature", ["serving_default", "explain", "portable", "serve_bytes"])
def test_joined_requests_give_what_each_gives_alone(exported, signature):
    """What a server does that batches: it joins inputs, and splits every output, along the first axis."""
    images = random_images(size=(20, 40))
    requests, name = (images[:1], images[1:]), "images"
    if signature == "serve_bytes":
        first, second = encoded_images()
        requests, name = (np.array([first]), np.array([second, first])), "image_bytes"
    function = exported[1][signature]
    joined = function(**{name: tf.constant(np.concatenate(requests))})
    alone = [function(**{name: tf.constant(request)}) for request in requests]
    for key, values in joined.items():
        assert values.shape[0] == sum(map(len, requests))
        expected = np.concatenate([outputs[key] for outputs in alone])
        if values.dtype == tf.string:
            np.testing.assert_array_equal(values, expected)
        else:
            np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.one_generation
@pytest.mark.parametrize("form", ["inputs", "instances"])
def test_the_rest_call_of_the_documentation_is_what_the_signature_takes(exported, form):
    """TensorFlow Serving: {"b64": ...} is an element of a string tensor; a list of instances is stacked by name."""
    text = Path(__file__).parents[2].joinpath("docs/serving.md").read_text(encoding="utf-8")
    pattern = {"inputs": r"printf '(.*)' ", "instances": r"The row form sends `(.*)` and gets"}[form]
    (body,) = re.findall(pattern, text)
    contents = encoded_images()[0]
    encoded = base64.b64encode(contents).decode()
    request = json.loads(body.replace("%s", encoded).replace('"..."', f'"{encoded}"'))
    rows = request.get("instances", [{}])
    columns = request.get("inputs", {name: [row[name] for row in rows] for name in rows[0]})
    given = {name: tf.constant([base64.b64decode(each["b64"]) for each in column]) for name, column in columns.items()}
    outputs = exported[1][request["signature_name"]](**given)
    expected = exported[1]["serve_bytes"](image_bytes=tf.constant([contents]))
    np.testing.assert_array_equal(outputs["probabilities"], expected["probabilities"])
    answer = json.loads(re.search(r"```json\n(\{\"outputs.*?)```", text, re.DOTALL)[1])["outputs"]
    assert {name: np.ndim(column) for name, column in answer.items()} == {k: v.ndim for k, v in outputs.items()}


@pytest.mark.one_generation
@pytest.mark.parametrize("size", [SIZE, (61, 50)])
def test_the_box_is_that_of_the_returned_map_in_the_pixels_that_were_sent(exported, size):
    outputs = exported[1]["explain"](images=tf.constant(random_images(size=size)))
    for attention, box in zip(outputs["attention_map"].numpy(), outputs["box"].numpy(), strict=True):
        expected = boxes_from_map(attention) * np.tile([size[1] / SIZE[1], size[0] / SIZE[0]], 2)
        np.testing.assert_allclose([box], expected, rtol=1e-6)


def encoded_images():
    """A PNG and a JPEG of different sizes."""
    png, jpeg = (random_images(1, size)[0].astype("uint8") for size in ((30, 41), (52, 47)))
    return [tf.io.encode_png(png).numpy(), tf.io.encode_jpeg(jpeg, quality=95).numpy()]


@pytest.mark.one_generation
def test_encoded_images_give_what_decoded_images_give(exported):
    contents = encoded_images()
    decoded = tf.stack([decode_image(tf.constant(item), SIZE)[0] for item in contents])
    from_bytes = exported[1]["serve_bytes"](image_bytes=tf.constant(contents))
    from_images = exported[1]["serving_default"](images=decoded)
    np.testing.assert_allclose(from_bytes["probabilities"], from_images["probabilities"], rtol=1e-5)
    np.testing.assert_array_equal(from_bytes["top_class"], from_images["top_class"])


@pytest.mark.one_generation
def test_pixels_and_bytes_of_the_same_files_give_the_same(exported):
    for contents in encoded_images():
        pixels = tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE")  # The same decoder; PNG, too.
        pixels = tf.cast(pixels, tf.float32)[tf.newaxis]
        from_pixels = exported[1]["serving_default"](images=pixels)["probabilities"]
        from_bytes = exported[1]["serve_bytes"](image_bytes=tf.constant([contents]))["probabilities"]
        np.testing.assert_allclose(from_pixels, from_bytes, rtol=1e-5)


@pytest.mark.one_generation
def test_fractional_pixels_of_the_right_size_are_not_rounded(model, exported):
    images = random_images()
    expected = model.classifier(preprocess(images), training=False)
    rounding = np.abs(model.classifier(preprocess(np.round(images)), training=False) - expected).max()
    received = exported[1]["serving_default"](images=tf.constant(images))["probabilities"]
    assert np.abs(received - expected).max() < 0.1 * rounding


def _png_that_states(width, height):
    contents = bytearray(encoded_images()[0])
    contents[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return bytes(contents)


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"not an image", "must be JPEG or PNG files"),
        (b"", "must be JPEG or PNG files"),
        (b"GIF89a" + bytes(40), "must be JPEG or PNG files"),
        (b"\xff\xd8\xff\xe0 cut off", "(?s)"),
        (lambda: _png_that_states(20_000, 20_000), "at most 50,000,000 pixels, and 30,000 on a side"),
        (lambda: _png_that_states(30_001, 1), "at most 50,000,000 pixels, and 30,000 on a side"),
        (lambda: _png_that_states(1, 30_001), "at most 50,000,000 pixels, and 30,000 on a side"),
        (lambda: encoded_images()[0][:60], "image"),
    ],
)
def test_bytes_that_are_no_image_fail_the_request_and_are_named(exported, bad, message):
    bad = bad() if callable(bad) else bad
    with pytest.raises(tf.errors.InvalidArgumentError, match=message) as caught:
        exported[1]["serve_bytes"](image_bytes=tf.constant([encoded_images()[0], bad]))
    assert message == "(?s)" or "image 1" in str(caught.value)


@pytest.mark.one_generation
@pytest.mark.parametrize("signature", ["serving_default", "explain"])
def test_pixels_that_are_not_numbers_fail_the_request(exported, signature):
    images = random_images(3)
    images[2, 1, 1, 0] = np.nan
    with pytest.raises(tf.errors.InvalidArgumentError, match="NaN or infinity in the images.*2"):
        exported[1][signature](images=tf.constant(images))


@pytest.mark.parametrize("size", [SIZE, (9, 7)])
def test_of_no_images_nothing_is_said(exported, size):
    images = tf.zeros((0, *size, 3))
    for name in ("serving_default", "explain"):
        assert len(exported[1][name](images=images)["probabilities"]) == 0
    index = tf.zeros((0,), tf.int32)
    assert exported[1]["explain_class"](images=images, class_index=index)["attention_map"].shape == (0, *SIZE)
    assert len(exported[1]["serve_bytes"](image_bytes=tf.constant([], tf.string))["probabilities"]) == 0


CLIENT = """
import importlib.abc, json, sys
import numpy as np
import tensorflow as tf

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "tf_keras", "keras_cv", "care_tf"):
            raise ImportError(f"{name} must not be needed")

# TensorFlow itself may have touched Keras on import: forget it, and refuse it from here on.
for name in [name for name in sys.modules if name.split(".")[0] in ("keras", "tf_keras")]:
    del sys.modules[name]
sys.meta_path.insert(0, Refuse())

folder, arrays = sys.argv[1:]
given = np.load(arrays)
signatures = tf.saved_model.load(folder).signatures
explained = signatures["explain"](images=tf.constant(given["images"]))
served = signatures["serving_default"](images=tf.constant(given["images"]))
decoded = signatures["serve_bytes"](image_bytes=tf.constant([given["png"].tobytes()]))
assert not {"keras", "keras_cv", "care_tf"} & {name.split(".")[0] for name in sys.modules}
print(json.dumps({
    "probabilities": served["probabilities"].numpy().tolist(),
    "explained": explained["probabilities"].numpy().tolist(),
    "attention_map": explained["attention_map"].numpy().tolist(),
    "decoded": decoded["probabilities"].numpy().tolist(),
    "top_class": [name.decode() for name in served["top_class"].numpy()],
}))
"""


def test_a_process_with_tensorflow_alone_gets_the_same(model, exported, tmp_path):
    images, png = random_images(3, (40, 40)), encoded_images()[0]
    np.savez(tmp_path / "given.npz", images=images, png=np.frombuffer(png, np.uint8))
    command = [sys.executable, "-c", CLIENT, str(exported[0]), str(tmp_path / "given.npz")]
    # In another folder, so that the package is not importable from the working directory either.
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode == 0, answer.stderr[-2000:]
    outputs = json.loads(answer.stdout.splitlines()[-1])

    inputs = preprocess(tf.round(tf.image.resize(images, SIZE, antialias=True)))
    probabilities = np.asarray(model.probabilities(model.classifier(inputs, training=False)))
    np.testing.assert_allclose(outputs["probabilities"], probabilities, rtol=1e-4)
    np.testing.assert_allclose(outputs["explained"], probabilities, rtol=1e-4)
    np.testing.assert_allclose(outputs["attention_map"], model.attention_map(inputs), atol=1e-4)
    assert outputs["top_class"] == [CLASSES[index] for index in probabilities.argmax(axis=1)]
    decoded = preprocess(decode_image(tf.constant(png), SIZE)[0][tf.newaxis])
    np.testing.assert_allclose(outputs["decoded"], model.classifier(decoded, training=False), rtol=1e-4)


@pytest.mark.one_generation
def test_a_former_export_is_replaced_and_survives_a_failure(exported, tmp_path, monkeypatch):
    path, names = tmp_path / "model", ("benign", "malignant")
    former, given = shutil.copytree(exported[0], path), tf.constant(random_images())
    monkeypatch.setattr(tf.saved_model, "save", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        export(care_model(3, None), path)
    monkeypatch.undo()
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]
    kept = tf.saved_model.load(str(former)).signatures["serving_default"](images=given)
    np.testing.assert_array_equal(kept["probabilities"], exported[1]["serving_default"](images=given)["probabilities"])
    model = care_model(1, "sigmoid")
    check_endings(export(model, path, names), model.classifier, two_classes, names)


@pytest.mark.one_generation
def test_a_decision_comes_with_the_probabilities(special, exported):
    images = random_images()
    answer = {name: value.numpy() for name, value in special[1]["serving_default"](tf.constant(images)).items()}
    plain = exported[1]["serving_default"](tf.constant(images))
    np.testing.assert_allclose(answer["probabilities"], plain["probabilities"], atol=1e-6)
    assert {"calibrated", "called"} == set(answer) - set(plain)
    np.testing.assert_allclose(answer["calibrated"], DECISION.calibrated(answer["probabilities"]), atol=1e-6)
    np.testing.assert_array_equal(answer["called"], DECISION.calls(answer["probabilities"]))


def test_the_classifier_is_left_as_it_was(model, exported, tmp_path):
    before = care_model().classifier.get_weights()  # of the same seed
    for weight, former in zip(model.classifier.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, former)
    model.classifier.save(tmp_path / "classifier.keras")


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"image_size": (32, 32)}, r"built for images of \(24, 32\) px and takes no others. Received .*\(32, 32\)"),
        ({"image_size": (24,)}, "image_size must be"),
        ({"class_names": ("DF", "NV")}, "must name each of the classifier's 3 classes. Received 2: DF, NV"),
        ({"class_names": ("DF", "NV", "DF")}, "class_names must differ"),
        ({"decision": Decision(("NV",), 2.0, (0.5,))}, "about the classes AKIEC, DF, NV. Received one about NV"),
        ({"preprocess": lambda x: np.asarray(x) / 255}, "preprocess must be made of TensorFlow operations"),
    ],
)
def test_arguments_that_do_not_fit(model, argument, message, tmp_path):
    with pytest.raises(InputError, match=message):
        export(model, tmp_path / "model", **argument)
    assert not list(tmp_path.iterdir())


@pytest.mark.one_generation
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_something_else_at_the_path_is_kept(model, kind, tmp_path):
    path = tmp_path / "thesis"
    if kind == "folder":
        path.mkdir()
    document = path if kind == "file" else path / "chapter.txt"
    document.write_text("unsaved work")
    with pytest.raises(InputError, match="thesis holds something else"):
        export(model, path)
    assert document.read_text() == "unsaved work"


@pytest.mark.one_generation
def test_pngs_of_12_bits_are_served_as_they_were_trained_on(special, tmp_path):
    numbers = np.random.default_rng(14).integers(0, 4096, SIZE).astype(np.uint16)
    Image.fromarray(numbers).save(tmp_path / "a.png")
    gray = np.floor(255.0 * numbers / 4095 + 0.5).astype(np.float32)
    expected = special[1]["serving_default"](images=tf.constant(np.repeat(gray[None, ..., None], 3, axis=3)))
    served = special[1]["serve_bytes"](image_bytes=tf.constant([(tmp_path / "a.png").read_bytes()]))
    np.testing.assert_array_equal(served["probabilities"], expected["probabilities"])


# Other runtimes


@pytest.mark.parametrize("size", [SIZE, (61, 50)])
def test_tflite_gives_what_the_saved_model_gives(exported, tflite, size):
    images = random_images(3, size)
    expected = exported[1]["serving_default"](images=tf.constant(images))
    outputs = tflite(images=images)
    assert set(outputs) == set(expected)
    np.testing.assert_allclose(outputs["probabilities"], expected["probabilities"], atol=2e-3)
    for key in ("top_class", "class_names"):
        np.testing.assert_array_equal(outputs[key], expected[key])


@pytest.fixture(scope="module")
def tflite(exported, tmp_path_factory):
    """The converted model as a function; the interpreter has no operations but TensorFlow Lite's own."""
    path = tmp_path_factory.mktemp("tflite") / "model.tflite"
    convert_to_tflite(exported[0], path)
    interpreter = tf.lite.Interpreter(
        str(path), experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    return interpreter.get_signature_runner("portable")


def test_onnx_gives_what_the_saved_model_gives(exported, tmp_path):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    convert_to_onnx(exported[0], tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    for size in (SIZE, (61, 50)):
        images = random_images(3, size)
        expected = exported[1]["serving_default"](images=tf.constant(images))
        outputs = dict(zip(names, session.run(None, {"images": images}), strict=True))
        assert set(outputs) == set(expected)
        np.testing.assert_allclose(outputs["probabilities"], expected["probabilities"], atol=2e-3)
        assert outputs["class_names"].tolist() == [list(CLASSES)] * 3
        assert [name.encode() for name in outputs["top_class"]] == expected["top_class"].numpy().tolist()


@pytest.mark.one_generation
def test_what_cannot_be_converted_is_refused(exported, tmp_path):
    with pytest.raises(InputError, match="The file to write must end in .tflite. Received .*model.tfl"):
        convert_to_tflite(exported[0], tmp_path / "model.tfl")
    with pytest.raises(InputError, match="cannot be loaded as a SavedModel"):
        convert_to_tflite(tmp_path, tmp_path / "model.tflite")
    former = tf.Module()
    former.serve = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec((None,), tf.float32)])
    tf.saved_model.save(former, str(tmp_path / "former"), signatures={"serving_default": former.serve})
    with pytest.raises(InputError, match="must have the signature portable. Received serving_default"):
        convert_to_tflite(tmp_path / "former", tmp_path / "model.tflite")
    resized = tf.Module()
    resized.serve = tf.function(lambda x: {"y": tf.image.resize(x, (9, 9), antialias=True)}, input_signature=[IMAGES])
    tf.saved_model.save(resized, str(tmp_path / "resized"), signatures={"portable": resized.serve})
    with pytest.raises(InputError, match="built-in operations. Received Custom ops: ScaleAndTranslate. Serve"):
        convert_to_tflite(tmp_path / "resized", tmp_path / "model.tflite")
    assert {path.name for path in tmp_path.iterdir()} == {"former", "resized"}


@pytest.mark.slow
@pytest.mark.both_generations
def test_further_inputs_are_arguments_of_every_signature(tmp_path):
    images, age, site = keras.Input((*SIZE, 3)), keras.Input((2,), name="age"), keras.Input((3,), name="site")
    sex = keras.Input((2,), name="sex")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 5, strides=3, activation="relu")(images))
    x = keras.layers.Dense(6, activation="tanh")(keras.layers.Concatenate()([x, age, site, sex]))
    model = CAREModel(keras.Model([images, age, site, sex], keras.layers.Dense(3, activation="softmax")(x)))
    encodings = [InputEncoding("age", mean=50.0, std=10.0, has_missing=True), InputEncoding("sex", ("", "f"))]
    signatures = export(model, tmp_path / "model", inputs=encodings)
    given = random_images().round()
    site, index = tf.one_hot([0, 2, 1, 1], 3), tf.constant([0, 1, 2, 0])
    beside = {"age": tf.constant([30.0, np.nan, 50.0, 65.0]), "sex": tf.constant(["f", "", " f", ""]), "site": site}
    numbers = tf.constant([[-2.0, 0], [0, 1], [0, 0], [1.5, 0]])
    encoded = {"age": numbers, "sex": tf.one_hot([1, 0, 1, 0], 2), "site": site}
    x = {"image": preprocess(given), **encoded}
    expected = model.predict(x, verbose=0)
    files = tf.constant([tf.io.encode_png(image).numpy() for image in given.astype("uint8")])
    answers = {
        "explain": signatures["explain"](images=tf.constant(given), **beside),
        "explain_class": signatures["explain_class"](images=tf.constant(given), class_index=index, **beside),
        "serving_default": signatures["serving_default"](images=tf.constant(given), **beside),
        "serve_bytes": signatures["serve_bytes"](image_bytes=files, **beside),
        "portable": signatures["portable"](images=tf.constant(given), **encoded),
    }
    assert set(answers) == set(signatures)
    for name, answer in answers.items():
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(answers["explain"]["attention_map"], model.attention_map(x), atol=1e-5)
    other = model.attention_map(x, class_index=index.numpy())
    np.testing.assert_allclose(answers["explain_class"]["attention_map"], other, atol=1e-5)
    with pytest.raises(InputError, match=r"Received hue for one that takes age \(2,\), site \(3,\), sex \(2,\)"):
        export(model, tmp_path / "other", inputs=[InputEncoding("hue", ("f", "m"))])
