"""A classifier cut in two at a layer: the part below, computed once, and the part above, trained on what it gave."""

import keras

from care_tf.errors import InputError
from care_tf.network.random_layers import random_layers

INPUT_ACTIVATION = "cached_activation"


def cut_network(classifier: keras.Model, layer_name: str, observed_layer: str) -> tuple[keras.Model, keras.Model]:
    """Cuts a Functional classifier at a layer; both parts share its layers, so training one trains the classifier.

    classifier(image) = upper(lower(image))

    Args:
      classifier: A flat Functional model.
      layer_name: The last layer of the lower part.
      observed_layer: Name of the attention layer. When it is the cut itself, the upper part begins with a layer named
        `INPUT_ACTIVATION` that passes its input on and can be observed in its place.

    Returns:
      lower: images -> activations, upper: activations -> predictions.

    Raises:
      InputError: The classifier has no such layer at its top level, another path leads around it, or a random layer
        such as dropout lies below it.
    """
    names = [layer.name for layer in getattr(classifier, "layers", [])]
    if not hasattr(classifier, "inputs") or layer_name not in names:
        raise InputError(
            f"Caching activations cuts the classifier at the layer {layer_name!r}, which must be a layer of a flat "
            f"Functional model. Its last layers are {', '.join(names[-12:])}."
        )
    activation = classifier.get_layer(layer_name).output
    lower = keras.Model(classifier.inputs[0], activation, name="lower")
    if random_layers(lower):
        raise InputError(
            f"Activations cannot be cached at {layer_name!r}: {', '.join(random_layers(lower)[:3])} below it draws "
            "random numbers in training, which a cache would leave out. Cut before it, or set cache_activations to "
            "false."
        )
    try:
        upper = keras.Model(activation, classifier.outputs[0], name="upper")
    except ValueError as error:
        raise InputError(
            f"Activations cannot be cached at {layer_name!r}, because another path of the network leads around it. "
            "Choose a layer that everything passes through, such as the end of a block."
        ) from error
    if layer_name == observed_layer:
        given = keras.Input(activation.shape[1:])
        passed_on = keras.layers.Activation("linear", name=INPUT_ACTIVATION)(given)
        upper = keras.Model(given, upper(passed_on), name="upper_observed")
    return lower, upper
