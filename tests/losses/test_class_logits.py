import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.losses._class_logits import class_logits, per_class, rows_and_logits

pytestmark = pytest.mark.one_generation  # but for what meets Keras

SATURATED = np.array([[200.0, -200.0, 0.0]], np.float32)  # softmax gives exactly 0 for classes 1 and 2


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("num_outputs", [1, 4])
def test_the_log_softmax_is_the_log_probability(num_outputs, from_logits):
    logits = np.random.default_rng(0).normal(0, 3, (6, num_outputs)).astype(np.float32)
    columns = logits if num_outputs > 1 else np.concatenate([0 * logits, logits], -1)
    expected = tf.nn.softmax(columns).numpy()
    given = logits if from_logits else expected if num_outputs > 1 else expected[:, 1:]
    np.testing.assert_allclose(tf.nn.softmax(class_logits(given, from_logits)), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_precision_is_float32_or_better(dtype):
    probability = np.array([[0.0, 1.0]], dtype)
    rows, logits = rows_and_logits([0], probability)
    assert rows.dtype == logits.dtype == (tf.float64 if dtype == np.float64 else tf.float32)
    np.testing.assert_allclose(logits[0, 0], np.log(keras.backend.epsilon()), rtol=1e-6)


ACTIVATIONS = {
    "softmax": (tf.nn.softmax, SATURATED),
    "keras softmax": (keras.activations.softmax, SATURATED),
    "float16": (lambda x: tf.cast(tf.nn.softmax(tf.cast(x, tf.float16)), tf.float32), SATURATED),
    "sigmoid": (tf.nn.sigmoid, SATURATED[:, :1]),
    "keras sigmoid": (keras.activations.sigmoid, SATURATED[:, :1]),
}


@pytest.mark.both_generations
@pytest.mark.parametrize("case", ACTIVATIONS)
def test_the_input_of_an_activation_in_a_graph_is_found(case):
    activation, values = ACTIVATIONS[case]
    found = tf.function(lambda x: class_logits(activation(x)))(values).numpy()
    np.testing.assert_array_equal(found, values if values.shape[-1] > 1 else [[0.0, 200.0]])


@pytest.mark.both_generations
@pytest.mark.parametrize("activation", [keras.activations.softmax, keras.activations.sigmoid])
def test_keras_activations_are_found_in_eager_mode_too(activation):
    values = tf.constant(SATURATED if activation is keras.activations.softmax else SATURATED[:, :1])
    np.testing.assert_array_equal(class_logits(activation(values))[:, -1], values[:, -1])


@pytest.mark.both_generations
def test_other_operations_are_no_activation():
    doubled = tf.function(lambda x: class_logits(2.0 * tf.nn.softmax(x) / 2.0))(SATURATED).numpy()
    np.testing.assert_allclose(doubled[0, 1], np.log(keras.backend.epsilon()), rtol=1e-6)
    # A sigmoid of several columns is not one of a binary unit: its input is no softmax's.
    columns = tf.function(lambda x: class_logits(tf.nn.sigmoid(x)))(np.zeros((1, 3), np.float32)).numpy()
    np.testing.assert_allclose(columns, np.log(np.full((1, 3), 0.5)), rtol=1e-6)


@pytest.mark.both_generations
def test_from_logits_of_a_softmax_warns_and_takes_its_input():
    with pytest.warns(UserWarning, match="from_logits=True, but the predictions come from a softmax"):
        found = tf.function(lambda x: class_logits(tf.nn.softmax(x), from_logits=True))(SATURATED)
    np.testing.assert_array_equal(found, SATURATED)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), ()])
def test_predictions_of_another_rank_are_refused(shape):
    with pytest.raises(InputError, match=r"predictions of shape \(batch, classes\).*Received shape"):
        class_logits(np.ones(shape, np.float32))


def test_an_unknown_number_of_classes_is_refused():
    with pytest.raises(InputError, match="with a known number of classes"):
        tf.function(class_logits, input_signature=[tf.TensorSpec((None, None))])(np.ones((2, 3), np.float32))


def test_values_per_class_must_be_as_many_as_the_classes():
    with pytest.raises(InputError, match=r"one class weight for each of 3 classes. Received shape \(2,\)"):
        per_class([1.0, 2.0], tf.zeros((5, 3)), "class weight")
