"""What a weights file holds for each layer of a network, in whichever of Keras' three formats it is."""

import contextlib
import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras

from care_tf.backbones.layer_changes import innermost_layers
from care_tf.errors import InputError
from care_tf.interrupts import interrupt_held
from care_tf.keras_generation import renew_state
from care_tf.model_file import load_network
from care_tf.problems import listed

_Stored = list[tuple[str, Sequence[Any]]]  # layers of a file by name, with their arrays


@dataclasses.dataclass(frozen=True)
class StoredLayer:
    """A layer of the network beside the one of the file that would fill it.

    Args:
      name: Of the network's layer.
      variables: Its weights, in the file's order.
      stored_name: Of the file's layer; "" where it has none.
      arrays: What the file holds: arrays, or HDF5 data sets that are read when they are loaded.
    """

    name: str
    variables: Sequence[Any]
    stored_name: str
    arrays: Sequence[Any]

    @property
    def fits(self) -> bool:
        """Whether the shapes are equal."""
        return _shapes(self.variables) == _shapes(self.arrays)


@contextlib.contextmanager
def stored_layers(network: keras.Model, file: Path) -> Iterator[list[StoredLayer]]:
    """The network's layers that own weights, each with what the file has for it; the arrays can be read inside only.

    Layers are matched by name, or in order, the rule of the published files, where more of them fit so; those of
    `.weights.h5` by the paths that Keras gives them.

    Raises:
      InputError: The file is of another kind.
      OSError, KeyError: It cannot be read.
    """
    if file.suffix == ".keras":
        saved = [(layer.name, layer.get_weights()) for layer in _owners(_saved_model(file))]
        yield _best_match([(layer.name, layer.weights) for layer in _owners(network)], saved)
        return
    if file.suffix not in (".h5", ".hdf5"):
        raise InputError(f"A weights file must end in .h5, .weights.h5 or .keras. Received {file}.")
    import h5py  # Comes with Keras

    with h5py.File(file, "r") as opened:
        if file.name.endswith(".weights.h5"):
            yield list(_by_path(network, opened))
        else:
            owners = [layer for layer in network.layers if layer.weights]
            targets = [(layer.name, layer.trainable_weights + layer.non_trainable_weights) for layer in owners]
            yield _best_match(targets, _published_layers(opened.get("model_weights", opened)))


def load_all(network: keras.Model, layers: Sequence[StoredLayer]) -> None:
    """Fills layers of a network.

    Raises:
      ValueError: Some do not fit; it names those that do, and the others with both shapes.
    """
    misfits = [
        f"{layer.name} needs {_shapes(layer.variables)}, it has {_shapes(layer.arrays)} ({layer.stored_name})"
        for layer in layers
        if layer.stored_name and not layer.fits
    ]
    names = [layer.name for layer in layers]
    if missing := runs_of(names, [layer.name for layer in layers if not layer.stored_name]):
        misfits.append(f"it has nothing for {missing}")
    if misfits:
        fitting = [layer.name for layer in layers if layer.fits]
        which = runs_of(names, fitting) or "none"
        raise ValueError(f"{len(fitting)} of {len(layers)} layers fit ({which}); {listed(misfits)}")
    for layer in layers:
        for variable, array in zip(layer.variables, layer.arrays, strict=True):
            variable.assign(array[()])
    renew_state(network)


def write_layers(network: keras.Model, file: Path, **attributes: str) -> None:
    """Writes the weights of a flat network in the layout of the published `.h5` files, which both generations load.

    Args:
      network: Whose layers to write.
      file: To write.
      attributes: What to say of the weights, as attributes of the file.
    """
    import h5py  # Comes with Keras

    owners = [layer for layer in network.layers if layer.weights]
    with interrupt_held(), h5py.File(file, "w") as opened:
        opened.attrs.update({**attributes, "layer_names": [layer.name.encode() for layer in owners]})
        for layer in owners:
            group = opened.create_group(layer.name)
            arrays = {f"{layer.name}/{number}": array for number, array in enumerate(layer.get_weights())}
            group.attrs["weight_names"] = [name.encode() for name in arrays]
            for name, array in arrays.items():
                group[name] = array


def runs_of(names: Sequence[str], chosen: Iterable[str]) -> str:
    """Chosen names out of an ordered list, neighbors joined: "a to c, e"."""
    chosen = set(chosen)
    groups = [list(group) for is_chosen, group in itertools.groupby(names, chosen.__contains__) if is_chosen]
    return listed([f"{group[0]} to {group[-1]}" if len(group) > 1 else group[0] for group in groups], ", ")


def _best_match(targets: _Stored, stored: _Stored) -> list[StoredLayer]:
    nothing: tuple[str, Sequence[Any]] = ("", ())
    by_name = {name: (name, arrays) for name, arrays in stored}
    in_order = itertools.zip_longest(targets, stored[: len(targets)], fillvalue=nothing)
    candidates = (  # the first of equals
        [StoredLayer(*target, *by_name.get(target[0], nothing)) for target in targets],
        [StoredLayer(*target, *source) for target, source in in_order],
    )
    return max(candidates, key=lambda layers: sum(layer.fits for layer in layers))


def _published_layers(group: Any) -> _Stored:
    """The older layout: the group's attributes name its layers, each layer's name its arrays, in order."""
    layers = [
        (name, [group[name][key] for key in _names(group[name], "weight_names")])
        for name in _names(group, "layer_names")
    ]
    return [(name, arrays) for name, arrays in layers if arrays]


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names, which Keras splits into attribute0, attribute1, ... where it is long."""
    parts = [group.attrs[attribute]] if attribute in group.attrs else []
    for number in itertools.count():
        if f"{attribute}{number}" not in group.attrs:
            break
        parts.append(group.attrs[f"{attribute}{number}"])
    return [name.decode() if isinstance(name, bytes) else str(name) for part in parts for name in part]


def _by_path(network: keras.Model, opened: Any) -> Iterator[StoredLayer]:
    """Layers by class and number, such as layers/conv2d_3/vars/0."""
    numbers: Counter = Counter()
    for layer in network.layers:
        kind = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)).lower()
        path = f"{kind}_{numbers[kind]}" if numbers[kind] else kind
        numbers[kind] += 1
        if layer.weights:
            arrays = opened.get(f"layers/{path}/vars", {})
            in_order = [arrays[key] for key in sorted(arrays, key=int)]
            yield StoredLayer(layer.name, layer.weights, path if arrays else "", in_order)


def _saved_model(file: Path) -> keras.Model:
    try:
        return load_network(file)
    except InputError:
        raise
    except Exception as error:  # Keras raises whatever its reader does; also zipfile.BadZipFile.
        reason = " ".join(str(error).split())
        raise InputError(f"Weights file {file} is not a model that Keras can load: {reason}.") from error


def _owners(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in innermost_layers(model) if layer.weights]


def _shapes(weights: Sequence[Any]) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in weights]
