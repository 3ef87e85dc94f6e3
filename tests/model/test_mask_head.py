"""The mask head alone, and in CAREModel: what it learns, which masks it gives, and what it leaves as it was."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from classifiers import functional, weights_difference

from care_tf import CAREModel
from care_tf.errors import InputError
from care_tf.keras_generation import tensorflow_variable
from care_tf.losses import AttentionLoss, InputGradient
from care_tf.model import MaskHead
from care_tf.model._learned_masks import mean_mask_loss
from care_tf.model._mask_head import (
    dice_coefficient,
    mask_of_region,
    predicted_region,
    unit_features,
    with_gradient_share,
)

SETTINGS = dict(batch_size=8, epochs=2, verbose=0, shuffle=False)
pytestmark = pytest.mark.filterwarnings("ignore:The mask head gave no image a mask:UserWarning")  # where it need not
ALL = (0, 1, 2)
BORDER = [0, *range(8), 7]  # the rows of a map of 8 x 8 with its border once more


GRAPH = {"run_eagerly": False}


def compiled(classifier, mask_head, optimizer="sgd", settings=None, **arguments):
    """Eager unless asked otherwise: a trace costs as much as ten steps."""
    model = CAREModel(classifier, mask_head=mask_head, **arguments)
    model.compile(optimizer, "sparse_categorical_crossentropy", **{"run_eagerly": True, **(settings or {})})
    return model


def trained_head(classes=ALL, bias=None, steps=1, **arguments):
    """A head that has counted some steps; its region is half of the fixtures' images, unless a bias is given."""
    arguments = {"width": 4, "warm_up_steps": 1, **arguments}
    head = MaskHead(classes, **arguments)
    head.build((None, 8, 8, 5))
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(1, 1, 4, 1))
    head.score.set_weights([kernel, np.zeros(1)])
    if bias is None:
        image = np.random.default_rng(0).random((16, 12, 12, 3)).astype(np.float32)
        p = slow_probabilities(head, np.asarray(features_of(functional(), image, training=True), np.float64))
        bias = -np.median(np.log(p / (1 - p)))
    head.score.set_weights([kernel, np.array([bias])])
    for _ in range(steps):
        head.count_step()
    return head


def features_of(classifier, image, training=False):
    return keras.Model(classifier.inputs[0], classifier.get_layer("last_relu").output)(image, training=training)


def resized(values, size=(12, 12)):
    return tf.image.resize(values[..., None], size, method="bilinear")[..., 0]


# --- oracles ---


def slow_probabilities(head, features):
    """The head in loops over pixels."""
    (k1, b1), (k2, b2), (k3, b3) = (layer.get_weights() for layer in (head.reduce, head.look, head.score))
    result = np.zeros(features.shape[:3])
    for b, given in enumerate(features):
        given = given / np.sqrt((given**2).mean() + 1e-6)
        first = np.maximum(given @ k1[0, 0] + b1, 0)
        padded = np.pad(first, ((1, 1), (1, 1), (0, 0)), "edge")
        for i in range(given.shape[0]):
            for j in range(given.shape[1]):
                window = padded[i : i + 3, j : j + 3]
                second = np.maximum(np.einsum("ijc,ijcd->d", window, k2) + b2, 0)
                result[b, i, j] = 1 / (1 + np.exp(-(second @ k3[0, 0] + b3)[0]))
    return result


@pytest.mark.one_generation
def test_the_head_computes_what_it_says():
    head = trained_head()
    features = np.random.default_rng(0).random((2, 5, 6, 5)).astype(np.float32) * 40
    np.testing.assert_allclose(head(features), slow_probabilities(head, features), rtol=1e-4)


@pytest.mark.one_generation
def test_dice_is_the_overlap_of_pixels():
    rng = np.random.default_rng(0)
    masks, regions = (rng.random((2, 4, 5, 6)) > 0.5).astype(np.float32)
    expected = []
    for mask, region in zip(masks, regions, strict=True):
        both = sum(m == r == 1 for m, r in zip(mask.ravel(), region.ravel(), strict=True))
        expected.append(2 * both / ((mask == 1).sum() + (region == 1).sum()))
    np.testing.assert_allclose(dice_coefficient(masks, regions), expected, rtol=1e-6)
    assert float(dice_coefficient(0 * masks, 0 * regions)[0]) == 0.0


@pytest.mark.one_generation
def test_the_mask_that_a_step_uses_is_the_head_s_prediction_computed_apart(network, images):
    image, labels, mask = images
    model = compiled(network(), trained_head((0, 2)))
    apart = resized(slow_probabilities(model.mask_head, features_of(network(), image, training=True).numpy())).numpy()
    used = []
    per_image = model.attention_loss.per_image
    model.attention_loss.per_image = lambda attention, given: used.append(given) or per_image(attention, given)
    model.train_on_batch({"image": image, "mask": mask}, labels)
    wants = np.isin(labels, (0, 2)) & (np.arange(16) >= 6)
    expected = np.where(wants[:, None, None], apart > 0.5, mask[..., 0])
    assert abs(apart - 0.5).min() > 1e-6 and 0 < expected[wants].mean() < 1
    np.testing.assert_array_equal(used[0], expected)


def plain_gradient(classifier, head, image, labels, mask, alpha):
    """The gradient of L at the classifier's weights by two nested tapes, without care_tf."""
    body = keras.Model(classifier.inputs[0], classifier.get_layer("last_relu").output)
    kernel, bias = (tensorflow_variable(weight) for weight in classifier.get_layer("scores").weights)
    probabilities = slow_probabilities(head, body(image, training=True).numpy())
    learned = resized(probabilities).numpy() > 0.5
    has_own = mask.any(axis=(1, 2, 3))
    whole = learned.all(axis=(1, 2)) | has_own
    masks = tf.constant(np.where(whole[:, None, None], mask[..., 0], learned).astype(np.float32))
    with tf.GradientTape() as outer:
        features = body(image, training=True)
        with tf.GradientTape() as inner:
            inner.watch(features)
            x = features
            for layer in classifier.layers[classifier.layers.index(classifier.get_layer("last_relu")) + 1 : -1]:
                x = layer(x)
            logits = tf.matmul(x, kernel) + bias
            score = tf.gather(logits, labels, batch_dims=1)
        sigma = tf.reduce_mean(inner.gradient(score, features), axis=(1, 2), keepdims=True)
        cam = tf.reduce_sum(sigma * features, axis=-1)
        cam -= tf.reduce_min(cam, axis=(1, 2), keepdims=True)
        attention = resized(cam / tf.reduce_max(cam, axis=(1, 2), keepdims=True))
        inside = tf.math.divide_no_nan(tf.reduce_sum(attention * masks, (1, 2)), tf.reduce_sum(masks, (1, 2)))
        outside = tf.reduce_sum(attention * (1 - masks), (1, 2)) / tf.reduce_sum(1 - masks, (1, 2))
        has_any = tf.reduce_any(masks > 0, (1, 2))
        attention_loss = tf.reduce_sum(tf.where(has_any, outside - tf.minimum(inside, 0.7), 0.0)) / 16
        cross_entropy = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        share = head.backbone_weight
        mixed = share * features + (1 - share) * tf.stop_gradient(features)
        mean_square = tf.reduce_mean(mixed**2, (1, 2, 3), keepdims=True)
        x = mixed / tf.sqrt(mean_square + 1e-6)
        for layer in (head.reduce, head.look):
            weights, offset = layer.get_weights()
            x = tf.nn.relu(tf.nn.conv2d(x, weights, 1, "VALID") + offset)
            x = tf.gather(tf.gather(x, BORDER, axis=1), BORDER, axis=2) if layer is head.reduce else x
        weights, offset = head.score.get_weights()
        p = resized(tf.sigmoid(tf.nn.conv2d(x, weights, 1, "SAME") + offset)[..., 0])
        m = tf.constant(mask[..., 0])
        dice = 1 - (2 * tf.reduce_sum(p * m, (1, 2)) + 1) / (tf.reduce_sum(p + m, (1, 2)) + 1)
        mask_loss = tf.reduce_mean(tf.boolean_mask(dice, has_own))
        loss = (1 - alpha) * cross_entropy + alpha * attention_loss + head.weight * mask_loss
    return outer.gradient(loss, [tensorflow_variable(weight) for weight in classifier.trainable_variables])


@pytest.mark.parametrize(
    ("head", "share"),
    [("pooled", 0.5), pytest.param("dense", 0.0, marks=pytest.mark.one_generation)],  # closed form, and nested tapes
)
def test_a_step_takes_the_gradient_of_two_nested_tapes(network, images, head, share):
    image, labels, mask = images
    given = trained_head(backbone_weight=share, weight=0.8)
    model = compiled(network(head=head), given, keras.optimizers.SGD(1.0), alpha=0.6)
    expected = plain_gradient(network(head=head), given, image, labels, mask, 0.6)
    before = [weight.numpy() for weight in model.classifier.trainable_variables]
    model.train_on_batch({"image": image, "mask": mask}, labels)
    for old, new, slope in zip(before, model.classifier.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(old - new.numpy(), slope, rtol=1e-3, atol=2e-6)


@pytest.mark.one_generation
def test_the_gradient_agrees_with_finite_differences(network, images):
    image, labels, mask = images
    keras.mixed_precision.set_global_policy("float64")
    head = trained_head(backbone_weight=1.0)
    model = CAREModel(network(head="dense"), mask_head=head)
    batch = model._observed.split({"image": tf.constant(image, tf.float64), "mask": mask})

    @tf.function(autograph=False)
    def value():
        terms = model._forward(batch, tf.constant(labels), None, training=True)
        return 0.6 * model._attention_loss_of(terms.attention) + mean_mask_loss(terms.masks)

    variables = model.classifier.trainable_variables
    with tf.GradientTape() as tape:
        loss = value()
    assert loss.dtype == tf.float64
    slopes = tape.gradient(loss, [tensorflow_variable(v) for v in variables], unconnected_gradients="zero")
    for variable, slope in zip(variables, slopes, strict=True):
        direction = np.random.default_rng(4).normal(size=slope.shape)
        start, values = variable.numpy(), []
        for sign in (1, -1):
            variable.assign(start + sign * 1e-6 * direction)
            values.append(float(value()))
        variable.assign(start)
        difference = (values[0] - values[1]) / 2e-6
        np.testing.assert_allclose(difference, (slope.numpy() * direction).sum(), rtol=1e-5, atol=1e-8)


def test_evaluation_measures_the_images_own_masks(network, images):
    image, labels, mask = images
    model = compiled(network(), trained_head(weight=0.8), alpha=0.6)
    logs = model.evaluate({"image": image, "mask": mask}, labels, batch_size=16, verbose=0, return_dict=True)
    p = resized(slow_probabilities(model.mask_head, features_of(model.classifier, image).numpy())).numpy()[:6]
    m = mask[:6, ..., 0]
    region = p > 0.5
    soft = 1 - (2 * (p * m).sum((1, 2)) + 1) / ((p + m).sum((1, 2)) + 1)
    hard = 2 * (region * m).sum((1, 2)) / (region.sum((1, 2)) + m.sum((1, 2)))
    np.testing.assert_allclose([logs["mask_loss"], logs["mask_dice"]], [soft.mean(), hard.mean()], rtol=1e-4)
    parts = 0.4 * logs["classification_loss"] + 0.6 * logs["attention_loss"] + 0.8 * logs["mask_loss"]
    assert logs["loss"] == pytest.approx(parts, abs=1e-5)
    without = compiled(network(), None, alpha=0.6).evaluate(
        {"image": image, "mask": mask}, labels, batch_size=16, verbose=0, return_dict=True
    )
    assert logs["learned_masks"] == 0 and {name: logs[name] for name in without if name != "loss"} == {
        name: value for name, value in without.items() if name != "loss"
    }


# --- identities ---


@pytest.mark.one_generation
def test_the_features_stay_as_they_are_and_a_share_of_the_gradient_passes():
    values = tf.constant(np.random.default_rng(0).normal(size=7) * 1e3)
    for share in (0.0, 0.1, 1.0):
        with tf.GradientTape() as tape:
            tape.watch(values)
            given = with_gradient_share(values, share)
        np.testing.assert_array_equal(given, values)
        slope = tape.gradient(given, values, unconnected_gradients="zero")
        np.testing.assert_allclose(slope, np.full(7, share))


@pytest.mark.one_generation
def test_features_of_any_size_are_alike_and_none_stay_none():
    features = np.random.default_rng(0).random((2, 3, 3, 4)).astype(np.float32) + 0.1
    np.testing.assert_allclose(unit_features(features), unit_features(1e4 * features), rtol=1e-4)
    flat = tf.zeros((1, 3, 3, 4))
    with tf.GradientTape() as tape:
        tape.watch(flat)
        value = tf.reduce_sum(unit_features(flat))
    assert float(value) == 0.0 and np.isfinite(tape.gradient(value, flat).numpy()).all()


@pytest.mark.one_generation
def test_a_region_that_covers_all_or_nothing_is_no_mask():
    probabilities = np.zeros((4, 2, 2), np.float32)
    probabilities[1], probabilities[2], probabilities[3, 0, 0] = 1.0, 0.5, 0.9
    masks = mask_of_region(predicted_region(tf.constant(probabilities))).numpy()
    assert masks.sum(axis=(1, 2)).tolist() == [0, 0, 0, 1] and masks[3, 0, 0] == 1


@pytest.mark.one_generation
def test_alpha_zero_and_no_gradient_into_the_network_train_to_the_weights_of_plain_keras(network, images):
    image, labels, mask = images
    plain = network()
    plain.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    plain.fit(image, labels, **SETTINGS)
    head = trained_head(backbone_weight=0.0)
    model = compiled(network(), head, alpha=0.0)
    before = head.get_weights()
    model.fit({"image": image, "mask": mask}, labels, **SETTINGS)
    assert weights_difference(plain, model.classifier) < 1e-6
    assert any((a != b).any() for a, b in zip(before, head.get_weights(), strict=True))


@pytest.mark.one_generation
def test_images_that_all_have_masks_train_as_without_a_head(network, images):
    image, labels, mask = images
    mask = np.concatenate([mask[:6]] * 3)[:16]
    results = []
    for head in (None, trained_head(backbone_weight=0.0)):
        model = compiled(network(), head)
        logs = model.fit({"image": image, "mask": mask}, labels, **SETTINGS).history
        results.append(model.classifier)
    assert weights_difference(*results) < 1e-6
    assert logs["learned_masks"] == [0, 0] < logs["mask_loss"]


# --- properties ---


def test_masks_are_used_after_the_warm_up_in_which_steps_without_a_mask_count_too(network, images):
    image, labels, mask = images
    head = trained_head(warm_up_steps=3, steps=0)
    model = compiled(network(), head, settings=GRAPH)  # where both sides of what the count decides are traced
    x = {"image": image, "mask": mask}  # of each epoch's two batches, the second has no mask
    logs = model.fit(x, labels, **{**SETTINGS, "epochs": 4}).history
    assert int(head.trained_steps) == 8
    assert logs["learned_masks"][0] == 0 and min(logs["learned_masks"][1:]) > 0


def test_a_head_that_was_never_trained_gives_no_mask(network, images):
    image, labels, mask = images
    head = MaskHead(ALL, width=4, warm_up_steps=1)
    model = compiled(network(), head, keras.optimizers.SGD(0.0))
    with pytest.warns(UserWarning, match="The mask head gave no image a mask.*its predictions are empty"):
        logs = model.fit({"image": image, "mask": mask}, labels, **SETTINGS).history
    assert logs["learned_masks"] == [0, 0] and int(head.trained_steps) == 4


@pytest.mark.one_generation
def test_predictions_of_everything_are_no_masks(network, images):
    image, labels, mask = images
    model = compiled(network(), trained_head(bias=1e4))
    logs = model.fit({"image": image, "mask": mask}, labels, **{**SETTINGS, "epochs": 1}).history
    assert logs["learned_masks"] == [0] and logs["mask_dice"][0] == pytest.approx(
        np.mean([2 * m.sum() / (m.sum() + 144) for m in mask[:6]]), abs=1e-5
    )


@pytest.mark.one_generation
def test_images_of_sample_weight_0_neither_teach_nor_get_a_mask(network, images):
    image, labels, mask = images
    weights = np.ones(16, np.float32)
    weights[[0, 9]] = 0
    results = []
    for changed in (False, True):
        x = {"image": image, "mask": mask.copy()}
        if changed:
            x["mask"][0, :3], x["mask"][9, 4:6] = 1, 1
        model = compiled(network(), trained_head())
        logs = model.fit(x, labels, sample_weight=weights, **SETTINGS).history
        results.append(model)
        assert logs["learned_masks"][0] > 0
    assert weights_difference(*results) == 0.0


@pytest.mark.one_generation
@pytest.mark.filterwarnings("ignore:CARE trains no attention:UserWarning")
def test_batches_without_any_mask_train_the_classes_alone(network, images):
    image, labels, mask = images
    head = MaskHead(ALL, width=4, warm_up_steps=9)
    model = compiled(network(), head)
    with pytest.warns(UserWarning, match="no image a mask.*: it has had 4 of 9 warm-up steps; train longer"):
        logs = model.fit({"image": image, "mask": 0 * mask}, labels, **SETTINGS).history
    assert logs["attention_loss"] == logs["mask_loss"] == [0, 0] and "mask_dice" not in logs


def test_the_wrapper_saves_and_goes_on_bit_for_bit_in_safe_mode(network, images, tmp_path):
    image, labels, mask = images
    x = {"image": image, "mask": mask}
    model = compiled(network(), trained_head((0, 1)), "adam")
    model.fit(x, labels, **SETTINGS)
    model.save(tmp_path / "care.keras")
    again = keras.models.load_model(tmp_path / "care.keras", safe_mode=True)
    assert again.mask_head.get_config() == model.mask_head.get_config()
    assert int(again.mask_head.trained_steps) == 5
    logs = [either.fit(x, labels, **SETTINGS).history for either in (model, again)]
    assert logs[0] == logs[1] and max(logs[0]["learned_masks"]) > 0
    assert weights_difference(model, again) == 0.0
    model.classifier.save(tmp_path / "classifier.keras")
    alone = keras.models.load_model(tmp_path / "classifier.keras")
    assert [layer.name for layer in alone.layers[1:]] == [layer.name for layer in network().layers[1:]]
    np.testing.assert_array_equal(alone.predict(image, verbose=0), model.predict(image, verbose=0))


@pytest.mark.slow
def test_weights_of_a_checkpoint_hold_the_head_and_its_optimizer(network, images, tmp_path):
    image, labels, mask = images
    x = {"image": image, "mask": mask}
    model = compiled(network(), trained_head(), "adam")
    model.fit(x, labels, **SETTINGS)
    model.save_weights(str(tmp_path / "model.weights.h5"))
    again = compiled(network(), MaskHead(ALL, width=4, warm_up_steps=1), "adam")
    again.optimizer.build(again.trainable_variables)
    again.load_weights(str(tmp_path / "model.weights.h5"))
    for either in (model, again):
        either.fit(x, labels, **SETTINGS)
    assert weights_difference(model, again) == 0.0


@pytest.mark.one_generation
def test_a_network_without_an_input_shape_has_a_head_too(network, images, tmp_path):
    image, labels, mask = images
    model = compiled(network("subclassed"), trained_head(), features="body", head="top")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    model.fit({"image": image, "mask": mask}, labels, **SETTINGS)
    model.save(tmp_path / "care.keras")
    again = keras.models.load_model(tmp_path / "care.keras", safe_mode=True)
    assert weights_difference(model.mask_head, again.mask_head) == 0.0


@pytest.mark.slow
@pytest.mark.both_generations
def test_mixed_precision_trains_the_head_in_float32(network, images):
    image, labels, mask = images
    found = []
    for policy in ("float32", "mixed_float16"):
        keras.mixed_precision.set_global_policy(policy)
        model = compiled(network(), trained_head())
        assert {tf.as_dtype(weight.dtype).name for weight in model.mask_head.trainable_weights} == {"float32"}
        found.append(model.fit({"image": image, "mask": mask}, labels, **SETTINGS).history["mask_loss"])
    np.testing.assert_allclose(found[1], found[0], rtol=0.02)


@pytest.mark.usefixtures("rewritten_graphs")
@pytest.mark.slow
def test_graph_eager_and_xla_agree(network, images):
    image, labels, mask = images
    results = []
    for settings in (GRAPH, {}, {"jit_compile": True, **GRAPH}):
        model = compiled(network(), trained_head(), settings=settings)
        model.fit({"image": image, "mask": mask}, labels, **SETTINGS)
        results.append(model)
    assert max(weights_difference(results[0], other) for other in results[1:]) < 1e-4


# --- errors ---


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": []}, r"classes must list the labels .*Received classes=\[\]. Give the position"),
        ({"classes": ["DF"]}, "classes must list the labels"),
        ({"width": 0}, "width must be a whole number, at least 1"),
        ({"weight": 0.0}, r"weight must be a number in \(0, inf\)"),
        ({"backbone_weight": 1.5}, r"share of a gradient and must lie in \[0, 1\]. Received backbone_weight=1.5"),
        ({"warm_up_steps": 0}, "warm_up_steps must be a whole number, at least 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        MaskHead(**{"classes": [0], **arguments})


@pytest.mark.one_generation
def test_a_head_where_it_does_not_fit_is_refused(network, images):
    image, labels, _ = images
    with pytest.raises(InputError, match="mask_head must be a MaskHead, or None. Received bool"):
        CAREModel(network(), mask_head=True)
    with pytest.raises(
        InputError, match="masks to losses of attention maps. Received one beside InputGradient. Choose"
    ):
        CAREModel(network(), mask_head=MaskHead([0]), attention_loss=InputGradient())
    with pytest.raises(InputError, match="labels of the network, 0 to 2. Received 3. Give positions"):
        CAREModel(network(), mask_head=MaskHead([1, 3]))
    model = compiled(network(), MaskHead([0]), attention_loss=AttentionLoss(form="energy"))
    with pytest.raises(InputError, match='x of every training batch must be a dict with a mask.*Give {"image"'):
        model.fit(image, labels, verbose=0)
    model.evaluate(image, labels, verbose=0)  # which needs none
