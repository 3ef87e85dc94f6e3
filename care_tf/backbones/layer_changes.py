"""A network's layers one by one, and its copy with the settings of some changed."""

from collections.abc import Callable, Iterator
from typing import Any

import keras

from care_tf.keras_generation import set_weights


def with_changed_layers(
    network: keras.Model,
    change: Callable[[keras.layers.Layer], dict[str, Any]],
    first: keras.layers.Layer | None = None,
) -> keras.Model:
    """The network anew, flat and with the same weights.

    Args:
      network: A Functional model of plain layers, each called once.
      change: A layer -> what of its configuration changes; nothing that changes the shapes of its weights.
      first: A layer without weights to put before all others.

    Returns:
      A Functional model of the same name.
    """
    images = keras.Input(network.input.shape[1:], name="image")
    made: dict[int, Any] = {id(network.input): images if first is None else first(images)}
    for layer in network.layers[1:]:
        given = [made[id(tensor)] for tensor in layer.input] if isinstance(layer.input, list) else made[id(layer.input)]
        made[id(layer.output)] = type(layer).from_config(layer.get_config() | change(layer))(given)
    copy = keras.Model(images, made[id(network.output)], name=network.name)
    set_weights(copy, network.get_weights())
    return copy


def innermost_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a model and of the models in it, in the model's order."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from innermost_layers(layer)
        else:
            yield layer
