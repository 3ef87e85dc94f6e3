"""The embedding loss inside CAREModel: what it adds to the objective, and what it leaves alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from marks import one_generation

from care_tf import CAREModel
from care_tf.errors import InputError
from care_tf.losses import TripletLoss
from care_tf.metrics import embedding_spread

# Eager: test_train_step_graph.py compiles the step with an embedding loss, and a trace costs as much as ten steps.
SETTINGS = dict(batch_size=8, epochs=1, verbose=0, shuffle=False)


def compiled(classifier, optimizer="sgd", **kwargs):
    model = CAREModel(classifier, **kwargs)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model


def embeddings_of(classifier, image):
    return keras.Model(classifier.inputs, classifier.get_layer("pool").output)(image, training=False)


@pytest.mark.parametrize("has_mask", [True, *one_generation(False)])
def test_the_objective_is_the_weighted_sum(network, images, has_mask):
    image, labels, mask = images
    loss = TripletLoss(margin=0.3)
    weights = {"embedding_weight": 0.7, "classification_weight": 0.4}
    model = compiled(network(), alpha=0.25, embedding_loss=loss, **weights)
    x = {"image": image, "mask": mask} if has_mask else image
    logs = model.evaluate(x, labels, batch_size=16, verbose=0, return_dict=True)
    embeddings = embeddings_of(model.classifier, image)
    embedding_loss = float(loss(labels, embeddings))
    parts = 0.4 * logs["classification_loss"] + 0.7 * embedding_loss
    assert embedding_loss > 0.01
    assert logs["embedding_loss"] == pytest.approx(embedding_loss, abs=1e-5)
    assert logs["embedding_spread"] == pytest.approx(float(embedding_spread(embeddings)), abs=1e-5)
    assert logs["loss"] == pytest.approx(0.75 * parts + 0.25 * logs["attention_loss"], abs=1e-5)
    assert (logs["attention_loss"] != 0) == has_mask


@pytest.mark.one_generation
def test_weight_zero_trains_to_the_weights_without_an_embedding_loss(network, images):
    image, labels, mask = images
    trained = []
    for settings in ({}, {"embedding_loss": TripletLoss(), "embedding_weight": 0.0}):
        model = compiled(network(), alpha=0.5, **settings)
        model.fit({"image": image, "mask": mask}, labels, **SETTINGS)
        trained.append(model.classifier.get_weights())
    for a, b in zip(*trained, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_alone_it_trains_the_embedding_and_leaves_the_last_layer(network, images):
    image, labels, _ = images
    optimizer = keras.optimizers.SGD(0.1)
    model = compiled(network(), optimizer, alpha=0.0, embedding_loss=TripletLoss(), classification_weight=0.0)
    before = [weight.copy() for weight in model.classifier.get_weights()]
    model.fit(image, labels, **SETTINGS)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.classifier.get_weights(), strict=True)]
    assert changed[0] and changed[-2:] == [False, False]


@pytest.mark.one_generation
def test_the_embedding_costs_no_further_forward_pass(network, images):
    image, labels, _ = images
    calls = {None: 0, "triplet": 0}
    for name in calls:
        model = compiled(network(), alpha=0.0, embedding_loss=None if name is None else TripletLoss())
        layer = model.classifier.get_layer("conv_1")
        original = layer.call

        def counted(*args, name=name, original=original, **kwargs):
            calls[name] += 1
            return original(*args, **kwargs)

        layer.__dict__["call"] = counted
        model.train_on_batch(image, labels)
    assert calls[None] == calls["triplet"] > 0


@pytest.mark.one_generation
@pytest.mark.parametrize("name", ["sequential", "nested"])
def test_other_networks_have_an_embedding_too(network, images, name):
    image, labels, mask = images
    model = compiled(network(name), embedding_loss=TripletLoss())
    logs = model.train_on_batch({"image": image, "mask": mask}, labels, return_dict=True)
    assert logs["embedding_loss"] > 0 and 0 < logs["embedding_spread"] <= 1


@pytest.mark.one_generation
def test_one_hot_labels_give_the_same(network, images):
    image, labels, _ = images
    values = []
    for y, loss in ((labels, "sparse_categorical_crossentropy"), (np.eye(3)[labels], "categorical_crossentropy")):
        model = CAREModel(network(), embedding_loss=TripletLoss())
        model.compile("sgd", loss, run_eagerly=True)
        values.append(model.evaluate(image, y, batch_size=16, verbose=0, return_dict=True)["embedding_loss"])
    assert values[0] == pytest.approx(values[1], abs=1e-6)


@pytest.mark.one_generation
def test_images_of_no_class_are_like_no_other(network, images):
    image, labels, _ = images
    rows = np.eye(3, dtype=np.float32)[labels]
    rows[:] = 0
    model = CAREModel(network(), embedding_loss=TripletLoss())
    model.compile("sgd", "categorical_crossentropy", run_eagerly=True)
    assert model.evaluate(image, rows, batch_size=16, verbose=0, return_dict=True)["embedding_loss"] == 0.0


@pytest.mark.one_generation
def test_a_loss_from_elsewhere_gets_a_number_of_its_own_for_each_image_of_no_class(network, images):
    image, labels, _ = images
    seen = []

    def loss(y_true, y_pred):
        seen.append(y_true.numpy().tolist())
        return tf.reduce_mean(y_pred)

    rows = np.eye(3, dtype=np.float32)[labels]
    rows[[1, 3]] = 0
    model = CAREModel(network(), embedding_loss=loss)
    model.compile("adam", "categorical_crossentropy", run_eagerly=True)
    model.test_step((image, tf.constant(rows)))
    expected = labels.tolist()
    expected[1], expected[3] = -2, -4
    assert seen == [expected]


def test_regularization_does_not_depend_on_the_weights(network, images):
    image, labels, _ = images
    totals = []
    for weight in (1.0, 0.0):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((12, 12, 3))
        x = keras.layers.Conv2D(4, 3, kernel_regularizer=keras.regularizers.L2(0.5))(inputs)
        x = keras.layers.GlobalAveragePooling2D()(x)
        classifier = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
        model = compiled(classifier, alpha=0.0, embedding_loss=TripletLoss(), classification_weight=weight)
        logs = model.evaluate(image, labels, batch_size=16, verbose=0, return_dict=True)
        regularization = float(tf.add_n([tf.convert_to_tensor(loss) for loss in classifier.losses]))
        cross_entropy = logs["classification_loss"] - regularization
        totals.append(logs["loss"] - weight * cross_entropy - logs["embedding_loss"])
        assert totals[-1] == pytest.approx(regularization, rel=1e-4)


def test_it_is_saved_and_loaded_with_the_model(network, images, tmp_path):
    image, labels, _ = images
    loss = TripletLoss(margin=0.3, mining="semi_hard")
    model = compiled(network(), alpha=0.0, embedding_loss=loss, embedding_weight=0.2, classification_weight=0.9)
    model.fit(image, labels, **SETTINGS)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.embedding_loss.get_config() == loss.get_config()
    assert (loaded.embedding_weight, loaded.classification_weight) == (0.2, 0.9)
    np.testing.assert_allclose(loaded.predict(image, verbose=0), model.predict(image, verbose=0), atol=1e-6)


@pytest.mark.one_generation
def test_networks_without_a_last_dense_layer_are_refused(images):
    image, labels, _ = images
    inputs = keras.Input((12, 12, 3))
    scores = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3)(inputs))
    model = compiled(keras.Model(inputs, keras.layers.Softmax()(scores)), embedding_loss=TripletLoss())
    with pytest.raises(InputError, match="input of the classifier's last Dense layer"):
        model.train_on_batch(image, labels)


@pytest.mark.one_generation
@pytest.mark.parametrize("name", ["embedding_weight", "classification_weight"])
def test_weights_out_of_range_are_refused(network, name):
    with pytest.raises(InputError, match=f"{name} weights a loss and must be at least 0"):
        CAREModel(network(), **{name: -0.1})
