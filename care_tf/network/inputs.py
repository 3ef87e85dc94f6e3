"""What a network takes: the image whose attention is trained and, in some networks, further inputs by name.

Everywhere in the package, what goes into a network is the image alone, or `{"image": ..., "age": ..., ...}` with every
further input under its name in the network.
"""

from collections.abc import Collection, Iterable
from typing import Any

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.keras_generation import call_model
from care_tf.network_input import further_of

# What x may hold beside the further inputs, none of which can have such a name.
KEYS = ("image", "activation", "mask", "mask_class")


def symbolic_inputs(classifier: keras.Model) -> Any:
    """What goes into a network that says so, as Functional and built Sequential models do: its image, or a dict.

    Raises:
      InputError: It is not clear which input is the image, or a further input's name is not free.
    """
    if len(classifier.inputs) == 1:
        return classifier.inputs[0]
    named = _named_inputs(classifier)
    return {"image": named.pop(_image_name(named)), **named}


def as_keras_takes(tensors: Iterable[Any]) -> Any:
    """The only tensor, or the list of several."""
    several = list(tensors)
    return several if len(several) > 1 else several[0]


def input_specs(inputs: Any) -> Any:
    """Shapes and dtypes of what goes into a network, for batches of any size."""
    return tf.nest.map_structure(lambda given: tf.TensorSpec([None, *given.shape[1:]], given.dtype), inputs)


def further_inputs(classifier: keras.Model) -> dict[str, tf.TensorSpec]:
    """Name -> shape and dtype of every input beside the image; none for a network that does not say its inputs."""
    return further_of(input_specs(symbolic_inputs(classifier))) if getattr(classifier, "inputs", None) else {}


def call_classifier(classifier: keras.Model, inputs: Any, training: bool | None) -> Any:
    """Calls a network on the image or, where it has further inputs, on a dict like that of `symbolic_inputs`.

    Raises:
      InputError: An input is missing, or is none of the network's.
    """
    check_keys(inputs if isinstance(inputs, dict) else ("image",), further_inputs(classifier))
    if isinstance(inputs, dict):
        named = _named_inputs(classifier)
        image = _image_name(named)
        inputs = {name: inputs["image" if name == image else name] for name in named}
        inputs = inputs if isinstance(classifier.input, dict) else list(inputs.values())
    return call_model(classifier, inputs, training)


def check_keys(keys: Collection[str], further: Collection[str]) -> None:
    """Raises an InputError unless there is one image, every further input, and nothing else that x has no use for."""
    wanted = ["image", *further]
    missing = [key for key in wanted if key not in keys and (key != "image" or "activation" not in keys)]
    unknown = sorted(set(keys) - set(KEYS) - set(further))
    if not missing and not unknown and not {"image", "activation"} <= set(keys):
        return
    bare = "" if further else "an image batch or "
    raise InputError(
        f"The input x must be {bare}a dict with the key {' and '.join(map(_quoted, wanted))} and optionally "
        f'("mask", "mask_class"); "activation" may stand in for "image". Received '
        f"{', '.join(map(_quoted, sorted(keys)))}: missing {', '.join(missing) or 'none'}, unknown "
        f"{', '.join(unknown) or 'none'}. Further keys are the inputs that a Functional network has beside its image."
    )


def _quoted(name: str) -> str:
    return f'"{name}"'


def _named_inputs(classifier: keras.Model) -> dict[str, Any]:
    """Name -> symbolic tensor: the keys of a dict that the network was built with, or the names of its input layers."""
    if isinstance(classifier.input, dict):
        return dict(classifier.input)
    return {tensor._keras_history[0].name: tensor for tensor in classifier.inputs}


def _image_name(named: dict[str, Any]) -> str:
    """Which of several inputs is the image: the one of that name, or else the only one of its rank."""
    maps = [name for name, given in named.items() if len(given.shape) == 4]
    images = [name for name in named if name in ("image", "activation")] or maps
    if len(images) != 1:
        raise InputError(
            "One of the network's inputs must be the image: the only one of shape (batch, h, w, channels), or the one "
            f'named "image". Received {", ".join(maps) or "none"} of that shape among {", ".join(named)}. Name it with '
            'keras.Input(..., name="image").'
        )
    taken = sorted(set(named) & set(KEYS) - set(images))
    if taken:
        raise InputError(
            f"A further input needs a name of its own beside {', '.join(KEYS)}, which x has a use for. Received "
            f"{', '.join(taken)}. Rename it in the network."
        )
    return images[0]
