"""A run whose network takes the patient's age and sex beside the image."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from care_tf.data import read_manifest
from care_tf.errors import InputError
from care_tf.runs import evaluate_run, load_run, train_run
from care_tf.runs._fingerprint import stage_fingerprints
from care_tf.runs._training_rows import read_training_rows
from care_tf.serving import export_saved_model

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
        "every_stage": {},
        "stages": {"finetune": {"epochs": 1, "alpha": 0.5}},
        **changes,
    }


@pytest.mark.slow
@pytest.mark.both_generations
def test_a_run_trains_evaluates_and_exports_with_further_inputs(config, patients, capsys, tmp_path):
    run_folder = train_run(config(**settings(patients)))
    assert "\nage: number, mean 32.81, standard deviation" in capsys.readouterr().out
    evaluate_run(run_folder, num_resamples=5)
    assert "before stage 2" in (run_folder / "report.html").read_text()
    run = load_run(run_folder)
    assert [encoding.name for encoding in run.inputs] == ["age", "sex"]
    rows = read_manifest(patients, inputs=["age", "sex"]).select(split="test")
    export_saved_model(
        run.care_model,
        tmp_path / "served",
        preprocess=run.preprocess,
        image_size=run.image_size,
        class_names=run.class_names,
        inputs=run.inputs,
    )
    serve = tf.saved_model.load(str(tmp_path / "served")).signatures["serve_bytes"]
    found = serve(
        image_bytes=tf.constant([Path(path).read_bytes() for path in rows.image_paths]),
        age=tf.constant([float(age or "nan") for age in rows.inputs["age"]]),
        sex=tf.constant(rows.inputs["sex"]),
    )
    predictions = pd.read_csv(run_folder / "predictions.csv")
    np.testing.assert_allclose(found["probabilities"], predictions[list(run.class_names)], atol=1e-5)


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
