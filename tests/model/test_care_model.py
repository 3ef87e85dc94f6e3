import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from classifiers import weights_difference
from marks import one_generation

from care_tf import CAREModel
from care_tf.errors import InputError
from care_tf.keras_generation import KERAS_3, tensorflow_variable
from care_tf.losses import AttentionLoss
from care_tf.metrics import MeanClassAccuracy

SETTINGS = dict(batch_size=4, epochs=2, verbose=0, shuffle=False)
TWO_STEPS = dict(batch_size=8, epochs=1, verbose=0, shuffle=False)
# Where a few steps are looked at, and not what tracing makes of them: a trace costs as much as ten of them.
EAGER = {"run_eagerly": True}


def compiled(classifier, loss="sparse_categorical_crossentropy", optimizer="sgd", compile_settings=None, **kwargs):
    model = CAREModel(classifier, **kwargs)
    model.compile(optimizer, loss, **(compile_settings or {}))
    return model


def trained(x, labels, classifier, *args, **kwargs):
    """The classifier after two eager steps inside a CAREModel."""
    compiled(classifier, *args, compile_settings=EAGER, **kwargs).fit(x, labels, **TWO_STEPS)
    return classifier


def evaluated(model, x, labels, **kwargs):
    model.run_eagerly = True
    return model.evaluate(x, labels, batch_size=16, verbose=0, return_dict=True, **kwargs)


def from_logits():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# --- oracles ---


def numpy_loss(classifier, image, labels, mask, alpha, tau, lam):
    """The loss of Eq. 4 for the pooled head, from layer outputs, without care_tf and without gradients."""
    features = keras.Model(classifier.inputs, classifier.get_layer("last_relu").output)(image, training=False).numpy()
    kernel = classifier.get_layer("scores").get_weights()[0]
    probabilities = classifier(image, training=False).numpy()
    cross_entropy = -np.mean(np.log(probabilities[np.arange(len(labels)), labels]))
    total = 0.0
    for b, label in enumerate(labels):
        if not mask[b].any():
            continue
        activation = sum(kernel[k, label] * features[b, ..., k] for k in range(features.shape[-1]))
        activation = (activation - activation.min()) / (activation - activation.min()).max()
        resized = tf.image.resize(activation[..., None], mask.shape[1:3], method="bilinear")[..., 0].numpy()
        inside = mask[b, ..., 0] > 0
        total += -min(resized[inside].mean(), tau) + lam * resized[~inside].mean()
    return (1 - alpha) * cross_entropy + alpha * total / len(labels), cross_entropy, total / len(labels)


def test_evaluate_reports_the_loss_of_the_paper(network, images):
    image, labels, mask = images
    model = compiled(network(), alpha=0.3, attention_loss=AttentionLoss(tau=0.4, lam=0.8))
    logs = model.evaluate({"image": image, "mask": mask}, labels, batch_size=16, verbose=0, return_dict=True)
    expected = numpy_loss(model.classifier, image, labels, mask, 0.3, 0.4, 0.8)
    found = [logs["loss"], logs["classification_loss"], logs["attention_loss"]]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("head", [*one_generation("pooled"), "dense"])
@pytest.mark.parametrize("cam", ["gradcam", *one_generation("gradcam++", "hirescam", "layercam", "xgradcam")])
def test_the_second_order_gradient_agrees_with_finite_differences(network, images, head, cam):
    image, labels, mask = images
    keras.mixed_precision.set_global_policy("float64")
    try:
        model = CAREModel(network(head=head), cam=cam)
        image, index = tf.constant(image[:4], tf.float64), tf.constant(labels[:4])
        predictions, attention = model._observed.predict_with_attention(image, index, training=False, second_order=True)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert predictions.dtype == attention.dtype == tf.float64
    loss = AttentionLoss(tau=1.0, lam=0.7)

    variables = model.classifier.trainable_variables

    @tf.function(autograph=False)
    def attention_loss():
        _, attention = model._observed.predict_with_attention(image, index, training=False, second_order=True)
        return loss(attention, mask[:4])

    with tf.GradientTape() as tape:
        value = attention_loss()
    slopes = tape.gradient(value, [tensorflow_variable(v) for v in variables], unconnected_gradients="zero")
    for variable, slope in zip(variables, slopes, strict=True):
        slope = slope.numpy()
        direction = np.random.default_rng(4).normal(size=slope.shape)
        start, step = variable.numpy(), 1e-6
        values = []
        for sign in (1, -1):
            variable.assign(start + sign * step * direction)
            values.append(float(attention_loss()))
        variable.assign(start)
        np.testing.assert_allclose(
            (values[0] - values[1]) / (2 * step), (slope * direction).sum(), rtol=1e-5, atol=1e-8
        )


# --- identities ---


@pytest.mark.usefixtures("rewritten_graphs")
@pytest.mark.parametrize("name", [*one_generation("functional", "sequential"), "nested"])
def test_alpha_zero_trains_to_the_weights_of_plain_keras(network, images, name):
    image, labels, mask = images
    is_traced = name == "nested"  # the one with dropout, and with all that the others have
    steps, masks = (SETTINGS, (mask, 0 * mask)) if is_traced else (TWO_STEPS, (mask,))
    plain = network(name)
    plain.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=not is_traced)
    keras.utils.set_random_seed(5)
    plain.fit(image, labels, **steps)
    for given in masks:
        # With a metric by name, as plain Keras 2 has one of its own: both steps are traced twice then, and Keras 2's
        # dropout starts anew with the second.
        compile_settings = {"metrics": ["accuracy"], "run_eagerly": not is_traced}
        model = compiled(network(name), alpha=0.0, compile_settings=compile_settings)
        keras.utils.set_random_seed(5)
        model.fit({"image": image, "mask": given}, labels, **steps)
        assert weights_difference(plain, model.classifier) < 1e-6


@pytest.mark.one_generation
@pytest.mark.filterwarnings("ignore:CARE trains no attention")
def test_images_without_a_mask_give_the_gradient_of_the_classification_loss_alone(network, images):
    image, labels, mask = images
    inputs = ({"image": image, "mask": 0 * mask}, image)
    results = [trained(x, labels, network(), optimizer=keras.optimizers.SGD(0.1)) for x in inputs]
    assert weights_difference(*results) == 0.0


@pytest.mark.one_generation
@pytest.mark.parametrize("num_outputs", [1, 3])
@pytest.mark.parametrize("second_order", [True, False])
def test_the_closed_form_trains_to_the_weights_of_nested_tapes(network, images, num_outputs, second_order):
    image, labels, mask = images
    activation, loss = ("sigmoid", "binary_crossentropy") if num_outputs == 1 else ("softmax", None)
    labels = labels % 2 if num_outputs == 1 else labels

    def trained_where(head_is_seen):
        classifier = network(num_outputs=num_outputs, activation=activation)
        loss_name = loss or "sparse_categorical_crossentropy"
        model = compiled(classifier, loss_name, keras.optimizers.SGD(0.1), EAGER, second_order=second_order)
        if not head_is_seen:
            model._observed._anatomy = dataclasses.replace(model.anatomy, pooled_dense=None)
        assert (model.anatomy.pooled_dense is not None) == head_is_seen
        model.fit({"image": image, "mask": mask}, labels, **TWO_STEPS)
        return classifier

    assert weights_difference(trained_where(True), trained_where(False)) < 1e-5


@pytest.mark.one_generation
def test_first_and_second_order_differ(network, images):
    image, labels, mask = images
    x = {"image": image, "mask": mask}
    sgd = keras.optimizers.SGD
    results = [trained(x, labels, network(), optimizer=sgd(0.1), second_order=o, alpha=0.9) for o in (True, False)]
    assert weights_difference(*results) > 1e-4


def test_one_hot_and_integer_labels_agree(network, images):
    image, labels, mask = images
    forms = [
        (labels, "sparse_categorical_crossentropy"),
        (np.eye(3, dtype=np.float32)[labels], "categorical_crossentropy"),
        (labels[:, None], "sparse_categorical_crossentropy"),
    ]
    results = [trained({"image": image, "mask": mask}, y, network(), loss) for y, loss in forms]
    assert max(weights_difference(results[0], other) for other in results[1:]) < 1e-6


@pytest.mark.usefixtures("rewritten_graphs")
@pytest.mark.parametrize("settings", [*one_generation({}), {"jit_compile": True}, {"steps_per_execution": 2}], ids=str)
def test_graph_and_xla_train_as_eager_steps(network, images, settings):
    image, labels, mask = images
    results = []
    for compile_settings in (EAGER, settings):
        # Plain gradient descent: Adam's first steps would turn rounding noise of small gradients into whole steps.
        results.append(network(head="dense"))
        model = compiled(results[-1], optimizer=keras.optimizers.SGD(0.1), compile_settings=compile_settings)
        model.fit({"image": image, "mask": mask}, labels, **SETTINGS | {"epochs": 1})
    assert weights_difference(*results) < 1e-4


@pytest.mark.one_generation
@pytest.mark.filterwarnings("ignore:CARE trains no attention")
def test_regularization_does_not_depend_on_alpha(network, images):
    image, labels, mask = images
    classifier = network()
    classifier.get_layer("scores").kernel_regularizer = keras.regularizers.L2(0.1)
    regularized = keras.Model.from_config(classifier.get_config())
    regularized.set_weights(classifier.get_weights())
    model = compiled(regularized, alpha=1.0, optimizer=keras.optimizers.SGD(1.0), compile_settings=EAGER)
    before = regularized.get_layer("scores").get_weights()[0]
    model.fit({"image": image, "mask": 0 * mask}, labels, batch_size=16, epochs=1, verbose=0)
    np.testing.assert_allclose(regularized.get_layer("scores").get_weights()[0], before * (1 - 0.2), rtol=1e-4)


# --- properties ---


@pytest.mark.parametrize("name", [*one_generation("functional", "sequential", "nested"), "subclassed"])
def test_attention_moves_into_the_box(network, images, name):
    image, labels, mask = images
    loss = from_logits() if name == "subclassed" else "sparse_categorical_crossentropy"
    settings = {"run_eagerly": name != "functional"}
    model = compiled(network(name), loss, keras.optimizers.Adam(0.03), settings, alpha=0.9)
    history = model.fit({"image": image, "mask": mask}, labels, batch_size=16, epochs=12, verbose=0).history
    assert history["attention_inside"][-1] > history["attention_inside"][0] + 0.05
    assert history["attention_loss"][-1] < history["attention_loss"][0]


@pytest.mark.one_generation
def test_features_and_head_equal_the_found_layer(network, images):
    image, labels, mask = images
    x, given = {"image": image, "mask": mask}, network("subclassed")
    found = trained(x, labels, network("subclassed"), from_logits(), attention_layer="last_relu")
    named = trained(x, labels, given, from_logits(), features=given.body, head="top")
    assert weights_difference(found, named) < 1e-6


@pytest.mark.one_generation
@pytest.mark.filterwarnings("ignore:CARE trains no attention")
@pytest.mark.parametrize("reduction", ["batch", "masked", "class_balanced"])
def test_any_number_of_masked_images_stays_finite(network, images, reduction):
    image, labels, _ = images
    settings = EAGER if reduction != "class_balanced" else {}
    model = compiled(network(), attention_loss=AttentionLoss(reduction=reduction), compile_settings=settings)
    for num_masked in (0, 1, 8):
        mask = np.zeros((16, 12, 12, 1), np.float32)
        mask[np.arange(16) % 8 < num_masked, 1:] = 1
        history = model.fit({"image": image, "mask": mask}, labels, **TWO_STEPS).history
        assert all(np.isfinite(values).all() for values in history.values())
        assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("head", [*one_generation("pooled"), "dense"])
def test_mixed_precision_trains_with_float32_maps(network, images, head):
    image, labels, mask = images

    def first_step(policy):
        """The attention loss before and the change of all weights by one step on it alone: alpha = 1."""
        keras.mixed_precision.set_global_policy(policy)
        sgd = keras.optimizers.SGD(1.0)
        settings = {} if (head, policy) == ("dense", "mixed_float16") else EAGER  # one is traced
        model = compiled(network(head=head), alpha=1.0, optimizer=sgd, compile_settings=settings)
        start = np.concatenate([w.ravel() for w in model.classifier.get_weights()])
        logs = model.fit({"image": image, "mask": mask}, labels, batch_size=16, epochs=1, verbose=0).history
        step = np.concatenate([w.ravel() for w in model.classifier.get_weights()]) - start
        maps = model.predictions_and_attention(image, tf.ones(16, tf.int32))[1].numpy()
        assert maps.dtype == np.float32 and np.isfinite(maps).all() and float(model.alpha) == 1.0
        return logs["attention_loss"][0], step

    expected, exact = first_step("float32")
    for policy, tolerance in (("mixed_float16", 0.05), ("mixed_bfloat16", 0.25)):
        loss, step = first_step(policy)
        np.testing.assert_allclose(loss, expected, atol=0.1 * tolerance)
        assert np.linalg.norm(step - exact) < tolerance * np.linalg.norm(exact)  # a lost gradient would show


def test_optimizers_with_clipping_accumulation_and_averages(network, images):
    image, labels, mask = images
    averages = {"use_ema": True, "ema_overwrite_frequency": 2}
    accumulation = {"gradient_accumulation_steps": 2} if KERAS_3 else {}
    for option in ({"global_clipnorm": 1.0, **averages}, {"clipnorm": 1.0, **accumulation}):
        model = compiled(network(), optimizer=keras.optimizers.Adam(1e-2, **option))
        before = model.classifier.get_weights()[0].copy()
        history = model.fit({"image": image, "mask": mask}, labels, **SETTINGS).history
        assert np.isfinite(history["loss"]).all()
        assert np.abs(model.classifier.get_weights()[0] - before).max() > 0


def test_sample_and_class_weights_weigh_the_classification_loss(network, images):
    image, labels, mask = images
    weights = np.linspace(0.5, 2.0, 3).astype(np.float32)
    results = []
    for given in ({"class_weight": dict(enumerate(weights))}, {"sample_weight": weights[labels]}, {}):
        model = compiled(network(), compile_settings=EAGER)
        model.fit({"image": image, "mask": mask}, labels, **given, **TWO_STEPS)
        results.append(model.classifier)
    by_class, by_sample, unweighted = results
    assert weights_difference(by_class, by_sample) < 1e-6
    assert weights_difference(by_class, unweighted) > 1e-5


@pytest.mark.one_generation
def test_an_image_of_weight_zero_leaves_no_trace_in_the_attention_loss(network, images):
    image, labels, mask = images
    sample_weight = np.ones(16, np.float32)
    sample_weight[0] = 0
    unmasked = mask.copy()
    unmasked[0] = 0
    logs = [
        evaluated(compiled(network()), {"image": image, "mask": m}, labels, sample_weight=w)
        for m, w in ((mask, sample_weight), (unmasked, None))
    ]
    np.testing.assert_allclose(logs[0]["attention_loss"], logs[1]["attention_loss"], rtol=1e-6)


@pytest.mark.one_generation
def test_multi_label_masks_belong_to_the_named_class(network, images):
    image, _, mask = images
    multi_hot = np.tile(np.array([[1.0, 1.0, 0.0]], np.float32), (16, 1))
    mask_class = np.where(np.arange(16) < 6, 1, -1).astype(np.int32)
    model = compiled(network(activation="sigmoid"), "binary_crossentropy")
    logs = evaluated(model, {"image": image, "mask": mask, "mask_class": mask_class}, multi_hot)
    integer = compiled(network(activation=None), from_logits())
    expected = evaluated(integer, {"image": image, "mask": mask}, np.ones(16, np.int32))
    np.testing.assert_allclose(logs["attention_loss"], expected["attention_loss"], rtol=1e-5)
    none = {"image": image, "mask": mask, "mask_class": np.full(16, -1, np.int32)}
    assert evaluated(model, none, multi_hot)["attention_loss"] == 0.0


@pytest.mark.one_generation
def test_binary_score_of_class_zero_is_minus_the_logit(network, images):
    image, _, _ = images
    model = CAREModel(network(num_outputs=1, activation="sigmoid"))
    np.testing.assert_allclose(model.attention_map(image, 0), 1 - model.attention_map(image, 1), atol=1e-5)


@pytest.mark.one_generation
def test_a_mask_of_255_is_a_mask_of_1(network, images):
    image, labels, mask = images
    masks = (mask, mask > 0, (255 * mask).astype(np.uint8))
    logs = [evaluated(compiled(network()), {"image": image, "mask": m}, labels)["attention_loss"] for m in masks]
    assert logs[0] == pytest.approx(logs[1]) == pytest.approx(logs[2])


@pytest.mark.one_generation
def test_a_multi_label_image_without_a_finding_supervises_no_class(network, images):
    image, _, mask = images
    model = compiled(network(activation="sigmoid"), "binary_crossentropy")
    logs = evaluated(model, {"image": image, "mask": mask}, np.zeros((16, 3), np.float32))
    assert logs["attention_loss"] == 0


def test_logs_can_be_monitored(network, images):
    image, labels, mask = images
    monitors = {"val_classification_loss": "min", "loss": "auto", "val_mean_class_accuracy": "auto"}
    callbacks = [keras.callbacks.EarlyStopping(name, mode=mode) for name, mode in monitors.items()]
    model = CAREModel(network())
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[MeanClassAccuracy()])
    model.fit({"image": image, "mask": mask}, labels, validation_data=(image, labels), verbose=0, callbacks=callbacks)


def test_dropout_between_the_map_and_its_pooling_has_no_closed_form():
    for dropout in (keras.layers.SpatialDropout2D(0.5), keras.layers.GaussianNoise(0.5)):
        image = keras.Input((12, 12, 3))
        x = dropout(keras.layers.Conv2D(4, 3, name="last")(image))
        output = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
        model = CAREModel(keras.Model(image, output), attention_layer="last")
        assert model.anatomy.pooled_dense is None


def head_in_32_bits(x):  # as the package builds it, and as Keras' guide to mixed precision has it
    return keras.layers.Dense(3, activation="softmax", dtype="float32")(x)


def head_in_16_bits(x):
    return keras.layers.Activation("softmax", dtype="float32")(keras.layers.Dense(3)(x))


def logits_in_32_bits(x):
    return keras.layers.Activation("linear", dtype="float32")(keras.layers.Dense(3)(x))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("head", [head_in_32_bits, head_in_16_bits, logits_in_32_bits])
def test_mixed_precision_keeps_the_closed_form(images, head, policy):
    image, _, _ = images
    keras.mixed_precision.set_global_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        inputs = keras.Input((12, 12, 3))
        x = keras.layers.Conv2D(4, 3, activation="relu", name="last")(inputs)
        vectors = keras.layers.GlobalAveragePooling2D()(x)
        network = keras.Model(inputs, head(vectors))
        model = CAREModel(network)
        dense = next(layer for layer in network.layers if isinstance(layer, keras.layers.Dense))
        assert model.anatomy.pooled_dense is dense
        closed = model.predictions_and_attention(image, tf.ones(len(image), tf.int32))[1]
        nested = CAREModel(network)
        nested._observed._anatomy = dataclasses.replace(model.anatomy, pooled_dense=None)
        taped = nested.predictions_and_attention(image, tf.ones(len(image), tf.int32))[1]
        # The tape rounds its gradients to 16 bits, the closed form does not.
        np.testing.assert_allclose(closed, taped, atol=2e-2 if policy == "mixed_float16" else 1e-1)
        # What lies between, or reads the pooled vector as well, still rules it out.
        for other in (keras.layers.Activation("tanh")(vectors), vectors + vectors):
            assert CAREModel(keras.Model(inputs, head(other))).anatomy.pooled_dense is None
    finally:
        keras.mixed_precision.set_global_policy("float32")


class Rounding(keras.Model):
    """Rounds the features, or the pooled vector, by casts that are no layers."""

    def __init__(self, before_pooling):
        super().__init__()
        self.before_pooling = before_pooling
        self.last = keras.layers.Conv2D(4, 3, name="last")
        self.pooling, self.dense = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)

    def call(self, x):
        x = self.last(x)
        if self.before_pooling:
            return self.dense(self.pooling(rounded(x)))
        return self.dense(rounded(self.pooling(x)))


def rounded(x):
    return tf.cast(tf.cast(x, tf.int32), tf.float32)


class SquaredPooling(keras.layers.GlobalAveragePooling2D):
    def call(self, x):
        return tf.reduce_mean(x**2, (1, 2))


def test_a_head_that_only_looks_like_pooling_and_dense_has_no_closed_form():
    image = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(4, 3, name="last")(image)
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    heads = (keras.layers.Dense(3, activation="relu")(pooled), keras.layers.Dense(3)(SquaredPooling()(x)))
    for output in heads:
        assert CAREModel(keras.Model(image, output), attention_layer="last").anatomy.pooled_dense is None
    for before_pooling in (True, False):
        model = CAREModel(Rounding(before_pooling), attention_layer="last")
        with pytest.raises(InputError, match="gradient"):
            model.predictions_and_attention(tf.zeros((2, 12, 12, 3)), tf.zeros(2, tf.int32))


def test_the_wrapper_hands_images_on_untouched(network, images):
    classifier = network()
    expected = classifier.predict(1e5 * images[0], verbose=0)
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = compiled(classifier)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    np.testing.assert_array_equal(model.predict(1e5 * images[0], verbose=0), expected)


# --- attention maps ---


@pytest.mark.one_generation
def test_attention_map_has_the_images_size_and_takes_any_class_index(network, images):
    image, _, _ = images
    model = CAREModel(network())
    predicted = model.predict(image, verbose=0).argmax(-1)
    maps = model.attention_map(image, batch_size=5)
    assert maps.shape == (16, 12, 12) and maps.dtype == np.float32
    assert maps.min() >= 0 and maps.max() <= 1
    np.testing.assert_allclose(maps, model.attention_map(image, predicted), atol=1e-6)
    np.testing.assert_allclose(model.attention_map(image, 2), model.attention_map(image, np.full(16, 2)), atol=1e-6)
    assert model.attention_map(image[:0]).shape == (0, 12, 12)


@pytest.mark.one_generation
@pytest.mark.parametrize("leading", [0, 1])
def test_tokens_fold_back_to_a_grid(leading, images):
    image = keras.Input((12, 12, 3))
    patches = keras.layers.Reshape((16, 4), name="tokens")(keras.layers.Conv2D(4, 3, strides=3)(image))
    if leading:
        patches = keras.layers.ZeroPadding1D((1, 0), name="with_class_token")(patches)
    output = keras.layers.Dense(3)(keras.layers.Flatten()(patches))
    name = "with_class_token" if leading else "tokens"
    model = CAREModel(keras.Model(image, output), attention_layer=name)
    assert model.predictions_and_attention(images[0])[1].shape == (16, 4, 4)


# --- the classifier stays what it was ---


def test_hooks_leave_nothing_behind_even_after_an_exception(network, images):
    image, labels, mask = images
    classifier = network()
    layers = [classifier.get_layer("last_relu"), classifier.get_layer("scores")]
    before = [dict(vars(layer)) for layer in layers]
    model = compiled(classifier)
    model.fit({"image": image, "mask": mask}, labels, **TWO_STEPS)
    model.run_eagerly = True  # One trace is enough.
    model.evaluate({"image": image, "mask": mask}, labels, verbose=0)
    model.predictions_and_attention(image)

    def failing(features, gradients):  # while both layers are observed
        raise RuntimeError("no map")

    with pytest.raises(RuntimeError, match="no map"):
        compiled(classifier, cam=failing).train_on_batch({"image": image, "mask": mask}, labels)
    for layer, old in zip(layers, before, strict=True):
        assert vars(layer).get("call") is old.get("call")
        assert vars(layer).get("activation") is old.get("activation")


def test_the_classifier_predicts_as_the_wrapper_and_saves_alone(network, images, tmp_path):
    image, labels, mask = images
    model = compiled(network("nested"), compile_settings=EAGER)
    model.fit({"image": image, "mask": mask}, labels, **TWO_STEPS)
    model.run_eagerly = False
    expected = model.predict({"image": image}, verbose=0)
    np.testing.assert_array_equal(model.classifier.predict(image, verbose=0), expected)
    model.classifier.save(tmp_path / "classifier.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "classifier.keras")(image), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["functional", "subclassed"])
def test_the_wrapper_saves_loads_and_goes_on_training(network, images, tmp_path, name):
    image, labels, mask = images
    batch = {"image": image, "mask": mask}
    halves = {"features": "body", "head": "top"} if name == "subclassed" else {}
    loss = from_logits() if name == "subclassed" else "sparse_categorical_crossentropy"
    model = compiled(
        network(name),
        loss,
        "adam",
        alpha=0.4,
        attention_loss=AttentionLoss(0.5, 0.9, "masked"),
        cam="layercam",
        compile_settings={"run_eagerly": name == "functional"},
        **halves,
    )
    model.fit(batch, labels, **TWO_STEPS)
    model.alpha = 0.25
    model.save(tmp_path / "care.keras")
    again = keras.models.load_model(tmp_path / "care.keras")
    assert float(again.alpha) == 0.25
    assert again.attention_loss.get_config() == model.attention_loss.get_config()
    assert int(again.optimizer.iterations) == int(model.optimizer.iterations) == 2
    np.testing.assert_allclose(again.predict(image, verbose=0), model.predict(image, verbose=0), atol=1e-6)
    for either in (model, again):
        either.fit(batch, labels, **TWO_STEPS)
    assert weights_difference(model.classifier, again.classifier) < 1e-5


@pytest.mark.one_generation
def test_config_round_trip(network):
    model = CAREModel(network(), alpha=0.2, cam="hirescam", second_order=False, attention_layer="conv_1")
    again = CAREModel.from_config(model.get_config())
    assert {k: v for k, v in again.get_config().items() if k != "classifier"} == {
        k: v for k, v in model.get_config().items() if k != "classifier"
    }


# --- errors ---


@pytest.mark.one_generation
def test_bad_arguments_are_refused(network):
    for arguments, message in (
        ({"alpha": 1.5}, r"alpha .*\[0, 1\].*Received alpha=1.5"),
        ({"attention_layer": "nope"}, "attention_layer='nope' is not a layer.*last_relu"),
        ({"attention_layer": "pool"}, "needs the image's rows and columns.*'pool'"),
        ({"cam": "magic"}, "cam must be one of"),
        ({"features": "body"}, "features and head belong together"),
        ({"features": "nothing", "head": "nothing"}, "features must be a layer or model that the classifier holds"),
    ):
        with pytest.raises(InputError, match=message):
            CAREModel(network(), **arguments)
    with pytest.raises(InputError, match="classifier must be a keras.Model"):
        CAREModel("resnet50")


@pytest.mark.one_generation
def test_a_map_of_one_pixel_is_refused():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 8, name="whole_frame")(image)
    with pytest.raises(InputError, match="No feature map lies on every path"):
        CAREModel(keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x))))


@pytest.mark.one_generation
def test_a_classifier_with_two_outputs_is_refused():
    image = keras.Input((8, 8, 3))
    side = keras.layers.Conv2D(4, 3)(image)
    model = keras.Model(image, [keras.layers.Dense(2)(keras.layers.Flatten()(side)), side])
    with pytest.raises(InputError, match="must return one tensor"):
        CAREModel(model)


@pytest.mark.one_generation
def test_a_layer_beside_the_way_to_the_output_is_refused():
    class Beside(keras.Model):
        def __init__(self):
            super().__init__()
            self.side, self.main, self.out = (
                keras.layers.Conv2D(4, 3, name="side"), keras.layers.Conv2D(4, 3), keras.layers.Dense(2)
            )  # fmt: skip

        def call(self, inputs):
            self.side(inputs)
            return self.out(tf.reduce_mean(self.main(inputs), axis=(1, 2)))

    classifier = Beside()
    classifier(np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(InputError, match="'side' does not lead to the classifier's output"):
        CAREModel(classifier, attention_layer="side").attention_map(np.zeros((1, 8, 8, 3), np.float32))


def test_bilinear_upsampling_behind_the_attention_layer_is_refused():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="deep")(image)
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, name="after")(x))
    classifier = keras.Model(image, keras.layers.Dense(2)(x))
    with pytest.raises(InputError, match="ResizeBilinear.*second_order=False"):
        CAREModel(classifier, attention_layer="deep")
    CAREModel(classifier, attention_layer="deep", second_order=False)
    CAREModel(classifier, attention_layer="after")


def test_looking_at_maps_does_not_switch_the_refusal_off(images):
    class Upsampling(keras.Model):
        def __init__(self):
            super().__init__()
            layers = keras.layers
            self.deep, self.up = layers.Conv2D(4, 3, name="deep"), layers.UpSampling2D(2, interpolation="bilinear")
            self.conv, self.pool, self.out = layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(3)

        def call(self, inputs):
            return self.out(self.pool(self.conv(self.up(self.deep(inputs)))))

    image, labels, mask = images
    model = compiled(Upsampling(), from_logits(), attention_layer="deep")  # never called before: built unobserved
    assert model.attention_map(image).shape == (16, 12, 12)
    with pytest.raises(InputError, match="second_order=False"):
        model.fit({"image": image, "mask": mask}, labels, verbose=0)


def test_random_geometry_inside_the_classifier_is_refused():
    image = keras.Input((8, 8, 3))
    x = keras.layers.RandomFlip("horizontal", name="flip")(image)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(x))
    inner = keras.Model(image, keras.layers.Dense(2)(x), name="inner")
    with pytest.raises(InputError, match="'flip' .*moves the image at random.*in the dataset"):
        CAREModel(inner)


def test_a_softmax_outside_any_layer_is_refused():
    class Functional(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv, self.dense = keras.layers.Conv2D(4, 3), keras.layers.Dense(2)

        def call(self, inputs):
            return tf.nn.softmax(self.dense(tf.reduce_mean(self.conv(inputs), axis=(1, 2))))

    classifier = Functional()
    model = compiled(classifier)
    with pytest.raises(InputError, match="ends in softmax.*Activation"):
        model.fit({"image": np.zeros((4, 8, 8, 3)), "mask": np.ones((4, 8, 8, 1))}, np.zeros(4), verbose=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *(
            pytest.param(*each, marks=pytest.mark.one_generation)
            for each in (
                (lambda b, y: ({"image": b["image"], "mask": b["mask"][:, 0, :, 0]}, y), "mask batch must have shape"),
                (
                    lambda b, y: ({"image": b["image"], "mask": np.repeat(b["mask"], 3, -1)}, y),
                    "mask batch must have shape",
                ),
                (
                    lambda b, y: ({"image": b["image"], "mask": b["mask"][:, :6]}, y),
                    "must have its image's height and width",
                ),
                (lambda b, y: ({"image": b["image"], "masks": b["mask"]}, y), 'dict with the key "image".*masks'),
            )
        ),
        (lambda b, y: (b, np.zeros((16, 5), np.float32)), r"class values of shape \(batch, 3\)"),
    ],
)
def test_bad_batches_are_refused(network, images, change, message):
    image, labels, mask = images
    x, y = change({"image": image, "mask": mask}, labels)
    with pytest.raises(InputError, match=message):
        compiled(network()).fit(x, y, verbose=0)


@pytest.mark.one_generation
def test_labels_as_a_dict_are_refused(network, images):
    image, labels, mask = images
    with pytest.raises(InputError, match="Masks belong in x"):
        compiled(network()).train_step(({"image": image, "mask": mask}, {"label": labels}))
