"""A network of the user's own, named "module:function"."""

import inspect
from collections.abc import Mapping

import keras

from care_tf.backbones._backbone import Backbone, Weights
from care_tf.backbones._local_weights import load_weights
from care_tf.backbones.preprocessing import identity
from care_tf.errors import InputError
from care_tf.named_function import named_function


def user_backbone(name: str) -> Backbone:
    """What is known of a user's network: its preprocessing is the module's `preprocess`, or none.

    Raises:
      InputError: The module cannot be imported, or the function is not there or not callable.
    """
    module, builder = named_function(name, "backbone")
    return Backbone(
        name=name,
        attention_layer="auto",
        preprocess=getattr(module, "preprocess", identity),
        build_network=builder,
    )


def build_with_user_function(
    name: str,
    image_size: tuple[int, int],
    num_classes: int,
    weights: Weights,
    dropout: float,
    inputs: Mapping[str, int] | None = None,
) -> keras.Model:
    """Calls the user's function and checks what it returns; arguments as for `build_classifier`.

    Raises:
      InputError: The function cannot be found or called, returns no `keras.Model` or one with another number of
        outputs, or `weights` or `dropout` ask for what only the builder can do.
    """
    if dropout:
        raise InputError(f"dropout belongs inside the builder {name}. Received {dropout}. Set it to 0.")
    if weights == "imagenet":
        raise InputError(f'weights="imagenet" belongs inside the builder {name}. Use None or a local file.')
    _, builder = named_function(name, "backbone")
    keywords = {"image_size": image_size, "num_classes": num_classes, **({"inputs": dict(inputs)} if inputs else {})}
    try:
        inspect.signature(builder).bind(**keywords)
    except TypeError as error:
        raise InputError(f"Backbone {name} must take the keywords {' and '.join(keywords)}: {error}.") from error
    model = builder(**keywords)
    if not isinstance(model, keras.Model):
        raise InputError(f"Backbone {name} must return a keras.Model. Received {type(model).__name__}.")
    if model.output_shape[-1] != num_classes:
        raise InputError(
            f"Backbone {name} must return a model with {num_classes} outputs (num_classes). Received output shape "
            f"{model.output_shape}."
        )
    if weights is not None:
        load_weights(model, weights)
    return model
