"""What must be known about a network for it to be chosen by name."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

Weights = str | os.PathLike | None


def pooled(features: Any) -> Any:
    """Global average pooling: (B,h,w,d) features -> (B,d), for which Grad-CAM has a closed form; or tokens (B,n,d)."""
    kind = keras.layers.GlobalAveragePooling2D if len(features.shape) == 4 else keras.layers.GlobalAveragePooling1D
    return kind(name="global_average_pooling")(features)


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network without its classification head, and how to feed and watch it.

    Args:
      name: The name that it is chosen by.
      attention_layer: Name of the layer whose output the attention maps are made from; "auto" where the network
        names its layers by a counter (see `care_tf.network.read_anatomy`).
      preprocess: float32 RGB images 0..255, (B,H,W,3) or (H,W,3), -> what the network was trained on, same shape.
      build_network: (image_size, weights) -> the network up to its last map or tokens: a Functional model, preprocessed
        images (B,H,W,3) -> (B,h,w,d) or (B,n,d). The size is (height, width) in px; weights are None for random ones,
        "imagenet" for published ones, or the path of a local file (see `_local_weights.load_weights`). It raises an
        InputError where the image is too small, or the weights are missing or do not fit.
      penultimate_block: Name of the layer that ends the last block but one: what stays frozen when only the last
        convolution block and the classifier train. None where it is not known.
      head: Features (B,h,w,d) or (B,n,d) -> vectors (B,n), the input of the last Dense layer.
      load_head: (the network with its head, weights) -> whether the weights have the head's layers, which it then
        loads. None where the head has no weights, or published files none for it.
    """

    name: str
    attention_layer: str
    preprocess: Callable[[tf.Tensor], tf.Tensor]
    build_network: Callable[[tuple[int, int], Weights], keras.Model]
    penultimate_block: str | None = None
    head: Callable[[Any], Any] = pooled
    load_head: Callable[[keras.Model, str | os.PathLike], bool] | None = None
