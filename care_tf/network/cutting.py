"""A classifier cut in two at a layer: the part below, computed once, and the part above, trained on what it gave."""

import keras

from care_tf.errors import InputError
from care_tf.keras_generation import model_between
from care_tf.network.inputs import as_keras_takes, input_specs, symbolic_inputs
from care_tf.network.random_layers import random_layers
from care_tf.network_input import further_of, image_of

INPUT_ACTIVATION = "cached_activation"


def cut_network(classifier: keras.Model, layer_name: str, observed_layer: str) -> tuple[keras.Model, keras.Model]:
    """Cuts a Functional classifier at a layer; both parts share its layers, so training one trains the classifier.

    classifier(image) = upper(lower(image))

    Args:
      classifier: A flat Functional model. Its further inputs, if it has any, must enter above the cut.
      layer_name: The last layer of the lower part.
      observed_layer: Name of the attention layer. When it is the cut itself, the upper part begins with a layer named
        `INPUT_ACTIVATION` that passes its input on and can be observed in its place.

    Returns:
      lower: images -> activations, upper: activations -> predictions; with further inputs, a dict of "activation" and
      each of them -> predictions.

    Raises:
      InputError: The classifier has no such layer at its top level, another path leads around it, what is below it
        depends on a further input, or a random layer such as dropout lies there.
    """
    names = [layer.name for layer in getattr(classifier, "layers", [])]
    if not hasattr(classifier, "inputs") or layer_name not in names:
        raise InputError(
            f"Caching activations cuts the classifier at the layer {layer_name!r}, which must be a layer of a flat "
            f"Functional model. Its last layers are {', '.join(names[-12:])}."
        )
    activation = classifier.get_layer(layer_name).output
    inputs = symbolic_inputs(classifier)
    further = further_of(inputs)
    try:
        lower = model_between([image_of(inputs)], activation, "lower")
    except ValueError as error:
        raise InputError(
            f"Activations cannot be cached at {layer_name!r}, because they depend on {' or '.join(further)} beside the "
            "image. Cut before the layer where that enters, or set cache_activations to false."
        ) from error
    if random_layers(lower):
        raise InputError(
            f"Activations cannot be cached at {layer_name!r}: {', '.join(random_layers(lower)[:3])} below it draws "
            "random numbers in training, which a cache would leave out. Cut before it, or set cache_activations to "
            "false."
        )
    try:
        given = {"activation": activation, **further}
        upper = model_between(list(given.values()), classifier.outputs[0], "upper")
    except ValueError as error:
        raise InputError(
            f"Activations cannot be cached at {layer_name!r}, because another path of the network leads around it. "
            "Choose a layer that everything passes through, such as the end of a block."
        ) from error
    if layer_name == observed_layer or further:  # the second: for inputs of these names
        specs = input_specs(given)
        entries = [keras.Input(spec.shape[1:], dtype=spec.dtype.name, name=name) for name, spec in specs.items()]
        passed_on = keras.layers.Activation("linear", name=INPUT_ACTIVATION)(entries[0])
        upper = keras.Model(
            as_keras_takes(entries), upper(as_keras_takes([passed_on, *entries[1:]])), name="upper_observed"
        )
    return lower, upper
