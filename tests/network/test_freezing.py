import keras
import numpy as np
import pytest
import tensorflow as tf
from marks import one_generation

from care_tf.errors import InputError
from care_tf.keras_generation import tensorflow_variable
from care_tf.model import CAREModel
from care_tf.network.freezing import Freezer
from care_tf.network.observation import layers_by_path


def branches():
    """stem -> (left, right) -> added -> norm -> scores, with a shared layer in both branches."""
    layers = keras.layers
    image = keras.Input((12, 12, 3), name="image")
    stem = layers.Conv2D(4, 3, name="stem")(image)
    shared = layers.Conv2D(4, 1, name="shared")
    left = layers.Activation("relu", name="left_relu")(shared(layers.Conv2D(4, 3, name="left")(stem)))
    right = shared(layers.BatchNormalization(name="right_norm")(layers.Conv2D(4, 3, name="right")(stem)))
    x = layers.Add(name="added")([left, right])
    x = layers.GlobalAveragePooling2D(name="pool")(layers.BatchNormalization(name="norm")(x))
    return keras.Model(image, layers.Dense(3, activation="softmax", name="scores")(x))


def two_outputs():
    """A nested backbone with an early and a late output, of which both reach the scores."""
    layers = keras.layers
    image = keras.Input((12, 12, 3))
    early = layers.Conv2D(4, 3, name="early")(image)
    late = layers.Conv2D(4, 3, name="late")(early)
    backbone = keras.Model(image, [early, late], name="backbone")
    image = keras.Input((12, 12, 3))
    first, second = backbone(image)
    first = layers.Conv2D(2, 1, name="on_early")(first)
    pooled = [layers.GlobalAveragePooling2D()(features) for features in (first, second)]
    return keras.Model(image, layers.Dense(3, activation="softmax")(layers.Concatenate()(pooled)))


def frozen_paths(classifier, only_weights=True):
    layers = layers_by_path(classifier)
    return {path for path, layer in layers.items() if not layer.trainable and (layer.weights or not only_weights)}


def layers_with_a_gradient(classifier, name, image):
    """The layers whose weights the named layer's output depends on, by differentiating it."""
    upper = keras.Model(classifier.input, classifier.get_layer(name).output)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(upper(image, training=False) ** 2)
    variables = [tensorflow_variable(variable) for variable in upper.trainable_variables]
    reached = {id(v) for v, slope in zip(variables, tape.gradient(total, variables), strict=True) if slope is not None}
    return {
        layer.name
        for layer in upper.layers
        if any(id(tensorflow_variable(variable)) in reached for variable in layer.trainable_variables)
    }


def trained(classifier, images, run_eagerly=True):
    """Eager unless asked otherwise: a trace costs as much as ten steps."""
    image, labels, mask = images
    model = CAREModel(classifier, alpha=0.5)
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy", run_eagerly=run_eagerly)
    model.fit({"image": image, "mask": mask}, labels, batch_size=4, epochs=2, verbose=0)


def weights_by_path(classifier):
    layers = layers_by_path(classifier)
    return {path: layer.get_weights() for path, layer in layers.items() if layer.weights and path in leaves(layers)}


def leaves(layers):
    return {path for path in layers if not any(other.startswith(path + "/") for other in layers)}


# --- what is frozen ---


@pytest.mark.parametrize("name", ["stem", "left", "left_relu", "right_norm", "added", "norm", "pool"])
def test_the_layers_with_a_gradient_are_frozen_and_no_others(images, name):
    classifier = branches()
    expected = layers_with_a_gradient(classifier, name, images[0])
    Freezer(classifier).freeze_through(name)
    assert frozen_paths(classifier) == expected


def test_layers_without_weights_are_marked_too():
    classifier = branches()
    Freezer(classifier).freeze_through("added")
    marked = {"stem", "left", "left_relu", "right", "right_norm", "shared", "added"}
    assert frozen_paths(classifier, only_weights=False) == marked


def test_through_a_shared_layer_all_that_it_is_called_on_is_frozen():
    classifier = branches()
    Freezer(classifier).freeze_through("shared")
    assert frozen_paths(classifier) == {"stem", "left", "right", "right_norm", "shared"}


def test_a_parallel_branch_stays_trainable():
    classifier = branches()
    Freezer(classifier).freeze_through("left")
    assert frozen_paths(classifier) == {"stem", "left"}


@pytest.mark.parametrize(
    ("name", "layer_path", "expected"),
    [
        ("sequential", "last", 2),
        ("nested", "backbone/conv_1", 1),
        ("nested", "conv_2", 2),
        ("nested", "norm", 3),
        ("nested", "backbone", 3),
        ("subclassed", "norm", 3),
    ],
)
def test_the_first_layers_with_weights_are_frozen_in_every_kind_of_network(network, name, layer_path, expected):
    classifier = network(name)
    layers = layers_by_path(classifier)
    Freezer(classifier, image_shape=(12, 12, 3)).freeze_through(layer_path)
    flags = [layers[path].trainable for path in layers if path in leaves(layers) and layers[path].weights]
    assert flags == [False] * expected + [True] * (len(flags) - expected)
    assert classifier.trainable_weights and len(classifier.trainable_weights) < len(classifier.weights)


def test_layers_that_a_network_makes_in_build_are_found_frozen_and_set_free():
    class Late(keras.Model):
        def build(self, input_shape):
            self.pool = keras.layers.GlobalAveragePooling2D(name="pool")
            self.hidden, self.out = keras.layers.Dense(4, name="hidden"), keras.layers.Dense(2, name="out")
            self.built = True

        def call(self, inputs):
            return self.out(self.hidden(self.pool(inputs)))

    classifier = Late()
    freezer = Freezer(classifier, image_shape=(8, 8, 3))
    freezer.freeze_through("hidden")
    assert frozen_paths(classifier) == {"hidden"}
    with pytest.raises(InputError, match="Nothing would be left.*such as one of hidden, out"):
        freezer.freeze_through("out")
    assert frozen_paths(classifier) == {"hidden"}
    freezer.unfreeze()
    assert frozen_paths(classifier) == set()


def test_of_a_nested_model_with_two_outputs_only_the_needed_part_is_frozen():
    classifier = two_outputs()
    freezer = Freezer(classifier)
    freezer.freeze_through("on_early")
    assert frozen_paths(classifier) == {"backbone/early", "on_early"}
    freezer.freeze_through("backbone")
    assert frozen_paths(classifier) == {"backbone", "backbone/early", "backbone/late"}


def test_a_composite_layer_is_frozen_with_all_that_it_holds():
    layers = keras.layers
    image = keras.Input((4, 4, 3))
    tokens = layers.Dense(4, name="project")(layers.Reshape((16, 3))(image))
    tokens = layers.MultiHeadAttention(2, 2, name="mix")(tokens, tokens)
    output = layers.Dense(2, name="scores")(layers.GlobalAveragePooling1D()(tokens))
    classifier = keras.Model(image, output)
    Freezer(classifier).freeze_through("mix")
    assert not classifier.get_layer("mix").trainable and not classifier.get_layer("project").trainable
    kept = {id(weight) for weight in classifier.trainable_weights}
    assert kept == {id(weight) for weight in classifier.get_layer("scores").weights}


# --- what training does ---


@pytest.mark.parametrize("name", [*one_generation("functional"), "nested"])
def test_frozen_weights_and_moving_statistics_are_bit_for_bit_unchanged(network, images, name):
    classifier = network(name, **({"head": "dense"} if name == "functional" else {}))
    Freezer(classifier).freeze_through("norm")
    before = weights_by_path(classifier)
    frozen = {path for path in before if path.split("/")[-1] in ("conv_1", "conv_2", "norm")}
    trained(classifier, images, run_eagerly=name == "functional")
    for path, after in weights_by_path(classifier).items():
        for old, new in zip(before[path], after, strict=True):
            assert np.array_equal(old, new) == (path in frozen), path


def test_frozen_batch_normalization_normalizes_with_its_moving_statistics(network, images):
    classifier = network()
    freezer = Freezer(classifier)
    freezer.freeze_through("norm")
    np.testing.assert_allclose(classifier(images[0], training=True), classifier(images[0], training=False), atol=1e-6)
    freezer.unfreeze()
    difference = classifier(images[0], training=True) - classifier(images[0], training=False)
    assert np.abs(difference).max() > 1e-4


@pytest.mark.parametrize("last", [*one_generation("unfreeze", None), "conv_1"])
def test_what_is_set_free_trains_again_with_its_statistics(network, images, last):
    classifier = network()
    freezer = Freezer(classifier)
    freezer.freeze_through("norm")
    trained(classifier, images)
    before = weights_by_path(classifier)
    freezer.unfreeze() if last == "unfreeze" else freezer.freeze_through(last)
    trained(classifier, images)
    after = weights_by_path(classifier)
    for path in ("norm", "conv_2", "scores"):
        assert all(np.abs(old - new).max() > 0 for old, new in zip(before[path], after[path], strict=True)), path
    assert np.array_equal(before["conv_1"][0], after["conv_1"][0]) == (last == "conv_1")


@pytest.mark.one_generation
def test_unfreezing_gives_the_weights_of_a_network_that_was_never_frozen(network, images):
    never, once = network(), network()
    freezer = Freezer(once)
    freezer.freeze_through("last_relu")
    freezer.unfreeze()
    for classifier in (never, once):
        trained(classifier, images)
    for a, b in zip(never.get_weights(), once.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# --- what the builder froze ---


def test_layers_that_the_builder_froze_stay_frozen(network):
    classifier = network("nested")
    classifier.get_layer("backbone").get_layer("conv_1").trainable = False
    freezer = Freezer(classifier)
    freezer.freeze_through("conv_2")
    assert frozen_paths(classifier) == {"backbone/conv_1", "backbone/conv_2"}
    freezer.unfreeze()
    assert frozen_paths(classifier) == {"backbone/conv_1"}


def test_a_backbone_that_the_builder_froze_stays_frozen(network):
    classifier = network("nested")
    classifier.get_layer("backbone").trainable = False
    freezer = Freezer(classifier)
    freezer.unfreeze()
    freezer.freeze_through("backbone")
    freezer.unfreeze()
    assert classifier.get_layer("backbone").trainable is False
    assert len(classifier.trainable_weights) == 2


def test_a_shared_layer_keeps_its_own_setting():
    image = keras.Input((12, 12, 3))
    shared = keras.layers.Conv2D(3, 3, padding="same", name="shared")
    halves = []
    for name in ("first", "second"):
        inner = keras.Input((12, 12, 3))
        x = shared(keras.layers.Conv2D(3, 1, name=f"{name}_conv")(inner))
        halves.append(keras.Model(inner, x, name=name))
    x = keras.layers.GlobalAveragePooling2D()(halves[1](halves[0](image)))
    classifier = keras.Model(image, keras.layers.Dense(2)(x))
    freezer = Freezer(classifier)
    freezer.freeze_through("first_conv")
    assert frozen_paths(classifier) == {"first/first_conv"}
    freezer.freeze_through("first")
    assert frozen_paths(classifier) == {"first", "first/first_conv", "first/shared"}
    freezer.unfreeze()
    shared_first = keras.models.clone_model(classifier)
    shared_first.get_layer("first").get_layer("shared").trainable = False
    Freezer(shared_first).unfreeze()
    assert not shared_first.get_layer("first").get_layer("shared").trainable


# --- errors ---


def test_an_unknown_layer_is_refused_with_candidates(network):
    with pytest.raises(InputError, match="'nope' is not a layer.*with weights: conv_1, conv_2, norm, scores"):
        Freezer(network()).freeze_through("nope")
    deep = keras.Sequential([keras.Input((4, 4, 1)), *[keras.layers.Conv2D(1, 1, name=f"conv_{i}") for i in range(20)]])
    with pytest.raises(InputError, match=r"Layers with weights: \.\.\., conv_8, .*, conv_19\.$"):
        Freezer(deep).freeze_through("nope")


def test_an_ambiguous_name_is_refused():
    inner = [
        keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Conv2D(3, 1, name="conv")], name=name) for name in "ab"
    ]
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    classifier = keras.Sequential([keras.Input((6, 6, 3)), *inner, *head])
    freezer = Freezer(classifier)
    with pytest.raises(InputError, match="names several layers; give one of the paths a/conv, b/conv"):
        freezer.freeze_through("conv")
    freezer.freeze_through("b/conv")
    assert frozen_paths(classifier) == {"a", "a/conv", "b", "b/conv"}


def test_freezing_everything_is_refused_and_changes_nothing(network):
    classifier = network()
    freezer = Freezer(classifier)
    freezer.freeze_through("conv_1")
    with pytest.raises(InputError, match="Nothing would be left to train.*'scores'.*earlier layer.*conv_2"):
        freezer.freeze_through("scores")
    assert frozen_paths(classifier) == {"conv_1"}


def test_a_layer_that_is_never_called_is_refused():
    class WithSpare(keras.Model):
        def __init__(self):
            super().__init__()
            self.pool, self.out = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, name="out")
            self.spare = keras.layers.Dense(2, name="spare")
            self.spare.build((None, 3))

        def call(self, inputs):
            return self.out(self.pool(inputs))

    with pytest.raises(InputError, match="'spare' is not called in a forward pass.*Name one of out"):
        Freezer(WithSpare(), image_shape=(8, 8, 3)).freeze_through("spare")
