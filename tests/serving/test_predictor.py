"""A run, its export and its evaluation give the same probabilities; what cannot be loaded or read says why."""

import csv
import dataclasses
import json
import shutil
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from care_tf import serving
from care_tf.boxes import boxes_from_map
from care_tf.cli.export import write_saved_model
from care_tf.data import Manifest, evaluation_dataset, fit_input_encodings, read_manifest
from care_tf.errors import InputError
from care_tf.evaluation.decision_thresholds import Decision, Rule
from care_tf.images.decoding import decode_image
from care_tf.runs import load_run
from care_tf.runs._configured_model import build_network
from care_tf.runs._decision_file import write_decision
from care_tf.runs._folder import write_config, write_inputs
from care_tf.runs._run_predictions import predict_manifest
from care_tf.runs.config import validate_config
from care_tf.serving._predictor import BadImage, ImageFile

CLASSES = ("AKIEC", "DF", "NV")
SIZE = (24, 32)
DECISION = Decision(CLASSES, 1.5, (0.5, None, 0.25))


def write_run(folder, inputs=(), **data):
    """What a finished run leaves, with random weights."""
    selection = {"split": "test"}
    content = {
        "output": str(folder),
        "data": {
            **{"manifest": "none.csv", "train": selection, "test": selection, "class_names": CLASSES},
            **{"image_size_px": SIZE, "inputs": [encoding.name for encoding in inputs], **data},
        },
        "model": {"backbone": "small_cnn"},
        "stages": {"pretrain": {"epochs": 1}},
    }
    folder.mkdir()
    config = validate_config(content, "test")
    write_config(folder, config)
    write_inputs(folder, inputs)
    write_decision(folder, DECISION, Rule("f1"), Manifest((), np.zeros(0), CLASSES))
    (folder / "environment.json").write_text(json.dumps({"training_images": {"AKIEC": 5, "DF": 2, "NV": 9}}))
    return folder, config


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    keras.utils.set_random_seed(1)
    folder, config = write_run(tmp_path_factory.mktemp("predictor") / "run", max_pixel_value=4095)
    network = build_network(config, len(CLASSES))[0]
    network.layers[-1].set_weights([8 * weight for weight in network.layers[-1].get_weights()])  # far from a third each
    network.save(folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def saved_model(run_folder):
    folder = run_folder.parent / "exported"
    write_saved_model(load_run(run_folder), folder)
    return folder


@pytest.fixture(scope="module")
def predictors(run_folder, saved_model):
    return serving.load(run_folder), serving.load(saved_model)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A manifest of images of several kinds and sizes, one turned."""
    folder = tmp_path_factory.mktemp("photographs")
    rng, rows = np.random.default_rng(2), [["image", "label", "split"]]
    for number, name in enumerate(("a.jpg", "b.png", "turned.jpg", "gray.png", "c.jpg")):
        small = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
        image = small.resize((60 + 9 * number, 40 + 5 * number), Image.Resampling.BICUBIC)
        exif = Image.Exif()
        exif[0x0112] = 6 if name == "turned.jpg" else 1
        (image.convert("L") if name == "gray.png" else image).save(folder / name, exif=exif)
        rows.append([name, CLASSES[number % 3], "test"])
    with open(folder / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "manifest.csv"


def test_run_export_and_evaluation_agree(predictors, run_folder, photographs):
    rows = read_manifest(photographs, class_names=CLASSES)
    expected = predict_manifest(load_run(run_folder), rows).probabilities
    assert expected.std(axis=0).min() > 1e-3
    for predictor in predictors:
        assert (predictor.class_names, predictor.image_size, predictor.focus_class) == (CLASSES, SIZE, "DF")
        assert predictor.decision == DECISION
        found = predictor.predict(rows.image_paths)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(predictor.predict(photographs.parent / "b.png"), expected[1:2], atol=1e-5)


def test_padded_images_are_predicted_and_explained_as_they_are_evaluated(run_folder, photographs, tmp_path):
    keras.utils.set_random_seed(1)
    folder, _ = write_run(tmp_path / "padded", resize="pad")
    shutil.copy(run_folder / "model.keras", folder)
    write_saved_model(load_run(folder), tmp_path / "exported")
    rows = read_manifest(photographs, class_names=CLASSES)
    expected = predict_manifest(load_run(folder), rows).probabilities
    signatures = tf.saved_model.load(str(tmp_path / "exported")).signatures
    for path in (folder, tmp_path / "exported"):
        found = serving.load(path).explain(rows.image_paths)
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
        for row in (0, 1):
            sent = tf.constant(np.asarray(Image.open(rows.image_paths[row]).convert("RGB"), np.float32))[tf.newaxis]
            told = signatures["explain"](sent)
            np.testing.assert_allclose(found.attention_maps[row], told["attention_map"][0], atol=2e-3)
            np.testing.assert_allclose(found.boxes[row], told["box"][0], atol=2.0)


def test_explain_is_the_models_map_and_its_box_in_the_images_own_pixels(predictors, run_folder, photographs):
    run = load_run(run_folder)
    rows = read_manifest(photographs, class_names=CLASSES)
    for predictor in predictors:
        found = predictor.explain(rows.image_paths)
        np.testing.assert_allclose(found.probabilities, predictor.predict(rows.image_paths), atol=1e-6)
        for row, path in enumerate(rows.image_paths):
            image, size = decode_image(tf.io.read_file(path), SIZE)
            (expected,) = run.care_model.attention_map(run.preprocess(image[np.newaxis]))
            np.testing.assert_allclose(found.attention_maps[row], expected, atol=1e-4)
            box = boxes_from_map(found.attention_maps[row], boxes="one").reshape(-1)
            scale = np.tile(size.numpy()[::-1] / np.array(SIZE[::-1]), 2)
            np.testing.assert_allclose(found.boxes[row], box * scale if len(box) else np.zeros(4), rtol=1e-5)
        assert found.boxes.any()
        of_class = predictor.explain(rows.image_paths[:1], class_name="NV")
        image, _ = decode_image(tf.io.read_file(rows.image_paths[0]), SIZE)
        expected = run.care_model.attention_map(run.preprocess(image[np.newaxis]), class_index=2)
        np.testing.assert_allclose(of_class.attention_maps, expected, atol=1e-4)
        np.testing.assert_array_equal(of_class.probabilities, predictor.explain(rows.image_paths[:1]).probabilities)
        with pytest.raises(InputError, match="one of AKIEC, DF, NV. Received 'MEL'."):
            predictor.explain(rows.image_paths[:1], class_name="MEL")


def test_batches_are_in_order_and_bad_images_keep_their_place(predictors, photographs, tmp_path):
    (tmp_path / "cut.jpg").write_bytes((photographs.parent / "a.jpg").read_bytes()[:300])
    good = [str(photographs.parent / name) for name in ("a.jpg", "b.png", "c.jpg")]
    images = [ImageFile(path) for path in (good[0], str(tmp_path / "cut.jpg"), good[1], str(tmp_path), good[2])]
    for predictor in predictors:
        batches = list(predictor.batches(images, attention=False, batch_size=2, thumbnail=lambda pixels: pixels.shape))
        assert [len(batch) for batch in batches] == [2, 2, 1]
        found = [each for batch in batches for each in batch]
        assert [each.image for each in found] == images
        assert [isinstance(each, BadImage) for each in found] == [False, True, False, True, False]
        assert "cut.jpg cannot be decoded" in found[1].reason
        kept = [each for each in found if not isinstance(each, BadImage)]
        np.testing.assert_allclose([each.probabilities for each in kept], predictor.predict(good), atol=1e-6)
        assert [each.thumbnail for each in kept] == [(40, 60, 3), (45, 69, 3), (60, 96, 3)]
        with pytest.raises(InputError, match=r"cut.jpg cannot be decoded.*\.$"):
            predictor.predict([str(tmp_path / "cut.jpg")])


def test_no_images_are_no_rows(predictors):
    assert predictors[0].predict([]).shape == (0, 3) and predictors[0].explain([]).attention_maps.shape == (0, *SIZE)


def test_what_is_no_model_is_refused(run_folder, saved_model, tmp_path):
    with pytest.raises(InputError, match="nowhere must be a run folder .* Received no folder"):
        serving.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="model.keras must be a run folder .* Received no folder"):
        serving.load(run_folder / "model.keras")
    with pytest.raises(InputError, match="with saved_model.pb, of care export.* Received a folder without either"):
        serving.load(tmp_path)
    other = tf.Module()
    other.serve = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec((None,), tf.float32)])
    tf.saved_model.save(other, str(tmp_path / "other"))
    with pytest.raises(InputError, match="must say what it takes, in assets.extra/care_tf.json. .* Export the run"):
        serving.load(tmp_path / "other")


@pytest.mark.parametrize(("where", "is_taken"), [("training", True), ("everywhere", False)])
def test_a_run_that_evaluates_by_boxes_is_refused_where_nobody_knows_them(
    run_folder, tmp_path, monkeypatch, where, is_taken
):
    folder, _ = write_run(tmp_path / "run", outside_boxes="crop", outside_boxes_in=where)
    shutil.copy(run_folder / "model.keras", folder)
    monkeypatch.setattr(serving, "export_saved_model", lambda model, folder, **_: folder.mkdir())
    for use in (serving.load, lambda folder: write_saved_model(load_run(folder), tmp_path / "exported")):
        if is_taken:
            use(folder)
        else:
            with pytest.raises(InputError, match="a run must take images whole. Received .*=crop and .*=everywhere"):
                use(folder)
    assert (tmp_path / "exported").exists() == is_taken


def test_evaluation_sees_test_images_as_the_run_s_configuration_says(run_folder, photographs, tmp_path):
    rows = read_manifest(photographs, class_names=CLASSES)
    rows = dataclasses.replace(rows, boxes=[[[3, 4, 30, 20]]] * len(rows))
    found = []
    for where in ("training", "everywhere"):
        folder, _ = write_run(tmp_path / where, outside_boxes="paint", outside_boxes_in=where)
        shutil.copy(run_folder / "model.keras", folder)
        found.append(predict_manifest(load_run(folder), rows).probabilities)
    np.testing.assert_allclose(found[0], predict_manifest(load_run(run_folder), rows).probabilities, atol=1e-6)
    changed = next(iter(evaluation_dataset(dataclasses.replace(rows, outside_boxes="paint"), SIZE, len(rows))))[0]
    run = load_run(run_folder)
    expected = run.care_model.class_probabilities(run.care_model(run.preprocess(changed), training=False))
    np.testing.assert_allclose(found[1], expected, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_twelve_bits_are_white_in_both(predictors, tmp_path):
    numbers = np.random.default_rng(3).integers(0, 4096, (6, 8))
    Image.fromarray(numbers.astype(np.uint16)).save(tmp_path / "wide.png")
    Image.fromarray(numbers.astype(np.uint16)).save(tmp_path / "wide.tif")
    Image.fromarray(np.floor(255 * numbers / 4095 + 0.5).astype(np.uint8)).save(tmp_path / "narrow.png")
    for predictor in predictors:
        found = predictor.predict([tmp_path / name for name in ("narrow.png", "wide.png", "wide.tif")])
        np.testing.assert_allclose(found[1:], found[:1].repeat(2, axis=0), rtol=1e-6)


BUILDER = """
import keras
from keras import layers

def build(image_size, num_classes, inputs):
    image = keras.Input((*image_size, 3), name="photograph")
    beside = [keras.Input((width,), name=name) for name, width in inputs.items()]
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, strides=2, name="conv")(layers.Rescaling(1 / 255)(image)))
    x = layers.Dense(6, activation="relu")(layers.Concatenate()([x, *beside]))
    return keras.Model([image, *beside], layers.Dense(num_classes, activation="softmax", name="scores")(x))
"""


def test_further_inputs_are_the_manifests_own_values(photographs, tmp_path, monkeypatch):
    (tmp_path / "predicted_networks.py").write_text(BUILDER)
    monkeypatch.syspath_prepend(str(tmp_path))
    given = {"age": ["30", "", "50", "64", "71"], "sex": ["f", "m", "m", "f", "m"]}
    with open(photographs, newline="") as file:
        rows = list(csv.reader(file))
    table = [[*row, *cells] for row, cells in zip(rows, [list(given), *zip(*given.values(), strict=True)], strict=True)]
    with open(photographs.with_name("patients.csv"), "w", newline="") as file:
        csv.writer(file).writerows(table)
    manifest = read_manifest(photographs.with_name("patients.csv"), class_names=CLASSES, inputs=list(given))
    encodings = fit_input_encodings(manifest)
    folder, config = write_run(tmp_path / "run", encodings)
    config = config.model_copy(
        update={"model": config.model.model_copy(update={"backbone": "predicted_networks:build"})}
    )
    write_config(folder, config)
    build_network(config, len(CLASSES), encodings)[0].save(folder / "model.keras")
    run = load_run(folder)
    write_saved_model(run, tmp_path / "exported")
    expected = predict_manifest(run, manifest).probabilities
    for path in (folder, tmp_path / "exported"):
        predictor = serving.load(path)
        found = predictor.explain(manifest.image_paths, given)
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
        of_class = predictor.explain(manifest.image_paths, given, class_name="DF")
        np.testing.assert_allclose(of_class.probabilities, expected, atol=1e-5)
        with pytest.raises(InputError, match="The model takes age, sex beside each image. Received .*a.jpg without"):
            predictor.predict(manifest.image_paths)
        with pytest.raises(InputError, match="age needs one value per image"):
            predictor.predict(manifest.image_paths, {"age": [1]})
        with pytest.raises(InputError, match="b.png: sex is 'x', which no training row has"):
            predictor.predict(manifest.image_paths[1:2], {"age": [30], "sex": ["x"]})
    sys.modules.pop("predicted_networks", None)
