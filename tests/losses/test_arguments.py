import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.losses.arguments import checked_counts, checked_number, checked_weights


def test_good_arguments_come_back_as_float64():
    assert checked_counts((3, 1)).dtype == checked_weights([0, 1]).dtype == np.float64
    assert checked_number("gamma", np.float32(0)) == 0.0 and isinstance(checked_number("gamma", 2), float)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "2", None, True])
def test_numbers_outside_the_range_are_refused(value):
    with pytest.raises(InputError, match=r"gamma must be a number in \[0, inf\)\. Received gamma="):
        checked_number("gamma", value)


def test_the_ends_of_a_range():
    assert checked_number("beta", 0.0, below=1.0) == 0.0
    with pytest.raises(InputError, match=r"beta must be a number in \[0, 1\)\. Received beta=1"):
        checked_number("beta", 1.0, below=1.0)
    with pytest.raises(InputError, match=r"scale must be a number in \(0, inf\)"):
        checked_number("scale", 0.0, is_open=True)


@pytest.mark.parametrize("counts", [[3, 0], [3, -1], [3, float("nan")], [3, float("inf")]])
def test_counts_must_be_positive(counts):
    with pytest.raises(InputError, match="Every class needs at least one sample. Received the class counts"):
        checked_counts(counts)


@pytest.mark.parametrize("values", [[3], 3, [[1, 2]]])
def test_vectors_have_one_number_for_each_class(values):
    with pytest.raises(InputError, match=r"class counts must have shape \(classes,\)"):
        checked_counts(values)


def test_words_are_no_weights():
    with pytest.raises(InputError, match="class weights must be numbers, one for each class. Received"):
        checked_weights(["much", "little"])


@pytest.mark.parametrize("weights", [[1, -1], [1, float("nan")], [1, float("inf")]])
def test_weights_must_be_finite_and_not_negative(weights):
    with pytest.raises(InputError, match="Class weights must be finite and >= 0. Received"):
        checked_weights(weights)


def test_the_number_of_weights_is_checked_where_it_is_known():
    with pytest.raises(InputError, match="one class weight for each of 3 classes. Received 2"):
        checked_weights([1, 1], num_classes=3)
