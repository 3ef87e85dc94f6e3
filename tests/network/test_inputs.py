import keras
import numpy as np
import pytest

from care_tf import CAREModel
from care_tf.errors import InputError
from care_tf.network import Freezer, embedding_model
from care_tf.network.cutting import INPUT_ACTIVATION, cut_network
from care_tf.network.inputs import further_inputs, symbolic_inputs
from care_tf.network_input import image_of

layers = keras.layers


def given(name, *shape):
    return keras.Input(shape, name=name)


def pooled(image):
    return layers.GlobalAveragePooling2D(name="pool")(layers.Conv2D(4, 3, activation="relu", name="conv")(image))


def score(*vectors, activation=None):
    return layers.Dense(3, activation=activation, name="scores")(layers.Concatenate(name="joined")(list(vectors)))


@pytest.mark.parametrize("name", ["image", "photograph"])
@pytest.mark.parametrize("form", [list, dict])
def test_the_image_is_the_only_map_whatever_it_is_called(name, form):
    inputs = [given("age", 2), given(name, 8, 8, 3), given("sex", 3)]
    structure = {tensor.name: tensor for tensor in inputs} if form is dict else inputs
    network = keras.Model(structure, score(pooled(inputs[1]), inputs[0], inputs[2]))
    assert {name: tuple(spec.shape) for name, spec in further_inputs(network).items()} == {
        "age": (None, 2),
        "sex": (None, 3),
    }
    assert tuple(image_of(symbolic_inputs(network)).shape) == (None, 8, 8, 3)


def test_of_several_maps_the_one_named_image_is_the_image():
    other, image = given("clinical", 8, 8, 3), given("image", 8, 8, 3)
    second = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="second")(other))
    network = keras.Model([other, image], score(pooled(image), second))
    assert list(further_inputs(network)) == ["clinical"]
    assert CAREModel(network).anatomy.attention_path == "conv"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([given("left", 8, 8, 3), given("right", 8, 8, 3)], "must be the image.*Received left, right of that shape"),
        ([given("age", 1), given("sex", 2)], "must be the image.*Received none of that shape among age, sex"),
        ([given("image", 8, 8, 3), given("mask", 2)], "name of its own.*Received mask"),
    ],
)
def test_inputs_that_cannot_be_told_apart_are_refused(inputs, message):
    vectors = [pooled(inputs[0])] if len(inputs[0].shape) == 4 else [inputs[0]]
    network = keras.Model(inputs, score(*vectors, layers.Flatten()(inputs[1])))
    with pytest.raises(InputError, match=message):
        further_inputs(network)


@pytest.mark.parametrize("place", ["before", "at", "after"])
def test_the_map_is_found_where_a_further_input_changes_it_too(place):
    image, age = given("image", 8, 8, 3), given("age", 2)
    factor = layers.Reshape((1, 1, 4))(layers.Dense(4)(age))
    x = layers.Conv2D(4, 3, name="first")(image)
    x = layers.Multiply(name="film")([x, factor])
    if place == "before":
        x = layers.Conv2D(4, 3, name="last")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Concatenate()([x, age]) if place == "after" else x
    network = keras.Model([image, age], layers.Dense(3)(x))
    assert CAREModel(network).anatomy.attention_path == ("last" if place == "before" else "film")


def test_a_further_input_is_no_weight_that_makes_logits_of_probabilities():
    image, prior = given("image", 8, 8, 3), given("prior", 3)
    probabilities = layers.Dense(3, activation="softmax")(pooled(image))
    with pytest.raises(InputError, match="behind softmax"):
        CAREModel(keras.Model([image, prior], layers.Multiply()([probabilities, prior])))
    logits = keras.Model([image, prior], layers.Add()([layers.Dense(3)(pooled(image)), prior]))
    assert CAREModel(logits).anatomy.output_activation == "linear"


@pytest.fixture
def late():
    """A network that joins the age after pooling."""
    image, age = given("photograph", 8, 8, 3), given("age", 2)
    return keras.Model([age, image], score(pooled(image), layers.Dense(2, name="of_age")(age), activation="softmax"))


@pytest.fixture
def batch():
    random = np.random.default_rng(0)
    return {"image": random.random((4, 8, 8, 3), np.float32), "age": random.random((4, 2), np.float32)}


def test_embeddings_freezing_and_cuts_take_the_further_inputs(late, batch):
    joined = keras.Model(late.inputs, late.get_layer("joined").output)([batch["age"], batch["image"]])
    np.testing.assert_allclose(embedding_model(late)(batch), joined, atol=1e-6)
    Freezer(late).freeze_through("conv")
    assert [layer.name for layer in late.layers if layer.weights and layer.trainable] == ["of_age", "scores"]


@pytest.mark.parametrize("layer", ["conv", "pool"])
def test_a_cut_below_the_further_inputs_leaves_them_to_the_upper_part(late, batch, layer, tmp_path):
    lower, upper = cut_network(late, layer, "conv")
    activation = lower(batch["image"]).numpy()
    expected = late([batch["age"], batch["image"]])
    np.testing.assert_allclose(upper([activation, batch["age"]]), expected, atol=1e-6)
    late.save(tmp_path / "late.keras")  # Keras 3 could not, once a model begins inside
    np.testing.assert_allclose(
        keras.models.load_model(tmp_path / "late.keras")([batch["age"], batch["image"]]), expected, atol=1e-6
    )
    if layer == "conv":
        whole, part = CAREModel(late), CAREModel(upper, INPUT_ACTIVATION)
        x = {"activation": activation, "age": batch["age"]}
        for a, b in zip(part.predictions_and_attention(x), whole.predictions_and_attention(batch), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_cut_above_a_further_input_is_refused(late):
    with pytest.raises(InputError, match="cannot be cached at 'joined', because they depend on age beside the image"):
        cut_network(late, "joined", "conv")
