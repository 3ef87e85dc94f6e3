"""A classifier by the name of its backbone."""

import os
from collections.abc import Mapping

import keras

from care_tf.backbones._backbone import Weights
from care_tf.backbones._initial_weights import InitialWeights
from care_tf.backbones._named_backbones import get_backbone
from care_tf.backbones._user_builder import build_with_user_function
from care_tf.errors import InputError
from care_tf.keras_generation import dropout as dropout_layer
from care_tf.keras_generation import seeded_initial_weights
from care_tf.named_function import is_own

ACTIVATIONS = ("softmax", "sigmoid", None)


def build_classifier(
    name: str,
    *,
    image_size: tuple[int, int],
    num_classes: int,
    weights: Weights = None,
    dropout: float = 0.0,
    activation: str | None = "softmax",
    seed: int = 0,
    inputs: Mapping[str, int] | None = None,
) -> keras.Model:
    """A flat Functional classifier: the backbone, its head, dropout, one Dense layer.

    Args:
      name: One of `backbone_names()`, "keras.applications/<Network>", or "module:function" for a builder of your own,
        which is called with `image_size` and `num_classes` and decides on its own head.
      image_size: Height and width of the images, px.
      num_classes: Units of the last layer; 1 with "sigmoid" for two classes.
      weights: Of the backbone: None, "imagenet" (downloaded once by Keras), or the path of a local file. With a
        builder of your own: None, or a file with the weights of the whole model.
      dropout: Fraction dropped before the last layer, [0, 1).
      activation: "softmax", "sigmoid", or None for logits.
      seed: Of the initial weights; the caller's random state is left as it was.
      inputs: Name -> how many numbers, of inputs beside the image. Only a builder of your own takes them, as `inputs`.

    Returns:
      (B,H,W,3) preprocessed images -> (B,num_classes) float32, under mixed precision, too.

    Raises:
      InputError: An argument is out of range, the name is unknown, the image is too small, or the weights do not fit.

    Example:
      >>> build_classifier("squeezenet1_1", image_size=(64, 64), num_classes=3).output_shape
      (None, 3)

    Source: heads as in the CARE paper: global average pooling for the ResNets, two layers of 4096 for VGG19, which
      start from the weights too where these have them.
    """
    return classifier_and_weights(
        name,
        image_size=image_size,
        num_classes=num_classes,
        weights=weights,
        dropout=dropout,
        activation=activation,
        seed=seed,
        inputs=inputs,
    )[0]


def classifier_and_weights(
    name: str,
    *,
    image_size: tuple[int, int],
    num_classes: int,
    weights: Weights,
    dropout: float,
    activation: str | None,
    seed: int,
    inputs: Mapping[str, int] | None = None,
) -> tuple[keras.Model, InitialWeights]:
    """The classifier of `build_classifier`, and where its weights come from."""
    _check_arguments(image_size, num_classes, dropout, activation)
    with seeded_initial_weights(seed):
        if is_own(name):
            model = build_with_user_function(name, image_size, num_classes, weights, dropout, inputs)
            return model, InitialWeights(os.fspath(weights or f"{name}'s own"), *[_owners(model)] * 2)
        if inputs:
            raise InputError(
                f"Backbone {name} takes an image alone. Received the further inputs {', '.join(inputs)}. Name a "
                'builder of your own, "module:function", that takes inputs beside image_size and num_classes.'
            )
        backbone = get_backbone(name)
        network = backbone.build_network(image_size, weights)
        loaded = _owners(network) if weights is not None else []
        vectors = keras.Model(network.input, backbone.head(network.output))
        if weights is not None and backbone.load_head is not None and backbone.load_head(vectors, weights):
            loaded = _owners(vectors)
        x = vectors.output
        if dropout:
            x = dropout_layer(dropout, name="dropout")(x)
        scores = keras.layers.Dense(num_classes, activation=activation, dtype="float32", name="predictions")(x)
        model = keras.Model(network.input, scores, name=network.name)
        return model, InitialWeights(os.fspath(weights or ""), _owners(model), loaded)


def _owners(model: keras.Model) -> list[str]:
    """Names of the layers that own weights."""
    return [layer.name for layer in model.layers if layer.weights]


def _check_arguments(image_size: tuple[int, int], num_classes: int, dropout: float, activation: str | None) -> None:
    if len(image_size) != 2 or min(image_size) < 1:
        raise InputError(f"image_size must be (height, width) in pixels, both at least 1. Received {image_size}.")
    if num_classes < 1:
        raise InputError(f"num_classes must be at least 1. Received {num_classes}.")
    if not 0 <= dropout < 1:
        raise InputError(f"dropout must be a fraction in [0, 1). Received {dropout}.")
    if activation not in ACTIVATIONS:
        raise InputError(f"activation must be one of {ACTIVATIONS}. Received {activation!r}.")
    if activation == "softmax" and num_classes == 1:
        raise InputError(
            "A softmax over one class is always 1. Received num_classes=1 and activation='softmax'. Use "
            "num_classes=2, or activation='sigmoid' for one unit."
        )
