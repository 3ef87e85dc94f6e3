"""Weights from a file on this machine: Keras' own weight files, or a whole saved model."""

import os
import warnings
from collections.abc import Collection
from pathlib import Path

import keras

from care_tf.backbones._stored_layers import load_all, stored_layers
from care_tf.errors import InputError
from care_tf.interrupts import interrupt_held


def require_file(path: str | os.PathLike) -> Path:
    """The path of an existing file.

    Raises:
      InputError: Nothing, or a folder, is there.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(
            f'The weights must be None, "imagenet", or the path of an existing file. Received {os.fspath(path)!r}, '
            "which is not a file."
        )
    return file


def load_weights(network: keras.Model, path: str | os.PathLike) -> None:
    """Loads a network's weights in place.

    Args:
      network: The network to fill, without a head.
      path: `.h5` / `.weights.h5`: weights of this network, with or without a head after it, as `save_weights` or the
        published files hold them. `.keras`: a whole model, this network alone or with any head after it. Layers that
        own weights are matched by name, or in order where more of them fit so; the head's are left out.

    Raises:
      InputError: The file is missing, unreadable, of another kind, or does not fit; the message names the layers that
        fit, and those that do not with both shapes.
    """
    file = require_file(path)
    try:
        with interrupt_held(), stored_layers(network, file) as layers:
            all_fit = all(layer.fits for layer in layers)
            if all_fit or not file.name.endswith(".weights.h5") or not _keras_loads(network, file):
                load_all(network, layers)
    except InputError:
        raise
    except Exception as error:  # h5py and Keras raise whatever their readers do: OSError, KeyError, TypeError ...
        reason = " ".join(str(error).split())
        raise InputError(
            f"Weights file {file} does not fit {network.name}: {reason}. It must hold the weights of this network as "
            "Keras saves or publishes them."
        ) from error


def load_layers(network: keras.Model, path: str | os.PathLike, names: Collection[str]) -> bool:
    """Loads only the named layers, if the file has all of them in the right shapes; returns whether it has."""
    with interrupt_held(), stored_layers(network, require_file(path)) as layers:
        chosen = [layer for layer in layers if layer.name in names]
        has_all = all(layer.fits for layer in chosen)
        if has_all:
            load_all(network, chosen)
        return has_all


def _keras_loads(network: keras.Model, file: Path) -> bool:
    """Whether Keras itself can fill the network: it also finds the weights of layers that are made of layers."""
    try:
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            network.load_weights(file)
    except Exception:  # As above; what does not fit is told by layer.
        return False
    # Keras 3 only warns when part of the file is missing.
    return not any("freshly-initialized" in str(note.message) for note in notes)
