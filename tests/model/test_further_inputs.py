"""CAREModel around networks with inputs beside the image, such as the patient's age."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from care_tf import CAREModel, load_model
from care_tf.callbacks import TwoStageSchedule
from care_tf.errors import InputError

layers = keras.layers
AGE = (0.4, -1.2)


@keras.saving.register_keras_serializable(package="test")
class ConstantAge(layers.Layer):
    """The same age for every image."""

    def call(self, image):
        return tf.tile(tf.constant([AGE]), [tf.shape(image)[0], 1])

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2)


def network(age="input", kernel="glorot_uniform", head="dense"):
    """Age multiplies the features and joins the head. "input", or "constant" inside, or left out with None."""
    keras.utils.set_random_seed(3)
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(5, 3, activation="relu", name="conv_1")(image)
    if age is not None:
        beside = keras.Input((2,), name="age") if age == "input" else ConstantAge()(image)
        frozen = {"kernel_initializer": kernel, "use_bias": False, "trainable": kernel != "zeros"}
        x = layers.Add()([x, layers.Reshape((1, 1, 5))(layers.Dense(5, name="early", **frozen)(beside))])
    x = layers.Conv2D(4, 3, activation="relu", name="conv_2")(x)
    x = layers.GlobalAveragePooling2D()(x)
    if age is not None:
        x = layers.Add()([x, layers.Dense(4, name="late", **frozen)(beside)])
    x = layers.Dense(6, activation="tanh", name="hidden")(x) if head == "dense" else x
    scores = layers.Dense(3, activation="softmax", name="scores")(x)
    return keras.Model([image, beside] if age == "input" else image, scores)


def compiled(classifier, run_eagerly=True, **kwargs):
    model = CAREModel(classifier, **kwargs)
    settings = {"jit_compile": False, "run_eagerly": run_eagerly}
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", **settings)
    return model


@pytest.fixture
def batch(images):
    image, labels, mask = images
    return {"image": image, "age": np.tile(np.float32(AGE), (16, 1))}, labels, mask


def copied(target, source):
    for layer in target.layers:
        if layer.weights:
            layer.set_weights(source.get_layer(layer.name).get_weights())
    return target


def test_maps_and_gradients_are_those_of_the_network_with_the_input_as_a_constant(batch):
    x, labels, mask = batch
    given = compiled(network(), alpha=0.8)
    constant = compiled(copied(network("constant"), given.classifier), alpha=0.8)
    assert given.anatomy.attention_path == constant.anatomy.attention_path == "conv_2"
    for index in (None, labels):
        found = given.predictions_and_attention(x, index)
        expected = constant.predictions_and_attention(x["image"], index)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    before = given.classifier.get_layer("early").get_weights()[0]
    logs = [
        model.train_on_batch(inputs, labels, return_dict=True)
        for model, inputs in ((given, {**x, "mask": mask}), (constant, {"image": x["image"], "mask": mask}))
    ]
    found, expected = ({name: float(value) for name, value in each.items()} for each in logs)
    assert found == pytest.approx(expected, abs=1e-6)
    assert found["attention_inside"] > 0
    after = [copied(network(), model.classifier).get_weights() for model in (given, constant)]
    for a, b in zip(*after, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.abs(given.classifier.get_layer("early").get_weights()[0] - before).max() > 1e-5


@pytest.mark.one_generation
def test_an_input_without_weight_changes_nothing_of_a_training_in_two_stages(batch):
    x, labels, mask = batch
    trained = []
    for age in ("input", None):
        model = compiled(network(age, "zeros"), run_eagerly=False)
        inputs = {"image": x["image"], "mask": mask, **({"age": x["age"]} if age else {})}
        stages = TwoStageSchedule(pretrain_epochs=1, alpha=0.5)
        history = model.fit(
            inputs, labels, batch_size=8, shuffle=False, epochs=2, callbacks=[stages], verbose=0
        ).history
        assert history["loss"][1] != history["classification_loss"][1]
        trained.append((history, model.classifier.get_layer("conv_1").get_weights()[0]))
    (history, kernel), (plain_history, plain_kernel) = trained
    assert set(history) == set(plain_history)
    for name in history:
        np.testing.assert_allclose(history[name], plain_history[name], atol=1e-6)
    np.testing.assert_allclose(kernel, plain_kernel, atol=1e-6)


def test_the_network_is_called_with_each_images_own_value(batch):
    x, _, mask = batch
    x = {**x, "age": np.random.default_rng(1).normal(size=(16, 2)).astype(np.float32)}
    model = compiled(network())
    np.testing.assert_allclose(
        model.predict(x, batch_size=5, verbose=0), model.classifier([x["image"], x["age"]]), atol=1e-6
    )
    maps = model.attention_map({**x, "mask": mask}, batch_size=5)
    alone = model.attention_map({name: value[7:8] for name, value in x.items()})
    assert maps.shape == (16, 12, 12)
    np.testing.assert_allclose(maps[7], alone[0], atol=1e-6)
    assert np.abs(maps - model.attention_map({**x, "age": -3 * x["age"]})).max() > 1e-3


def test_a_saved_model_has_its_further_inputs(batch, tmp_path):
    x, _, _ = batch
    model = compiled(network())
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), model(x), atol=1e-6)
    assert str(loaded.anatomy) == str(model.anatomy)


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: {"image": x["image"]}, '"image" and "age".*missing age, unknown none'),
        (lambda x: x["image"], "missing age"),
        (lambda x: {**x, "sex": x["age"]}, "missing none, unknown sex"),
        (lambda x: {"photo": x["image"], "age": x["age"]}, "missing image, unknown photo"),
        (lambda x: [x["image"], x["age"]], 'Received 2 tensors.*"image": images, "age": ..., "mask": masks'),
    ],
)
def test_missing_and_superfluous_inputs_are_refused(batch, change, message):
    x, labels, _ = batch
    with pytest.raises(InputError, match=message):
        compiled(network()).train_step((change(x), labels))


@pytest.mark.one_generation
def test_inputs_of_a_network_that_takes_an_image_alone_are_refused(batch):
    x, labels, _ = batch
    with pytest.raises(InputError, match="unknown age. Further keys are the inputs that a Functional network"):
        compiled(network(None)).train_step((x, labels))


@pytest.mark.one_generation
def test_an_explicit_features_model_takes_an_image_alone():
    classifier = network()
    classifier.features = classifier.head = layers.Dense(2)
    with pytest.raises(InputError, match="take an image alone. Received one with age"):
        CAREModel(classifier, features="features", head="head")
