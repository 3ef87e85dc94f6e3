import csv
import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from care_tf.data import (
    encoded_inputs,
    fit_input_encodings,
    image_loader,
    read_manifest,
    training_dataset,
    write_manifest,
)
from care_tf.data.activation_cache import activation_evaluation_dataset, compute_activations
from care_tf.errors import InputError

AGES = ["30", "", "50", "40", "61.5", "", "30", "45", "70", "20", "33"]
SEXES = ["male", "female", "", "female", "male", "male", "female", "female", "", "male", "female"]


@pytest.fixture
def manifest_path(image_folder):
    """The manifest of `image_folder` with an age and a sex, each missing in some training rows."""
    path = image_folder / "manifest.csv"
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    rows = [{**row, "age": age, "sex": sex} for row, age, sex in zip(rows, AGES, SEXES, strict=True)]
    with open(image_folder / "with_inputs.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return image_folder / "with_inputs.csv"


@pytest.fixture
def manifest(manifest_path):
    return read_manifest(manifest_path, inputs=["age", "sex"])


def slow_encoding(training_ages, age, training_sexes, sex):
    known = [float(each) for each in training_ages if each]
    mean = sum(known) / len(known)
    std = math.sqrt(sum((each - mean) ** 2 for each in known) / len(known))
    of_age = [(float(age) - mean) / std, 0.0] if age else [0.0, 1.0]
    return of_age, [float(sex == each) for each in sorted(set(training_sexes))]


def test_cells_become_the_documented_numbers_of_the_training_rows(manifest):
    train = manifest.select(split="train")
    encoded = encoded_inputs(manifest, fit_input_encodings(train))
    for row in range(len(manifest)):
        age, sex = slow_encoding(AGES[:8], AGES[row], SEXES[:8], SEXES[row])
        np.testing.assert_allclose(encoded["age"][row], age, atol=1e-6)
        np.testing.assert_array_equal(encoded["sex"][row], sex)
    assert [column.dtype for column in encoded.values()] == [np.float32] * 2


def test_batches_carry_each_images_own_inputs(manifest):
    encodings = fit_input_encodings(manifest)
    encoded = encoded_inputs(manifest, encodings)
    load = image_loader(manifest, (8, 8), "memory")
    images = np.stack([load(tf.constant(row))[0] for row in range(len(manifest))])
    seen = []
    for x, _ in training_dataset(manifest, (8, 8), 4, seed=4, masks=False, cache=load, inputs=encodings):
        assert set(x) == {"image", "age", "sex"}
        for image, age, sex in zip(x["image"].numpy(), x["age"], x["sex"], strict=True):
            (row,) = np.flatnonzero((images == image).all(axis=(1, 2, 3)))
            np.testing.assert_array_equal(age, encoded["age"][row])
            np.testing.assert_array_equal(sex, encoded["sex"][row])
            seen.append(row)
    assert sorted(seen) == list(range(11)) != seen


def test_batches_of_activations_carry_the_inputs_too(manifest):
    encodings = fit_input_encodings(manifest)
    cache = compute_activations(manifest, image_loader(manifest, (8, 8), None), lambda images: images, ((1, 1),))
    ((x, _),) = activation_evaluation_dataset(manifest, cache, (8, 8), 11, inputs=encodings)
    assert set(x) == {"activation", "age", "sex"}
    for name, column in encoded_inputs(manifest, encodings).items():
        np.testing.assert_array_equal(x[name], column)


def test_columns_go_with_their_rows_into_files_and_fingerprints(manifest, manifest_path, tmp_path):
    chosen = manifest.subset([4, 0, 7])
    assert chosen.inputs == {"age": ("61.5", "30", "45"), "sex": ("male", "male", "female")}
    write_manifest(chosen, tmp_path / "copy.csv")
    assert read_manifest(tmp_path / "copy.csv", inputs=["age", "sex"]).inputs == chosen.inputs
    with pytest.warns(UserWarning, match="age, sex are ignored"):
        plain = read_manifest(manifest_path)
    prints = {each.fingerprint() for each in (manifest, plain, manifest.with_inputs(["age"]))}
    assert len(prints) == 3
    assert manifest.with_inputs([]).fingerprint() == plain.fingerprint()


def test_kinds_can_be_declared(manifest):
    (age, _) = fit_input_encodings(manifest.select(split="train"), {"age": "category"})
    assert age.categories == ("", "30", "40", "45", "50", "61.5") and age.width == 6


def test_without_missing_cells_there_is_no_number_for_them(manifest):
    complete = manifest.subset([0, 3, 4, 6])
    age, sex = fit_input_encodings(complete)
    assert (age.width, sex.categories) == (1, ("female", "male"))
    with pytest.raises(InputError, match="2 problems: image .*image_1.*age is ''.*image_2.jpg: sex is ''"):
        encoded_inputs(manifest.subset([0, 1, 2]), [age, sex])


def changed(manifest, **columns):
    return dataclasses.replace(manifest, inputs={**manifest.inputs, **columns})


@pytest.mark.parametrize(
    ("ages", "kinds", "message"),
    [
        (["30", "old", *["40"] * 9], None, "numbers, or categories. Received old among the numbers of age"),
        (["30", "nan", *["40"] * 9], None, "Received nan among"),
        (["30,5", "40,1", *["33,3"] * 9], None, "Received 30,5, 33,3, 40,1 among.*with decimal points"),
        (["30", "1_1", *["40"] * 9], None, "Received 1_1 among"),
        (["30", "1e39", *["40"] * 9], None, "Received 1e39 among"),
        (["20240101", "20240102", *["20240101"] * 9], None, "float32 rounds. Received the mean 20240101.* Subtract"),
        (["0", "1e-44", *["0"] * 9], None, "float32 rounds. Received the mean"),
        (["x", "y", *["x"] * 9], {"age": "number"}, "Received x, y among"),
        (["30", "", *["30"] * 9], None, "must differ between images. Received '30' alone"),
        ([""] * 11, None, "Received 'empty cells' alone"),
        (AGES, {"age": "text"}, "a number or a category. Received 'text'"),
    ],
)
def test_columns_that_say_nothing_certain_are_refused(manifest, ages, kinds, message):
    with pytest.raises(InputError, match=message):
        fit_input_encodings(changed(manifest, age=tuple(ages)), kinds)


def test_what_no_training_row_has_is_refused(manifest):
    encodings = fit_input_encodings(manifest)
    with pytest.raises(InputError, match="image .*image_0.jpg: sex is 'other', which no training row has"):
        encoded_inputs(changed(manifest, sex=("other", *SEXES[1:])), encodings)
    age, sex = encodings
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown sex"):
        sex.encode(tf.constant(["other"]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown age: number"):
        age.encode(tf.constant([np.inf], tf.float32))
    for cell in ("1_1", "1e39"):
        with pytest.raises(InputError, match=f"image_0.jpg: age is '{cell}', which no training row has"):
            encoded_inputs(changed(manifest, age=(cell, *AGES[1:])), encodings)
    with pytest.raises(InputError, match="must have been read with the column age"):
        encoded_inputs(manifest.with_inputs(["sex"]), encodings)


@pytest.mark.parametrize("names", ["age", ["age", "age"], ["label"]])
def test_names_that_are_no_further_columns_are_refused(manifest_path, names):
    with pytest.raises(InputError, match="inputs must be a list of different columns"):
        read_manifest(manifest_path, inputs=names)


def test_a_missing_column_is_refused(manifest_path):
    with pytest.raises(InputError, match="has no column weight"):
        read_manifest(manifest_path, inputs=["weight"])
