import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from care_tf.errors import InputError
from care_tf.network.decoupled_classifier import ClassScale, choose_tau, nearest_class_mean, scaled, tau_normalized

ONE_UNIT = np.ones((3, 1)), np.ones(1)


@pytest.fixture
def layer():
    """Kernel (4, 3) with norms far apart, and a bias."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, 3)) * [5.0, 1.0, 0.1], rng.normal(size=3)


@pytest.fixture
def clusters():
    """Embeddings (60, 4) around three means, and their labels: 40, 15 and 5 of a class."""
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [40, 15, 5])
    return rng.normal(size=(3, 4))[labels] + 0.8 * rng.normal(size=(60, 4)), labels


# --- oracles ---


def slow_tau_normalized(kernel, tau):
    result = np.zeros_like(kernel)
    for c in range(kernel.shape[1]):
        norm = sum(kernel[k, c] ** 2 for k in range(kernel.shape[0])) ** 0.5
        for k in range(kernel.shape[0]):
            result[k, c] = kernel[k, c] / norm**tau
    return result


def slow_nearest(embeddings, labels, queries, metric):
    """The class of each query's nearest mean, in loops."""
    means = []
    for c in range(labels.max() + 1):
        own = [embedding for embedding, label in zip(embeddings, labels, strict=True) if label == c]
        means.append(sum(own) / len(own))
    predicted = []
    for query in queries:
        if metric == "cosine":
            distances = [1 - query @ m / (query @ query) ** 0.5 / (m @ m) ** 0.5 for m in means]
        else:
            distances = [((query - m) ** 2).sum() for m in means]
        predicted.append(min(range(len(means)), key=distances.__getitem__))
    return np.array(predicted)


@pytest.mark.parametrize("tau", [0.3, 1.0, 1.7])
def test_tau_normalized_equals_the_slow_oracle(layer, tau):
    kernel, bias = tau_normalized(*layer, tau)
    np.testing.assert_allclose(kernel, slow_tau_normalized(layer[0], tau), rtol=1e-12)
    np.testing.assert_array_equal(bias, np.zeros(3))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_the_largest_score_is_the_nearest_class_mean(clusters, metric, scale):
    queries = np.random.default_rng(2).normal(size=(200, 4))
    kernel, bias = nearest_class_mean(*clusters, 3, metric, scale)
    np.testing.assert_array_equal((queries @ kernel + bias).argmax(axis=1), slow_nearest(*clusters, queries, metric))


def test_the_euclidean_classifier_is_scikit_learns_nearest_centroid(clusters):
    neighbors = pytest.importorskip("sklearn.neighbors")
    queries = np.random.default_rng(2).normal(size=(200, 4))
    kernel, bias = nearest_class_mean(*clusters, 3, "euclidean")
    expected = neighbors.NearestCentroid().fit(*clusters).predict(queries)
    np.testing.assert_array_equal((queries @ kernel + bias).argmax(axis=1), expected)


def test_choose_tau_is_the_best_of_the_grid_by_scikit_learns_balanced_accuracy(layer, clusters):
    metrics = pytest.importorskip("sklearn.metrics")
    taus = np.linspace(0, 2, 9)
    accuracies = []
    for tau in taus:
        predicted = (clusters[0] @ slow_tau_normalized(layer[0], tau)).argmax(axis=1)
        accuracies.append(metrics.balanced_accuracy_score(clusters[1], predicted))
    assert len(set(accuracies)) > 2
    assert choose_tau(*layer, *clusters, taus=taus) == taus[np.argmax(accuracies)]


# --- identities ---


def test_tau_zero_leaves_the_kernel_and_tau_one_makes_unit_columns(layer):
    np.testing.assert_array_equal(tau_normalized(*layer, 0.0)[0], layer[0])
    np.testing.assert_allclose(np.linalg.norm(tau_normalized(*layer, 1.0)[0], axis=0), np.ones(3))


def test_two_steps_of_tau_compose(layer):
    # ||w / ||w||^a|| = ||w||^(1 - a), so that b follows as (1 - a) b.
    half = tau_normalized(*tau_normalized(*layer, 0.5), 0.4)[0]
    np.testing.assert_allclose(half, tau_normalized(*layer, 0.5 + 0.5 * 0.4)[0], rtol=1e-12)


def test_euclidean_means_of_one_length_are_the_cosine_classifier():
    angles = np.array([0.1, 1.5, 3.0])
    means = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    queries = np.random.default_rng(0).normal(size=(100, 2))
    predicted = []
    for metric in ("cosine", "euclidean"):
        kernel, bias = nearest_class_mean(means, np.arange(3), 3, metric)
        predicted.append((queries @ kernel + bias).argmax(axis=1))
    np.testing.assert_array_equal(*predicted)


def test_a_folded_scale_is_the_dense_layer_and_the_scale():
    images = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    dense, scale = keras.layers.Dense(3, bias_initializer="random_normal"), ClassScale()
    before = dense(images)
    np.testing.assert_array_equal(scale(before), before)  # ones at first
    scale.set_weights([np.array([0.5, 2.0, -1.0], np.float32)])
    behind = scale(dense(images)).numpy()
    dense.set_weights(scaled(*dense.get_weights(), *scale.get_weights()))
    np.testing.assert_allclose(dense(images), behind, rtol=1e-5, atol=1e-6)


# --- properties ---


@given(tau=st.floats(0, 2), factors=st.lists(st.floats(0.01, 100), min_size=3, max_size=3))
def test_tau_one_forgets_the_length_of_the_weight_vectors(tau, factors):
    kernel, bias = np.random.default_rng(0).normal(size=(4, 3)), np.zeros(3)
    stretched = kernel * factors
    np.testing.assert_allclose(tau_normalized(stretched, bias, 1.0)[0], tau_normalized(kernel, bias, 1.0)[0])
    expected = tau_normalized(kernel, bias, tau)[0] * np.array(factors) ** (1 - tau)
    np.testing.assert_allclose(tau_normalized(stretched, bias, tau)[0], expected, rtol=1e-9)


def test_the_order_of_classes_and_images_does_not_matter(layer, clusters):
    embeddings, labels = clusters
    order = np.random.default_rng(3).permutation(len(labels))
    classes = np.array([2, 0, 1])  # the new class c is the old class classes[c]
    renamed = np.argsort(classes)[labels]
    assert choose_tau(layer[0][:, classes], layer[1][classes], embeddings, renamed) == choose_tau(*layer, *clusters)
    for metric in ("cosine", "euclidean"):
        kernel, bias = nearest_class_mean(embeddings, labels, 3, metric)
        shuffled = nearest_class_mean(embeddings[order], renamed[order], 3, metric)
        np.testing.assert_allclose(shuffled[0], kernel[:, classes])
        np.testing.assert_allclose(shuffled[1], bias[classes])


def test_the_scale_layer_learns_its_factors_alone():
    rng = np.random.default_rng(0)
    dense = keras.layers.Dense(3, trainable=False)
    model = keras.Sequential([keras.Input((4,)), dense, ClassScale(), keras.layers.Softmax()])
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    before = dense.get_weights()
    model.fit(rng.normal(size=(12, 4)), rng.integers(0, 3, 12), verbose=0)
    np.testing.assert_array_equal(dense.get_weights()[0], before[0])
    assert len(model.trainable_weights) == 1
    assert (model.layers[-2].get_weights()[0] != 1).all()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_the_scale_layer_saves_and_loads(tmp_path, policy):
    keras.mixed_precision.set_global_policy(policy)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), ClassScale(name="scale", dtype="float32")])
    model.layers[-1].set_weights([np.array([1.0, 2.0, 3.0])])
    model.save(tmp_path / "scaled.keras")
    again = keras.models.load_model(tmp_path / "scaled.keras")
    images = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(again(images), model(images))
    assert again.layers[-1].get_config() == model.layers[-1].get_config()
    assert again(images).dtype == "float32" and again.output_shape == (None, 3)


# --- edges ---


def test_a_column_of_zeros_stays_one():
    kernel, _ = tau_normalized([[3.0, 0.0], [4.0, 0.0]], [0.0, 0.0], 1.0)
    np.testing.assert_allclose(kernel, [[0.6, 0.0], [0.8, 0.0]])


def test_a_mean_of_zeros_has_the_score_zero():
    kernel, bias = nearest_class_mean([[1.0, 0.0], [0.0, 0.0]], [0, 1], 2)
    np.testing.assert_array_equal(kernel, [[1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(bias, [0.0, 0.0])


def test_of_equally_good_taus_the_smallest_is_chosen(clusters):
    kernel, bias = np.eye(4)[:, :3], np.zeros(3)  # unit columns: every tau is the same classifier
    assert choose_tau(kernel, bias, *clusters, taus=[1.5, 0.5, 1.0]) == 0.5


def test_a_class_without_validation_images_is_left_out_of_the_mean():
    # Both present classes are right from tau = 1 on only; class 2 would halve nothing and add nothing.
    kernel, bias = np.array([[4.0, 1.0, 0.0], [0.0, 1.0, 0.0]]), np.zeros(3)
    embeddings, labels = [[1.0, 0.0], [1.0, 1.0]], [0, 1]
    assert choose_tau(kernel, bias, embeddings, labels, taus=[0.0, 1.0, 2.0]) == 1.0


# --- errors ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tau_normalized(*ONE_UNIT, 1.0), r"one unit has a single weight vector.*\(3, 1\).*two units"),
        (lambda: choose_tau(*ONE_UNIT, np.ones((2, 3)), [0, 0]), "one unit has a single weight vector"),
        (lambda: tau_normalized(np.ones((3, 2)), np.ones(3), 1.0), r"one Dense layer.*\(3, 2\) and \(3,\)"),
        (lambda: tau_normalized(np.ones((3, 2)), np.ones(2), -0.5), "tau .*>= 0.*Received tau=-0.5"),
        (lambda: tau_normalized(np.ones((3, 2)), np.ones(2), float("nan")), "tau .*>= 0.*Received tau=nan"),
        (lambda: choose_tau(np.ones((3, 2)), np.ones(2), np.ones((0, 3)), []), "at least one image"),
        (lambda: choose_tau(np.ones((3, 2)), np.ones(2), np.ones((2, 4)), [0, 1]), r"what the layer takes, \(N, 3\)"),
        (lambda: choose_tau(np.ones((3, 2)), np.ones(2), np.ones((2, 3)), [0, 2]), "integers from 0 to 1.*0 to 2"),
        (lambda: choose_tau(np.ones((3, 2)), np.ones(2), np.ones((2, 3)), [0, 1], taus=[]), "taus .*not be empty"),
        (lambda: nearest_class_mean(np.ones((2, 3)), [0, 2], 4), "Received none of class 1 .2 of 4 classes"),
        (lambda: nearest_class_mean(np.ones((2, 3)), [0.0, 1.0], 2), "integers from 0 to 1.*float64"),
        (lambda: nearest_class_mean(np.ones((2, 3)), [0], 2), r"embeddings must be \(N, d\) and labels \(N,\)"),
        (lambda: nearest_class_mean(np.ones((2, 3)), [0, 0], 1), "one unit has no place.*num_classes=1"),
        (lambda: nearest_class_mean(np.ones((2, 3)), [0, 1], 2, "dot"), "metric must be one of .*metric='dot'"),
        (lambda: nearest_class_mean(np.ones((2, 3)), [0, 1], 2, scale=0.0), "scale .*> 0.*Received scale=0.0"),
        (lambda: scaled(np.ones((3, 2)), np.ones(2), np.ones(3)), r"the same C classes.*\(3, 2\), \(2,\) and \(3,\)"),
    ],
)
def test_arguments_outside_their_range_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
