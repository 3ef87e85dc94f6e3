import numpy as np
import tensorflow as tf

from care_tf.metrics._class_counts import class_counts, predicted_classes

# oracle


def test_counts_equal_a_loop():
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 3, 30), rng.uniform(size=(30, 3)).astype(np.float32)
    weights = rng.uniform(size=30).astype(np.float32)
    correct, total = np.zeros(3), np.zeros(3)
    for label, prediction, weight in zip(labels, predictions, weights, strict=True):
        total[label] += weight
        correct[label] += weight * (int(np.argmax(prediction)) == label)
    found = class_counts(tf.constant(labels), tf.constant(predictions), 3, weights[:, np.newaxis])
    np.testing.assert_allclose(found, (correct, total), rtol=1e-5)


# identities


def test_a_scalar_weight_scales_every_count():
    labels, predictions = tf.constant([0, 1, 1]), tf.constant([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]])
    plain, doubled = class_counts(labels, predictions, 2), class_counts(labels, predictions, 2, 2.0)
    np.testing.assert_array_equal(doubled, 2 * np.asarray(plain))


# edges


def test_the_sigmoid_threshold_belongs_to_class_zero():
    assert predicted_classes(tf.constant([0.5, 0.51])).numpy().tolist() == [0, 1]
    assert predicted_classes(tf.constant([[0.0], [0.1]]), from_logits=True).numpy().tolist() == [0, 1]
