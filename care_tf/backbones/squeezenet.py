"""SqueezeNet 1.1: 722,496 parameters without its top, small enough to train on a laptop."""

import os
from typing import Any

import keras

from care_tf.backbones._backbone import Backbone, Weights
from care_tf.backbones._local_weights import load_weights, require_file
from care_tf.backbones._stored_layers import StoredLayer, load_all
from care_tf.backbones.preprocessing import imagenet_bgr
from care_tf.errors import InputError
from care_tf.interrupts import interrupt_held

# fire2 .. fire9: channels of the squeeze layer; both expand layers have four times as many.
SQUEEZE_CHANNELS = {2: 16, 3: 16, 4: 32, 5: 32, 6: 48, 7: 48, 8: 64, 9: 64}
EXPAND_FACTOR = 4
POOL_AFTER = (3, 5)
# Four unpadded steps of kernel 3 and stride 2 need 31 px to leave one: 31 -> 15 -> 7 -> 3 -> 1.
MIN_IMAGE_SIZE_PX = 31

_FILE_LAYOUT = (
    "an HDF5 file with groups conv1 and fire2 .. fire9 (each with squeeze1x1, expand1x1, expand3x3) that hold one "
    "4-D kernel (height, width, in, out) and one 1-D bias each"
)


def squeezenet1_1(image_size: tuple[int, int], weights: Weights = None, padding: str = "valid") -> keras.Model:
    """SqueezeNet 1.1 up to the concatenation of fire9, 512 channels.

    Args:
      image_size: Height and width of the images, px.
      weights: None for random initial weights, or the path of a local file (`.h5` in the layout below, or
        `.weights.h5` / `.keras` as Keras writes them).
      padding: Of the first convolution and the pools: "valid", as published, or "same", which makes the sizes exact
        fractions (1/2, 1/4, 1/8, 1/16) of the image's, as segmentation needs. The weights fit both.

    Returns:
      A Functional model, (B,H,W,3) preprocessed images -> (B,h,w,512); 7 x 7 at 128 px, 13 x 13 at 224 px.

    Raises:
      InputError: `weights` is "imagenet", is missing, or does not fit the network; the image is too small.

    Source: F. N. Iandola et al., "SqueezeNet", arXiv 1602.07360, version 1.1 of the authors' release. Pooling and
      the first convolution are unpadded.
    """
    if weights == "imagenet":
        raise InputError(
            'weights="imagenet" needs a public file to download, and there is none for squeezenet1_1. Pass the path '
            f"of a local file, {_FILE_LAYOUT}."
        )
    if min(image_size) < MIN_IMAGE_SIZE_PX:
        raise InputError(
            f"squeezenet1_1 needs images of at least {MIN_IMAGE_SIZE_PX} px on both sides. Received image_size "
            f"{image_size}."
        )
    images = keras.Input((*image_size, 3), name="image")
    x = keras.layers.Conv2D(64, 3, strides=2, padding=padding, activation="relu", name="conv1")(images)
    x = keras.layers.MaxPooling2D(3, strides=2, padding=padding, name="pool1")(x)
    for index, channels in SQUEEZE_CHANNELS.items():
        x = _fire(x, channels, name=f"fire{index}")
        if index in POOL_AFTER:
            x = keras.layers.MaxPooling2D(3, strides=2, padding=padding, name=f"pool{index}")(x)
    network = keras.Model(images, x, name="squeezenet1_1")
    if weights is not None:
        _load(network, weights)
    return network


def _fire(x: Any, channels: int, name: str) -> Any:
    def convolution(inputs: Any, filters: int, size: int, part: str) -> Any:
        layer = keras.layers.Conv2D(filters, size, padding="same", activation="relu", name=f"{name}_{part}")
        return layer(inputs)

    squeezed = convolution(x, channels, 1, "squeeze1x1")
    expanded = [convolution(squeezed, EXPAND_FACTOR * channels, size, f"expand{size}x{size}") for size in (1, 3)]
    return keras.layers.Concatenate(name=f"{name}_concat")(expanded)


def _load(network: keras.Model, path: str | os.PathLike) -> None:
    file = require_file(path)
    if file.suffix == ".keras" or file.name.endswith(".weights.h5"):
        load_weights(network, path)
        return
    import h5py  # Comes with Keras; only this layout is read by hand.

    try:
        with interrupt_held(), h5py.File(file, "r") as weights:
            load_all(network, [_stored_layer(weights, layer) for layer in network.layers if layer.weights])
    except OSError as error:
        raise InputError(f"Weights file {path} cannot be read as HDF5 ({error}). It must be {_FILE_LAYOUT}.") from error
    except ValueError as error:
        raise InputError(
            f"Weights file {path} does not fit squeezenet1_1: {error}. It must be {_FILE_LAYOUT}."
        ) from error


def _stored_layer(weights: Any, layer: keras.layers.Layer) -> StoredLayer:
    """Kernel and bias of one layer; groups may nest their arrays at any depth."""
    group_name = layer.name.replace("_", "/")
    arrays: list = []
    if group_name in weights:
        weights[group_name].visititems(lambda _, item: arrays.append(item) if hasattr(item, "shape") else None)
    arrays.sort(key=lambda array: -len(array.shape))
    return StoredLayer(layer.name, layer.weights, group_name if arrays else "", arrays)


SQUEEZENET1_1 = Backbone(
    name="squeezenet1_1",
    attention_layer="fire9_concat",
    preprocess=imagenet_bgr,
    build_network=squeezenet1_1,
    penultimate_block="fire8_concat",
)
