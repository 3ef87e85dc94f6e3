"""Data that carries its list of classes is refused where the list is another one than that of training."""

import pytest
import tensorflow as tf

from care_tf import CAREModel
from care_tf.errors import InputError
from care_tf.model._class_lists import check_class_list, class_names_of


@pytest.fixture
def batches(images):
    """Makes a dataset of the shared images that carries a list of classes; None for none."""
    image, labels, _ = images

    def make(names):
        dataset = tf.data.Dataset.from_tensor_slices((image, labels)).batch(8)
        if names is not None:
            dataset.class_names = names
        return dataset

    return make


@pytest.fixture(scope="module")
def model():
    from classifiers import functional

    model = CAREModel(functional(), alpha=0.0)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    return model


def test_another_list_is_refused_in_fit_and_evaluate(model, batches):
    with pytest.raises(InputError, match="Received a, c, b for a, b, c. Read the manifest with .*like="):
        model.fit(batches(["a", "b", "c"]), validation_data=batches(["a", "c", "b"]), verbose=0)
    model.fit(batches(["a", "b", "c"]), validation_data=batches(["a", "b", "c"]), verbose=0)
    model.fit(batches(None), None, None, 1, 0)  # by position; what is unknown is not checked, nor forgotten
    with pytest.raises(InputError, match="Received a, b for a, b, c"):
        model.evaluate(batches(("a", "b")), verbose=0)
    assert model.evaluate(batches(("a", "b", "c")), verbose=0, return_dict=True)["loss"] > 0


@pytest.mark.parametrize(
    ("names", "known", "num_classes", "is_refused"),
    [
        (None, ("a",), 3, False),
        (("a", "b"), None, None, False),
        (("a", "b"), None, 2, False),
        (("a", "b"), None, 3, True),
        (("a", "b"), ("a", "b"), 3, False),
        (("b", "a"), ("a", "b"), 2, True),
    ],
)
def test_what_is_known_is_checked(names, known, num_classes, is_refused):
    try:
        check_class_list(names, known, num_classes)
    except InputError:
        assert is_refused
    else:
        assert not is_refused


def test_only_lists_of_names_count():
    assert class_names_of([1, 2]) is None and class_names_of(None) is None
    assert class_names_of(type("Data", (), {"class_names": ["a", "b"]})) == ("a", "b")
    assert class_names_of(type("Data", (), {"class_names": []})) is None
