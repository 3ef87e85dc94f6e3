"""Endings, crops and operations of somebody else's network: read right, or refused before anything trains."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from care_tf import CAREModel
from care_tf.errors import InputError
from care_tf.keras_generation import KERAS_3
from care_tf.model.observed_classifier import ObservedClassifier
from care_tf.network import Anatomy


def from_image(body, size: int = 32) -> keras.Model:
    image = keras.Input((size, size, 3))
    return keras.Model(image, body(image))


def study(network: keras.Model, attention_layer: str = "auto", second_order: bool = True) -> Anatomy:
    return ObservedClassifier(network, attention_layer).study((None, *network.input_shape[1:]), "float32", second_order)


def pooled(image):
    features = layers.Conv2D(8, 3, strides=2, activation="relu", name="conv")(image)
    return layers.GlobalAveragePooling2D()(features)


def head(image, activation=None):
    return layers.Dense(3, activation=activation)(pooled(image))


def temperature(image):
    return layers.Rescaling(0.5)(head(image, "softmax"))


def average_of_heads(image):
    features = pooled(image)
    return layers.Average()([layers.Dense(3, activation="softmax")(features) for _ in range(2)])


@pytest.mark.parametrize(
    "body, received",
    [
        (temperature, "softmax"),
        (average_of_heads, "softmax"),
        (lambda image: layers.Rescaling(2.0)(head(image, "sigmoid")), "sigmoid"),
        (lambda image: head(image, "tanh"), "tanh"),
        (lambda image: head(image, "softplus"), "softplus"),
    ],
    ids=["temperature", "average of two heads", "scaled sigmoid", "tanh", "softplus"],
)
def test_an_output_that_is_no_score_any_more_is_refused(body, received):
    with pytest.raises(InputError, match=f"must end in logits.*behind {received}"):
        study(from_image(body))


def weighted_class_maps(image):
    maps = layers.Conv2D(3, 3, padding="same")(image)
    weights = layers.Softmax(axis=(1, 2))(layers.Conv2D(3, 3, padding="same")(image))
    return layers.GlobalAveragePooling2D()(layers.Multiply()([maps, weights]))


def log_sum_exp_of_class_maps(image):
    def pool(maps):
        return tf.math.log(tf.reduce_mean(tf.exp(maps), axis=(1, 2)))

    return layers.Lambda(pool, output_shape=(3,))(layers.Conv2D(3, 3)(image))


@pytest.mark.parametrize(
    "body",
    [
        head,
        lambda image: layers.Rescaling(2.0)(head(image)),
        lambda image: layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3, activation="relu")(image)),
        lambda image: layers.Dense(3)(layers.Dense(4, activation="tanh")(pooled(image))),
        lambda image: layers.Activation("linear")(head(image, "tanh")),
        weighted_class_maps,
        log_sum_exp_of_class_maps,
        lambda image: layers.BatchNormalization()(head(image, "sigmoid")),
    ],
    ids=[
        "Dense",
        "scaled logits",
        "averaged class maps",
        "tanh before the last weights",
        "declared",
        "class maps weighted by a softmax",
        "log-sum-exp",
        "weights of a normalization behind a sigmoid",
    ],
)
def test_logits_in_many_forms_are_read_as_they_are(body):
    anatomy = study(from_image(body))
    assert anatomy.output_activation == "linear" and anatomy.logit_layer is None


def upper_or_lower_half(image):
    half = tf.cond(tf.shape(image)[0] > 1, lambda: image[:, :16], lambda: image[:, 16:])
    return tf.ensure_shape(half, (None, 16, 32, 3))


CROPS = {
    "CenterCrop": lambda: layers.CenterCrop(16, 16),
    "Cropping2D": lambda: layers.Cropping2D(4),
    "slice with a stride": lambda: layers.Lambda(lambda image: image[:, 8:24:2, 8:24:2]),
    "slice of a channel": lambda: layers.Lambda(lambda image: tf.expand_dims(image[:, 8:24, 8:24, 1], -1)),
    "slice with a new axis": lambda: layers.Lambda(lambda image: image[:, None, 8:24, 8:24][:, 0]),
    "gather": lambda: layers.Lambda(lambda image: tf.gather(image, np.arange(8, 24), axis=2)),
    "split": lambda: layers.Lambda(lambda image: tf.split(image, 2, axis=1)[0]),
    "uneven split": lambda: layers.Lambda(lambda image: tf.split(image, [8, 24], axis=2)[1]),
    "padding": lambda: layers.ZeroPadding2D(16),
    "padding twice": lambda: keras.Sequential([layers.ZeroPadding2D(2), layers.ZeroPadding2D(2)]),
    "condition": lambda: layers.Lambda(upper_or_lower_half),
}
if KERAS_3:
    CROPS["Resizing with bars"] = lambda: layers.Resizing(32, 64, pad_to_aspect_ratio=True)


@pytest.mark.parametrize("layer", CROPS)
def test_a_network_that_shows_another_part_of_its_image_is_refused(layer):
    expected = "must see the whole image.* that (crops|pads|hides).*images and masks in the pipeline"
    with pytest.raises(InputError, match=expected):
        study(from_image(lambda image: head(CROPS[layer]()(image))), "conv")


def classified(features):
    return layers.Dense(3)(layers.GlobalAveragePooling2D()(features))


def crop_in_steps(features):
    for _ in range(3):
        features = layers.Cropping2D(1)(features)
    return features


@pytest.mark.parametrize(
    "change",
    [layers.Cropping2D(((5, 0), (0, 0))), crop_in_steps, layers.ZeroPadding2D(9)],
    ids=["a third", "an eighth three times", "padded to twice its size and more"],
)
def test_a_network_that_crops_or_pads_every_paths_map_is_refused(change):
    features = layers.Conv2D(4, 3, strides=2, padding="same", name="conv")
    with pytest.raises(InputError, match="must see the whole image"):
        study(from_image(lambda image: classified(change(features(image)))))


def stem_of_resnet(image):
    x = layers.Conv2D(4, 7, strides=2)(layers.ZeroPadding2D(3)(image))
    return classified(layers.Conv2D(4, 3)(layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))))


def dilated(image):
    return classified(layers.Conv2D(4, 3, dilation_rate=8)(layers.ZeroPadding2D(8)(image)))


def space_to_depth(image):
    parts = [image[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    return head(layers.Concatenate()(parts))


@pytest.mark.parametrize("body", [stem_of_resnet, dilated, space_to_depth])
def test_what_windows_need_and_every_second_pixel_are_fine(body):
    assert study(from_image(body, size=16)).map_size is not None


def test_a_gradient_that_is_stopped_is_refused():
    stopped = from_image(lambda image: layers.Dense(3)(layers.Lambda(tf.stop_gradient)(pooled(image))))
    with pytest.raises(InputError, match="must have a gradient at the attention map"):
        study(stopped)


def test_a_crop_between_feature_maps_and_every_second_pixel_are_fine():
    def body(image):
        return head(layers.Cropping2D(1)(layers.Conv2D(4, 3)(image[:, ::2, ::2])))

    assert study(from_image(body)).map_size == (5, 5)


def normalized(image):
    features = layers.Conv2D(8, 3, strides=2, activation="relu", name="conv")(image)
    features = layers.Lambda(tf.nn.local_response_normalization, output_shape=features.shape[1:])(features)
    return layers.Dense(3, activation="softmax")(layers.Flatten()(features))


@pytest.mark.parametrize(
    "body, operation",
    [
        (normalized, "LRN"),
        (lambda image: resized(image, "bilinear"), "ResizeBilinear"),
        (lambda image: resized(image, "nearest"), "ResizeNearestNeighbor"),
    ],
    ids=["local response normalization", "bilinear", "nearest"],
)
def test_an_operation_without_a_second_gradient_is_refused_unless_it_is_not_needed(body, operation):
    network = from_image(body)
    with pytest.raises(InputError, match=f"{operation}, which has no second-order gradient.*second_order=False"):
        study(network, "conv")
    model = CAREModel(network, attention_layer="conv", second_order=False)
    model.compile("sgd", "sparse_categorical_crossentropy")
    images = np.random.default_rng(0).uniform(0, 1, (2, 32, 32, 3)).astype("float32")
    masks = np.zeros((2, 32, 32, 1), "float32")
    masks[:, 4:20, 4:20] = 1
    assert np.isfinite(model.train_on_batch({"image": images, "mask": masks}, np.array([0, 1]))).all()


def resized(image, method):
    features = layers.Conv2D(8, 3, strides=2, activation="relu", name="conv")(image)
    larger = layers.Lambda(lambda x: tf.image.resize(x, (30, 30), method), output_shape=(30, 30, 8))(features)
    return layers.Dense(3, activation="softmax")(layers.Flatten()(larger))


@pytest.mark.parametrize("place", ["a tuple of images and masks", "masks beside the labels"])
def test_masks_elsewhere_are_answered_with_where_they_belong(place):
    images, masks, labels = np.zeros((2, 32, 32, 3), "float32"), np.ones((2, 32, 32, 1), "float32"), np.array([0, 1])
    data = ((images, masks), labels) if place.startswith("a tuple") else (images, (labels, masks))
    model = CAREModel(from_image(head))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(InputError, match=r'\{"image": images, "mask": masks\}|Masks belong in x, beside the image'):
        model.fit(tf.data.Dataset.from_tensor_slices(data).batch(2), verbose=0)


def test_export_after_fit_exports_the_classifier(tmp_path):
    model = CAREModel(from_image(head))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = np.random.default_rng(0).uniform(0, 1, (2, 32, 32, 3)).astype("float32")
    model.fit({"image": images, "mask": np.ones((2, 32, 32, 1), "float32")}, np.array([0, 1]), verbose=0)
    model.export(str(tmp_path / "served"))
    served = tf.saved_model.load(str(tmp_path / "served"))
    np.testing.assert_allclose(
        served.serve(tf.constant(images)), model.predict(images, verbose=0), rtol=1e-5, atol=1e-6
    )
