"""The losses on embeddings by name, and what all of them have in common."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from marks import one_generation

from care_tf.errors import InputError
from care_tf.losses import (
    EMBEDDING_LOSSES,
    class_center_triplet_loss,
    contrastive_loss,
    get_embedding_loss,
    supervised_contrastive_loss,
    triplet_loss,
)
from care_tf.losses.embedding import EmbeddingLoss

SETTINGS = [
    *EMBEDDING_LOSSES,
    {"name": "contrastive", "margin": 1.5, "balance_pairs": True, "normalize": False},
    {"name": "triplet", "mining": "semi_hard", "class_balanced": True},
    {"name": "triplet", "mining": "batch_all", "distance": "squared_euclidean", "normalize": False},
    {"name": "class_center", "margin": 1.0, "class_balanced": True, "distance": "squared_euclidean"},
    {"name": "n_pair", "l2_regularization": 0.1},
    {"name": "supervised_contrastive", "temperature": 0.5},
]
NAMES = [setting if isinstance(setting, str) else "_".join(map(str, setting.values())) for setting in SETTINGS]
LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 2, 3])
FIXTURES = json.loads(Path(__file__).with_name("embedding_fixtures.json").read_text(encoding="utf-8"))

every_loss = pytest.mark.parametrize("loss", [get_embedding_loss(setting) for setting in SETTINGS], ids=NAMES)


@pytest.fixture
def embeddings():
    return np.random.default_rng(1).normal(size=(9, 5)).astype(np.float32)


def value_and_gradient(loss, labels, embeddings):
    embeddings = tf.convert_to_tensor(embeddings)
    with tf.GradientTape() as tape:
        tape.watch(embeddings)
        value = loss(tf.convert_to_tensor(labels), embeddings)
    return value, tape.gradient(value, embeddings)


# oracle


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("name", "loss", "arguments"),
    [
        ("contrastive_of_one_class", contrastive_loss, {"labels": [0] * len(FIXTURES["labels"])}),
        ("batch_hard", triplet_loss, {"margin": FIXTURES["margin"]}),
        ("batch_hard_squared", triplet_loss, {"margin": FIXTURES["margin"], "distance": "squared_euclidean"}),
        ("batch_hard_class_balanced", triplet_loss, {"margin": FIXTURES["margin"], "class_balanced": True}),
        ("batch_all", triplet_loss, {"margin": FIXTURES["margin"], "mining": "batch_all"}),
        ("supervised_contrastive_0.1", supervised_contrastive_loss, {"temperature": 0.1}),
        ("supervised_contrastive_1.0", supervised_contrastive_loss, {"temperature": 1.0}),
    ],
)
def test_value_and_gradient_equal_pytorch_metric_learning(name, loss, arguments):
    arguments, expected = {"labels": FIXTURES["labels"]} | arguments, FIXTURES["expected"][name]
    x = tf.constant(FIXTURES["embeddings"], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(embeddings=x, **arguments)
    np.testing.assert_allclose(value, expected["value"], rtol=1e-9)
    np.testing.assert_allclose(tape.gradient(value, x), expected["gradient"], atol=1e-7)


@pytest.mark.one_generation
@every_loss
def test_the_gradient_equals_finite_differences(loss, embeddings):
    x = embeddings.astype(np.float64)
    value, slope = value_and_gradient(loss, LABELS, x)
    assert value.dtype == tf.float64 and np.abs(slope).max() > 1e-3
    step = 1e-6
    for direction in np.random.default_rng(2).normal(size=(4, *x.shape)):
        difference = loss(LABELS, x + step * direction) - loss(LABELS, x - step * direction)
        np.testing.assert_allclose(np.sum(slope * direction), difference / (2 * step), rtol=1e-6, atol=1e-8)


# identities


@pytest.mark.one_generation
@every_loss
def test_permuting_the_batch_changes_nothing(loss, embeddings):
    order = np.random.default_rng(0).permutation(len(LABELS))
    value, slope = value_and_gradient(loss, LABELS, embeddings)
    permuted, permuted_slope = value_and_gradient(loss, LABELS[order], embeddings[order])
    np.testing.assert_allclose(permuted, value, rtol=1e-6)
    np.testing.assert_allclose(permuted_slope, slope.numpy()[order], atol=1e-6)


@pytest.mark.one_generation
@every_loss
def test_only_whether_labels_are_equal_counts(loss, embeddings):
    value = float(loss(LABELS, embeddings))
    renamed = np.array([7, -3, 0, 1000])[LABELS]
    for labels in (renamed, LABELS[:, np.newaxis], LABELS.astype(np.float32), np.eye(4, dtype=np.float32)[LABELS]):
        np.testing.assert_allclose(loss(labels, embeddings), value, rtol=1e-6)


@pytest.mark.one_generation
@every_loss
def test_the_scale_of_normalized_embeddings_changes_nothing(loss, embeddings):
    scales = np.random.default_rng(0).uniform(0.1, 10, (9, 1)).astype(np.float32)
    is_close = np.isclose(loss(LABELS, embeddings * scales), loss(LABELS, embeddings), rtol=1e-5)
    assert is_close == (loss.get_config().get("normalize", "temperature" in loss.get_config()))


@pytest.mark.one_generation
@every_loss
def test_a_step_against_the_gradient_lowers_the_loss(loss, embeddings):
    value, slope = value_and_gradient(loss, LABELS, embeddings)
    assert loss(LABELS, embeddings - 1e-3 * slope) < value


@pytest.mark.slow
def test_graph_and_xla_equal_eager(embeddings):
    # All in one graph, which compiles sooner. The settings left out take no other path.
    losses = [get_embedding_loss(setting) for setting in SETTINGS[:8]]
    expected = [value_and_gradient(loss, LABELS, embeddings) for loss in losses]
    unknown = [tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None, None), tf.float32)]
    for options in ({"input_signature": unknown}, {"jit_compile": True}):

        @tf.function(autograph=False, **options)
        def compiled(labels, x):
            return [value_and_gradient(loss, labels, x) for loss in losses]

        results = compiled(tf.constant(LABELS), tf.constant(embeddings))
        for (value, slope), (eager_value, eager_slope) in zip(results, expected, strict=True):
            np.testing.assert_allclose(value, eager_value, rtol=1e-5)
            np.testing.assert_allclose(slope, eager_slope, atol=1e-5)


@every_loss
def test_the_loss_serializes(loss, embeddings):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is type(loss) and again.get_config() == loss.get_config()
    assert float(again(LABELS, embeddings)) == float(loss(LABELS, embeddings))


@pytest.mark.one_generation
def test_settings_reach_the_loss():
    for setting in SETTINGS:
        if isinstance(setting, dict):
            config = get_embedding_loss(setting).get_config()
            assert {**config, **setting} == {**config, "name": setting["name"]}
            assert type(get_embedding_loss(setting)) is EMBEDDING_LOSSES[setting["name"]].build


# properties


@pytest.mark.one_generation
@every_loss
def test_half_precision_embeddings_are_computed_in_float32(loss, embeddings):
    half = tf.cast(embeddings * 100, tf.float16)  # whose squares float16 cannot hold
    value, slope = value_and_gradient(loss, LABELS, half)
    assert value.dtype == tf.float32 and slope.dtype == tf.float16
    np.testing.assert_allclose(value, loss(LABELS, tf.cast(half, tf.float32)), rtol=1e-6)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("policy", [*one_generation("float32"), "mixed_float16"])
@pytest.mark.parametrize("name", ["triplet", *one_generation("supervised_contrastive")])
def test_a_model_learns_from_the_loss_alone(name, policy, embeddings):
    keras.mixed_precision.set_global_policy(policy)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    is_traced = (name, policy) == ("triplet", "mixed_float16")  # of all losses is the graph test above
    model.compile(keras.optimizers.Adam(0.02), get_embedding_loss(name), run_eagerly=not is_traced)
    history = model.fit(embeddings, LABELS, epochs=15, batch_size=9, verbose=0).history["loss"]
    assert history[-1] < history[0]


# edges


@pytest.mark.one_generation
@every_loss
def test_a_batch_without_pairs_costs_exactly_nothing(loss):
    without_pairs = [[], [4]]
    if loss.name != "contrastive_loss":  # to which any two examples are a pair
        without_pairs += [[1, 1, 1], [0, 1, 2]]
    for labels in without_pairs:
        x = np.random.default_rng(0).normal(size=(len(labels), 4)).astype(np.float32)
        value, slope = value_and_gradient(loss, np.array(labels, np.int32), x)
        assert float(value) == 0.0 and not slope.numpy().any()


@pytest.mark.one_generation
@every_loss
@pytest.mark.parametrize("constant", [1.0, 0.3, 0.0])
def test_equal_embeddings_have_finite_gradients(loss, constant):
    for labels in (LABELS, [0] * 9, list(range(9))):
        value, slope = value_and_gradient(loss, labels, np.full((9, 5), constant, np.float32))
        assert np.isfinite(value) and np.isfinite(slope).all()


@pytest.mark.one_generation
@every_loss
def test_one_pair_of_equal_embeddings_among_others_has_finite_gradients(loss, embeddings):
    embeddings[1] = embeddings[0]
    embeddings[6] = embeddings[4]
    value, slope = value_and_gradient(loss, LABELS, embeddings)
    assert np.isfinite(value) and np.isfinite(slope).all() and slope.numpy().any()


@pytest.mark.one_generation
@every_loss
def test_nan_shows(loss, embeddings):
    embeddings[3, 2] = np.nan
    assert np.isnan(loss(LABELS, embeddings))


# errors


@every_loss
def test_sample_weights_are_refused(loss, embeddings):
    with pytest.raises(InputError, match=f"{type(loss).__name__} is a mean over pairs or triplets.*sample_weight"):
        loss(LABELS, embeddings, sample_weight=np.ones(9))


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("arcface", "embedding loss must be one of class_center, contrastive, .*Received 'arcface'"),
        ("tripplet", "Did you mean 'triplet'"),
        (None, "embedding loss must be one of .*Received None"),
        ({"margin": 0.1}, "embedding loss must be one of .*Received {'margin': 0.1}"),
        ({"name": "triplet", "gamma": 2}, "the embedding loss 'triplet' are: margin, mining, .*Received gamma"),
        ({"name": "n_pair", "margin": 1}, "the embedding loss 'n_pair' are: l2_regularization. Received margin"),
    ],
)
def test_unknown_settings_are_refused(setting, message):
    with pytest.raises(InputError, match=message):
        get_embedding_loss(setting)


REFUSED = [
    *((name, "margin", value) for name in ("contrastive", "triplet", "class_center") for value in (0.0, -0.1, "1")),
    ("contrastive", "margin", float("nan")),
    *((name, "normalize", value) for name in ("contrastive", "triplet", "class_center") for value in ("yes", 0, 2)),
    ("contrastive", "balance_pairs", 1),
    *((name, "class_balanced", value) for name in ("triplet", "class_center") for value in (None, "no")),
    *((name, "distance", "cosine") for name in ("triplet", "class_center")),
    ("triplet", "mining", "hard"),
    *(("n_pair", "l2_regularization", value) for value in (-1e-3, float("inf"), None, True)),
    *(("supervised_contrastive", "temperature", value) for value in (0.0, -0.1, float("nan"), "0.1")),
]


@pytest.mark.one_generation
@pytest.mark.parametrize(("name", "argument", "value"), REFUSED)
def test_arguments_outside_their_range_are_refused(name, argument, value):
    rule = {
        "mining": "one of batch_hard, semi_hard, batch_all",
        "distance": "one of euclidean, squared_euclidean",
        **dict.fromkeys(("normalize", "balance_pairs", "class_balanced"), "true or false"),
    }.get(argument, "a number in .*")
    with pytest.raises(InputError, match=f"{argument} must be {rule}. Received {argument}={value!r}"):
        get_embedding_loss({"name": name, argument: value})


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("loss", "argument"),
    [(triplet_loss, "mining"), (triplet_loss, "distance"), (class_center_triplet_loss, "distance")],
)
def test_the_functions_refuse_unknown_names(loss, argument):
    with pytest.raises(InputError, match=f"{argument} must be one of"):
        loss([0], np.ones((1, 2)), **{argument: "hardest"})


@pytest.mark.one_generation
def test_every_loss_shares_what_keras_needs():
    assert all(issubclass(entry.build, EmbeddingLoss) for entry in EMBEDDING_LOSSES.values())
