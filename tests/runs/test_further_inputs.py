"""A run whose network takes the patient's age and sex beside the image."""

import csv
import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from care_tf import serving
from care_tf.cli.export import write_saved_model
from care_tf.data import encoded_inputs, evaluation_dataset, fit_input_encodings, read_manifest
from care_tf.errors import InputError
from care_tf.runs import _example_maps, load_run, train_run
from care_tf.runs._fingerprint import stage_fingerprints
from care_tf.runs._folder import input_names, read_environment
from care_tf.runs._run_predictions import predict_manifest
from care_tf.runs._training_rows import read_training_rows
from care_tf.runs.attention_boxes import attention_method

BUILDERS = """
import keras
from keras import layers

def build(image_size, num_classes, inputs):
    image = keras.Input((*image_size, 3), name="photograph")
    beside = [keras.Input((width,), name=name) for name, width in inputs.items()]
    x = layers.Conv2D(4, 3, strides=2, activation="relu", name="conv")(layers.Rescaling(1 / 255)(image))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", name="last")(x))
    x = layers.Dense(6, activation="relu")(layers.Concatenate()([x, *beside]))
    return keras.Model([image, *beside], layers.Dense(num_classes, activation="softmax", name="scores")(x))

def without(image_size, num_classes, inputs):
    return build(image_size, num_classes, {"age": inputs["age"]})
"""


@pytest.fixture
def patients(data, tmp_path, monkeypatch):
    """The manifest of `data` with age and sex; the builders can be imported."""
    with open(data, newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["image"] = str(data.parent / row["image"])
        row |= {"age": "" if number % 5 == 0 else str(30 + number % 7), "sex": ("male", "female")[number % 2]}
    with open(tmp_path / "patients.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / "patient_networks.py").write_text(BUILDERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "patients.csv"
    sys.modules.pop("patient_networks", None)


def settings(patients, **changes):
    return {
        "data__manifest": str(patients),
        "data__inputs": ["age", "sex"],
        "model__backbone": "patient_networks:build",
        "data__validation": None,
        "every_stage": {},
        "stages": {"finetune": {"epochs": 1}},
        **changes,
    }


@pytest.mark.slow
def test_a_run_trains_predicts_and_exports_with_further_inputs(config, patients, eager, capsys, tmp_path, monkeypatch):
    run = load_run(train_run(config(**settings(patients))))
    assert "\nage: number, mean 32.81, standard deviation" in capsys.readouterr().out
    rows = _example_maps.selected_rows(run, "test", None, None, None, input_names([run.folder])).subset(range(6))
    inputs = encoded_inputs(rows, fit_input_encodings(read_training_rows(run.config).train))
    ((images, _),) = evaluation_dataset(rows, run.image_size, 6)
    given = {"photograph": images, **inputs}
    expected = run.care_model.classifier({name: tf.constant(value) for name, value in given.items()})
    np.testing.assert_allclose(predict_manifest(run, rows).probabilities, expected, atol=1e-6)
    (example, *_) = _example_maps.example_maps(run, rows, rows.class_names[0])
    assert example["attention_after"].shape == (320, 320) and example["attention_after"].max() > 0
    without = _example_maps.example_maps(run, rows.without_boxes(), rows.class_names[0])
    assert len(without) == 6 and all(each["attention_predicted"].max() > 0 for each in without)
    exported: list[dict] = []
    monkeypatch.setattr(serving, "export_saved_model", lambda model, path, **arguments: exported.append(arguments))
    write_saved_model(run, tmp_path / "served")
    assert [encoding.name for encoding in exported[0]["inputs"]] == ["age", "sex"]
    with pytest.raises(InputError, match="must take an image alone. Received one that takes age, sex beside it"):
        attention_method(run.folder)


@pytest.mark.parametrize(
    ("name", "read"), [("inputs.json", lambda folder: input_names([folder])), ("environment.json", read_environment)]
)
def test_a_damaged_file_of_a_run_is_named(tmp_path, name, read):
    (tmp_path / name).write_text('[{"name": "age')
    with pytest.raises(InputError, match=f"{name} is not JSON"):
        read(tmp_path)


def test_the_result_depends_on_the_columns_that_are_used(config, patients):
    def prints(**changes):
        chosen = config(**settings(patients, **changes))
        return stage_fingerprints(chosen, read_training_rows(chosen))

    with pytest.warns(UserWarning, match="are ignored"):
        plain = prints(data__inputs=[])
        found = [plain, prints(), prints(data__inputs=["age"]), prints(data__inputs={"age": "category"})]
    assert len({json.dumps(each) for each in found}) == 4
    shared = read_manifest(patients, inputs=["sex", "age"])
    chosen = config(**settings(patients, data__inputs=["age"]))
    assert stage_fingerprints(chosen, read_training_rows(chosen, shared)) == found[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__backbone": "small_cnn"}, "takes an image alone. Received the further inputs age, sex"),
        (
            {"model__backbone": "patient_networks:without"},
            r"age \(None, 2\), sex \(None, 2\). Received age \(None, 2\)",
        ),
        ({"data__inputs": ["weight"]}, "has no column weight"),
        ({"data__inputs": {"age": "auto", "sex": "number"}}, "Received female, male among the numbers of sex"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(config, patients, changes, message):
    chosen = config(**settings(patients, **changes))
    with pytest.raises(InputError, match=message):
        train_run(chosen, show_progress=False)


def test_a_category_that_only_test_rows_have_is_refused_before_training(config, patients):
    text = patients.read_text().splitlines()
    last = max(number for number, line in enumerate(text) if ",test," in line)
    text[last] = text[last].rpartition(",")[0] + ",other"
    patients.write_text("\n".join(text))
    with pytest.raises(InputError, match="sex is 'other', which no training row has"):
        read_training_rows(config(**settings(patients)))
