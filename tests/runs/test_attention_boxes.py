"""Boxes from a run's attention maps: the map against the model and another library, and whose images are refused."""

import dataclasses
import json
import pickle
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image

from care_tf.boxes import boxes_from_map
from care_tf.boxes.making import make_boxes
from care_tf.data import read_manifest, write_manifest
from care_tf.errors import InputError
from care_tf.images.decoding import decode_image
from care_tf.images.pixels import read_image
from care_tf.runs import attention_boxes, load_run
from care_tf.runs._configured_model import build_network
from care_tf.runs._folder import write_config
from care_tf.runs._training_rows import read_training_rows
from care_tf.runs.attention_boxes import attention_method
from care_tf.workers import Workers


@pytest.fixture(scope="module")
def run_folder(config_in, tmp_path_factory):
    """What a finished run leaves, with the network's initial weights."""
    folder = tmp_path_factory.mktemp("attention") / "run"
    config = config_in(folder)
    rows = read_training_rows(config)
    train = rows.train
    config = config.model_copy(update={"data": config.data.model_copy(update={"class_names": train.class_names})})
    folder.mkdir()
    write_config(folder, config)
    (folder / "environment.json").write_text(json.dumps(rows.fingerprints()))
    build_network(config, len(train.class_names))[0].save(folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def method(run_folder):
    return attention_method(run_folder)


@pytest.fixture(scope="module")
def test_rows(data):
    return read_manifest(data).select(split="test")


def test_the_map_is_the_models_of_the_true_class_at_the_images_size(run_folder, method, tmp_path):
    run = load_run(run_folder)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    maps = [method(pixels, str(tmp_path / "wide.png"), "", name) for name in run.class_names]
    resized, _ = decode_image((tmp_path / "wide.png").read_bytes(), (32, 32))
    for index, found in enumerate(maps):
        _, small = run.care_model.predictions_and_attention(run.preprocess(resized[np.newaxis]), np.array([index]))
        expected = cv2.resize(small.numpy()[0], (80, 48), interpolation=cv2.INTER_LINEAR)
        assert found.dtype == np.float32 and found.max() > 0.5
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(maps[0] - maps[1]).max() > 0.05


def test_make_boxes_takes_it_as_any_other_method(method, test_rows):
    chosen = test_rows.class_names[test_rows.labels[0]]
    made = make_boxes(test_rows, method, classes=[chosen], workers=Workers(num_workers=1))
    assert len(made.details) == (test_rows.labels == test_rows.labels[0]).sum() and not made.rows("failed")
    for result in made.details:
        path = test_rows.image_paths[result.row]
        expected = boxes_from_map(method(read_image(path), path, "", chosen))
        np.testing.assert_array_equal(made.manifest.boxes[result.row], expected)
        assert made.manifest.box_sources[result.row] == "attention"


def pickle_of(value):
    return pickle.loads(pickle.dumps(value))


def test_what_the_run_was_trained_or_stopped_on_is_refused(method, data, test_rows):
    rows = read_manifest(data)
    image = np.zeros((32, 32, 3), np.uint8)
    other = pickle_of(method)  # what a worker gets
    for split in ("train", "validation"):
        part = rows.select(split=split)
        with pytest.raises(InputError, match="The model was trained on .* or a copy of it"):
            other(image, part.image_paths[0], "", rows.class_names[0])
    with pytest.raises(InputError, match="The run knows the classes .*Received wart"):
        other(image, test_rows.image_paths[0], "", "wart")


def test_who_vouches_or_names_the_training_images_is_believed(run_folder, data, test_rows, tmp_path):
    image, path = np.zeros((32, 32, 3), np.uint8), test_rows.image_paths[0]
    name = test_rows.class_names[0]
    trained = read_manifest(data).select(split="train").image_paths[0]
    assert attention_method(run_folder, trained_elsewhere=True)(image, trained, "", name).shape == (32, 32)
    write_manifest(test_rows, tmp_path / "seen.csv")
    told = attention_method(run_folder, training_manifest=tmp_path / "seen.csv")
    assert told(image, trained, "", name).shape == (32, 32)
    with pytest.raises(InputError, match="The model was trained on"):
        told(image, path, "", name)
    with pytest.raises(InputError, match="not both"):
        attention_method(run_folder, tmp_path / "seen.csv", trained_elsewhere=True)


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_manifest_that_changed_since_is_refused(run_folder, data, part):
    rows = read_manifest(data)
    labels = rows.labels.copy()
    labels[rows.splits.index(part)] = (labels[rows.splits.index(part)] + 1) % len(rows.class_names)
    before = data.read_bytes()
    try:
        write_manifest(dataclasses.replace(rows, labels=labels), data)
        with pytest.raises(InputError, match="have changed since .*run was trained. Give the manifest"):
            attention_method(run_folder)
    finally:
        data.write_bytes(before)


def test_weights_of_which_nobody_said_what_they_saw_are_named(run_folder, monkeypatch):
    run = load_run(run_folder)
    stages = (run.config.stages[0], dataclasses.replace(run.config.stages[1], start_from="other.weights.h5"))
    changes = {"model": run.config.model.model_copy(update={"weights": "imagenet.h5"}), "stages": stages}
    run = dataclasses.replace(run, config=run.config.model_copy(update=changes))
    monkeypatch.setattr(attention_boxes, "load_run", lambda folder: run)
    with pytest.warns(UserWarning, match="started from imagenet.h5, other.weights.h5: images"):
        attention_method(run_folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attention_method(run_folder, trained_elsewhere=True)


def test_another_model_or_other_training_images_are_another_setting(run_folder, method):
    assert attention_method(run_folder).settings == method.settings
    assert attention_method(run_folder, trained_elsewhere=True).settings != method.settings
    content = (run_folder / "config.yaml").read_text()
    try:
        (run_folder / "config.yaml").write_text(content.replace("gradcam", "hirescam"))
        assert attention_method(run_folder).settings != method.settings
    finally:
        (run_folder / "config.yaml").write_text(content)
