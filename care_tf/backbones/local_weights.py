"""Weights from a file on this machine: Keras' own weight files, or a whole saved model."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import keras

from care_tf.errors import InputError


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
      path: `.h5` / `.weights.h5`: weights of this very network, as `network.save_weights` or the published
        `*_notop.h5` files hold them. `.keras`: a whole model, this network alone or with any head after it; its
        layers that own weights are matched in order and the head's are left out.

    Raises:
      InputError: The file is missing, unreadable, of another kind, or does not fit; the message names the first
        layer that did not.
    """
    file = require_file(path)
    if file.suffix == ".keras":
        _copy(_saved_model(file), network, file)
    elif file.suffix in (".h5", ".hdf5"):
        _load_keras_weights(network, file)
    else:
        raise InputError(f"A weights file must end in .h5, .weights.h5 or .keras. Received {file}.")


def _load_keras_weights(network: keras.Model, file: Path) -> None:
    try:
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            network.load_weights(file)
        # Keras 3 only warns when part of the file is missing.
        missing = [str(note.message) for note in notes if "freshly-initialized" in str(note.message)]
        if missing:
            raise ValueError(missing[0])
    except Exception as error:  # Keras raises whatever its reader does: OSError, KeyError, ValueError, TypeError ...
        reason = " ".join(str(error).split())
        raise InputError(
            f"Weights file {file} does not fit {network.name}: {reason}. It must hold the weights of this network "
            "without its top, saved by the same generation of Keras or published as *_notop.h5."
        ) from error


def _saved_model(file: Path) -> keras.Model:
    try:
        return keras.saving.load_model(file, compile=False)
    except Exception as error:  # As above; also zipfile.BadZipFile.
        reason = " ".join(str(error).split())
        raise InputError(f"Weights file {file} is not a model that Keras can load: {reason}.") from error


def _copy(saved: keras.Model, network: keras.Model, file: Path) -> None:
    sources = list(_weighted_layers(saved))
    for index, target in enumerate(_weighted_layers(network)):
        expected = [tuple(weight.shape) for weight in target.weights]
        source = sources[index] if index < len(sources) else None
        received = [tuple(weight.shape) for weight in source.weights] if source is not None else []
        if source is None or received != expected:
            found = f"layer {source.name} with shapes {received}" if source is not None else "no further layer"
            raise InputError(
                f"Weights file {file} does not fit {network.name}: layer {target.name} needs shapes {expected}, the "
                f"saved model has {found}. Save the model that was built by the same name."
            )
        target.set_weights(source.get_weights())


def _weighted_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Innermost layers that own weights, in the model's order."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _weighted_layers(layer)
        elif layer.weights:
            yield layer
