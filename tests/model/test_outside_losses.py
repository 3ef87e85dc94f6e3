"""OutsidePerturbation and InputGradient in CAREModel's place of the attention loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from classifiers import weights_difference
from marks import one_generation

from care_tf import CAREModel
from care_tf.callbacks import TwoStageSchedule
from care_tf.errors import InputError
from care_tf.keras_generation import KERAS_3
from care_tf.losses import AttentionLoss, FocalLoss, InputGradient, OutsidePerturbation, TripletLoss
from care_tf.model._masked_images import channel_scale

RANDOM, WORST, GRADIENT = OutsidePerturbation(), OutsidePerturbation("worst", 0.2), InputGradient(0.3)
SWAP = OutsidePerturbation("swap")
LOSSES = [GRADIENT, WORST, RANDOM, SWAP]
SETTINGS = dict(batch_size=8, epochs=1, verbose=0, shuffle=False)
GRAPH = {"run_eagerly": False}


def name_of(loss):
    return getattr(loss, "kind", "gradient")


def compiled(
    classifier, attention_loss, optimizer="sgd", loss="sparse_categorical_crossentropy", settings=None, **more
):
    """Eager unless asked otherwise: a trace costs as much as ten steps."""
    model = CAREModel(classifier, attention_loss=attention_loss, **more)
    model.compile(optimizer, loss, **{"run_eagerly": True, **(settings or {})})
    return model


def evaluated(model, x, labels):
    return model.evaluate(x, labels, batch_size=16, verbose=0, return_dict=True)


@keras.saving.register_keras_serializable(package="test")
class Window(keras.layers.Layer):
    """Blackens everything but rows 4 to 6 and columns 1 to 5, which are inside all boxes of the fixture."""

    def call(self, image):
        window = np.zeros((1, 12, 12, 1), np.float32)
        window[:, 4:7, 1:6] = 1
        return image * window


# --- oracles ---


@pytest.mark.one_generation
def test_the_input_gradient_is_that_of_each_masked_image_alone(network, images):
    image, labels, mask = images
    model = compiled(network(), GRADIENT, alpha=0.3, settings=GRAPH)
    logs = evaluated(model, {"image": image, "mask": mask}, labels)
    total, scale = 0.0, image.std(axis=(0, 1, 2))
    for b in range(6):
        one = tf.constant(image[b : b + 1])
        with tf.GradientTape() as tape:
            tape.watch(one)
            value = tf.reduce_sum(tf.math.log(model.classifier(one, training=False)))
        total += (((1 - mask[b]) * 0.3 * scale * tape.gradient(value, one)[0].numpy()) ** 2).sum()
    np.testing.assert_allclose(logs["attention_loss"], total / 16, rtol=1e-4)
    np.testing.assert_allclose(logs["loss"], 0.7 * logs["classification_loss"] + 0.3 * total / 16, rtol=1e-4)


@pytest.mark.one_generation
def test_the_scale_is_the_standard_deviation_of_each_channel(images):
    image = 40 * images[0] * np.array([1, 2, 3], np.float32) + 100
    np.testing.assert_allclose(channel_scale(tf.constant(image)), image.std(axis=(0, 1, 2)), rtol=1e-3)


# --- identities ---


@pytest.mark.one_generation
@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_a_network_that_ignores_the_outside_has_no_loss(network, images, loss):
    image, labels, mask = images
    given = keras.Input((12, 12, 3))
    model = compiled(keras.Model(given, network()(Window()(given))), loss)
    assert evaluated(model, {"image": image, "mask": mask}, labels)["attention_loss"] == 0.0
    assert evaluated(compiled(network(), loss), {"image": image, "mask": mask}, labels)["attention_loss"] > 0


@pytest.mark.one_generation
@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
@pytest.mark.filterwarnings("ignore:CARE trains no attention")
def test_no_masks_and_masks_of_the_whole_frame_leave_the_classification_loss_alone(network, images, loss):
    image, labels, mask = images
    classifiers = []
    for x in (image, {"image": image, "mask": 0 * mask}, {"image": image, "mask": 0 * mask + 1}):
        classifiers.append(network())
        history = compiled(classifiers[-1], loss).fit(x, labels, **SETTINGS).history
        assert history["attention_loss"] == [0.0]
    assert max(weights_difference(classifiers[0], other) for other in classifiers[1:]) == 0.0


@pytest.mark.parametrize("loss", [WORST, *one_generation(GRADIENT)], ids=name_of)
def test_the_second_pass_counts_for_nothing_else(network, images, loss):
    """Neither a layer's own loss, nor the embedding, nor attention_inside."""
    image, labels, mask = images
    classifier = network()
    classifier.get_layer("conv_1").activity_regularizer = keras.regularizers.L2(0.01)
    regular = keras.Model.from_config(classifier.get_config())
    regular.set_weights(classifier.get_weights())
    logs = []
    for each in (AttentionLoss(), loss):
        model = compiled(regular, each, embedding_loss=TripletLoss())
        logs.append(evaluated(model, {"image": image, "mask": mask}, labels))
    assert logs[0]["attention_loss"] != logs[1]["attention_loss"]
    for name in ("classification_loss", "embedding_loss", "embedding_spread", "attention_inside"):
        np.testing.assert_allclose(logs[0][name], logs[1][name], rtol=1e-6, err_msg=name)


@pytest.mark.one_generation
@pytest.mark.parametrize("loss", [RANDOM, WORST, SWAP], ids=name_of)
def test_seeds_make_training_repeatable(network, images, loss):
    image, labels, mask = images
    seeds, results = (0, 0, 1), []
    for seed in seeds:
        classifier = network()
        model = compiled(classifier, type(loss)(**{**loss.get_config(), "seed": seed}), alpha=0.9)
        model.fit({"image": image, "mask": mask}, labels, **SETTINGS)
        results.append(classifier)
    assert weights_difference(results[0], results[1]) == 0.0 < weights_difference(results[0], results[2])


@pytest.mark.usefixtures("rewritten_graphs")
@pytest.mark.parametrize("loss", [SWAP, *one_generation(RANDOM, WORST, GRADIENT)], ids=name_of)
def test_graph_and_eager_agree(network, images, loss):
    image, labels, mask = images
    results = []
    for settings in (GRAPH, {"run_eagerly": True}):
        results.append(network())
        model = compiled(results[-1], loss, settings=settings)
        model.fit({"image": image, "mask": mask}, labels, **SETTINGS)
    assert weights_difference(*results) < 1e-5


@pytest.mark.one_generation
@pytest.mark.parametrize("reduction", ["batch", "masked", "class_balanced"])
def test_each_reduction_divides_by_its_count(network, images, reduction):
    image, labels, mask = images
    labels = np.repeat(np.arange(2), 8)  # the six masked images are of one class
    logs = evaluated(compiled(network(), InputGradient(0.3, reduction)), {"image": image, "mask": mask}, labels)
    whole = evaluated(compiled(network(), GRADIENT), {"image": image, "mask": mask}, labels)
    factor = 1 if reduction == "batch" else 16 / 6
    np.testing.assert_allclose(logs["attention_loss"], factor * whole["attention_loss"], rtol=1e-5)


# --- what it costs ---


class Counted(OutsidePerturbation):
    """Counts its traces, and how often it is computed: in the graph, where a branch not taken does not count."""

    def __init__(self):
        super().__init__()
        self.num_traces, self.times = 0, tf.Variable(0)

    def per_image(self, *args):
        self.num_traces += 1
        with tf.control_dependencies([self.times.assign_add(1)]):
            return tf.identity(super().per_image(*args))


@pytest.mark.parametrize(("alpha", "times"), [(0.0, 4), pytest.param(0.5, 8, marks=pytest.mark.one_generation)])
def test_with_alpha_zero_only_validation_asks_the_network(network, images, alpha, times):
    image, labels, mask = images
    x, loss = {"image": image, "mask": mask}, Counted()
    model = compiled(network(), loss, alpha=alpha, settings=GRAPH)
    history = model.fit(x, labels, validation_data=(x, labels), **SETTINGS | {"epochs": 2}).history
    assert int(loss.times) == times  # two batches in each of two epochs, and as many of validation
    assert ("attention_loss" in history) == (alpha > 0) and min(history["val_attention_loss"]) > 0
    assert np.isfinite(history["loss"]).all()
    assert evaluated(model, x, labels)["attention_loss"] > 0


@pytest.mark.parametrize("loss", [RANDOM, *one_generation(GRADIENT)], ids=name_of)
def test_layers_own_losses_are_added_once_where_a_condition_asks_the_network(network, images, loss):
    """In a graph, what layers add inside the condition must not be looked for outside."""
    image, labels, mask = images
    results = []
    for each in (AttentionLoss(), loss):
        regularized = network()
        regularized.get_layer("conv_1").activity_regularizer = keras.regularizers.L2(0.01)
        classifier = keras.models.clone_model(regularized)
        classifier.set_weights(regularized.get_weights())
        model = compiled(classifier, each, alpha=0.0, settings=GRAPH)
        history = model.fit({"image": image, "mask": mask}, labels, **SETTINGS).history
        results.append((history["classification_loss"][0], classifier))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    assert weights_difference(results[0][1], results[1][1]) < 1e-6


@pytest.mark.one_generation
def test_a_schedule_switches_it_on_without_another_trace(network, images):
    image, labels, mask = images
    found = []
    for num_epochs in (0, 1):
        loss = Counted()
        model = compiled(network(), loss, alpha=0.5, settings=GRAPH)
        stages = TwoStageSchedule(pretrain_epochs=num_epochs, alpha=0.5)
        x, epochs = {"image": image, "mask": mask}, {"epochs": 2}
        history = model.fit(x, labels, callbacks=[stages], **SETTINGS | epochs).history
        found.append((int(loss.times), len(history["attention_loss"]), loss.num_traces))
    assert [each[:2] for each in found] == [(4, 2), (2, 1)]
    assert found[0][2] == found[1][2]


# --- properties ---


@pytest.mark.one_generation
def test_masked_images_alone_in_their_steps_have_nothing_to_exchange_and_fit_says_so(network, images):
    image, labels, mask = images
    alone = mask * (np.arange(len(mask)) % 8 == 0)[:, None, None, None]  # one in each step of eight
    model = compiled(network(), SWAP, alpha=0.5)
    with pytest.warns(
        UserWarning, match="CARE trains no attention: .* with fewer than 2 of them, and exchange nothing"
    ):
        history = model.fit({"image": image, "mask": alone}, labels, **SETTINGS).history
    assert history["attention_loss"] == [0.0]


@pytest.mark.one_generation
@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_the_loss_falls(network, images, loss):
    image, labels, mask = images
    loss = type(loss)(**{**loss.get_config(), "reduction": "masked"})
    classifier = network()
    kernel, bias = classifier.get_layer("scores").get_weights()
    classifier.get_layer("scores").set_weights([50 * kernel, bias])  # sure of what it sees
    model = compiled(classifier, loss, keras.optimizers.Adam(0.01), FocalLoss(), GRAPH, alpha=0.9)
    history = model.fit({"image": image, "mask": mask}, labels, batch_size=16, epochs=10, verbose=0).history
    assert history["attention_loss"][-1] < 0.7 * history["attention_loss"][0]


@pytest.mark.one_generation
@pytest.mark.parametrize("loss", [WORST, GRADIENT], ids=name_of)  # the random one takes the same log-probabilities
@pytest.mark.parametrize(("outputs", "activation"), [(1, "sigmoid"), (3, "sigmoid"), (3, None)])
def test_every_kind_of_output_has_log_probabilities(network, images, loss, outputs, activation):
    image, labels, mask = images
    classifier = network(num_outputs=outputs, activation=activation)
    found = CAREModel(classifier)._observed.log_probabilities(image).numpy()
    scores = classifier(image).numpy()
    if activation is None:
        expected = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    else:
        expected = np.concatenate([scores, 1 - scores], axis=-1)
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-5)
    y = labels % 2 if outputs == 1 else labels if activation is None else np.eye(3, dtype=np.float32)[labels]
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = compiled(classifier, loss, loss=logits if activation is None else "binary_crossentropy")
    history = model.fit({"image": image, "mask": mask}, y, **SETTINGS).history
    assert np.isfinite(history["loss"]).all() and min(history["attention_loss"]) > 0


@pytest.mark.parametrize("loss", [GRADIENT, *one_generation(RANDOM, WORST, SWAP)], ids=name_of)
def test_mixed_precision_finds_the_same_loss(network, images, loss):
    image, labels, mask = images
    found = []
    for policy in ("float32", "mixed_float16"):
        keras.mixed_precision.set_global_policy(policy)
        model = compiled(network(), loss)
        found.append(evaluated(model, {"image": image, "mask": mask}, labels)["attention_loss"])
        model.fit({"image": image, "mask": mask}, labels, **SETTINGS)
    np.testing.assert_allclose(found[1], found[0], rtol=0.1)


@pytest.mark.one_generation
def test_only_images_are_perturbed_of_several_inputs(images):
    image, labels, mask = images
    given, age = keras.Input((12, 12, 3), name="image"), keras.Input((1,), name="age")
    x = keras.layers.Conv2D(4, 3, activation="relu")(given)
    x = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(x), age])
    classifier = keras.Model([given, age], keras.layers.Dense(3, activation="softmax")(x))
    for loss in (RANDOM, GRADIENT):
        x = {"image": image, "age": np.arange(16.0)[:, None].astype(np.float32), "mask": mask}
        assert evaluated(compiled(classifier, loss), x, labels)["attention_loss"] > 0


# --- errors ---


@pytest.mark.one_generation
def test_layers_without_second_order_gradients_are_refused_for_the_input_gradient_alone():
    image = keras.Input((12, 12, 3))
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(image)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, name="after")(x))
    classifier = keras.Model(image, keras.layers.Dense(3)(x))
    with pytest.raises(InputError, match="InputGradient .*Received ResizeBilinear.*OutsidePerturbation"):
        CAREModel(classifier, attention_layer="after", attention_loss=GRADIENT)
    CAREModel(classifier, attention_layer="after", attention_loss=WORST)


@pytest.mark.one_generation
def test_what_cannot_be_changed_outside_a_mask_is_refused(network, images):
    image, labels, mask = images
    with pytest.raises(InputError, match="OutsidePerturbation passes images of floats.*activations.*cache_activations"):
        compiled(network(), RANDOM).fit({"activation": image, "mask": mask}, labels, verbose=0)
    with pytest.raises(InputError, match="InputGradient passes images of floats.*int32. Cast the images"):
        compiled(network(), GRADIENT).fit({"image": image.astype(np.int32), "mask": mask}, labels, verbose=0)
    with pytest.raises(InputError, match="attention_loss must be an AttentionLoss, .*Received str"):
        CAREModel(network(), attention_loss="energy")


@pytest.mark.filterwarnings("ignore:Model doesn't support:UserWarning")
def test_xla_is_left_out_or_refused(network, images):
    image, labels, mask = images
    model = compiled(network(), RANDOM, settings={"jit_compile": True, **GRAPH})
    if KERAS_3:  # it says so itself
        assert not model.jit_compile
    else:
        with pytest.raises(InputError, match="Received jit_compile=True.*Set jit_compile=False"):
            model.fit({"image": image, "mask": mask}, labels, verbose=0)
