"""Watching a layer's calls from outside, so that any classifier can be read without rebuilding it."""

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator
from typing import Any

import keras

from care_tf.errors import InputError
from care_tf.keras_generation import sublayers

Observer = Callable[[tuple, Any], None]
BeforeCall = Callable[[tuple], None]
Change = Callable[[tuple], tuple]
_MAX_LISTED = 12

_lock = threading.Lock()
_Heard = tuple[BeforeCall | None, Observer | None, Change | None]
_installed: dict[tuple[int, str], int] = {}
_observers = threading.local()


@contextlib.contextmanager
def observing(
    layer: keras.layers.Layer,
    attribute: str,
    observer: Observer | None = None,
    before: BeforeCall | None = None,
    change: Change | None = None,
) -> Iterator[None]:
    """Calls `before(args)` before, `observer(args, result)` after every call of `layer.<attribute>` inside the block.

    The layer's own function runs unchanged, and the layer is as before when the block ends, also by an exception.
    Replicas of a distribution strategy trace in threads that interleave: the patch is shared and counted, while each
    thread hears only its own calls.

    Args:
      layer: Any Keras layer or model.
      attribute: Name of a callable instance attribute or method: "call" or "activation".
      observer: Called with the positional arguments and the result.
      before: Called with the positional arguments.
      change: Positional arguments -> those that the layer's own function is called with in their place.
    """
    key = (id(layer), attribute)
    heard = _thread_observers().setdefault(key, [])
    heard.append((before, observer, change))
    with _lock:
        _installed[key] = _installed.get(key, 0) + 1
        if _installed[key] == 1:
            _install(layer, attribute, key)
    try:
        yield
    finally:
        heard.remove((before, observer, change))
        with _lock:
            _installed[key] -= 1
            if _installed[key] == 0:
                _uninstall(layer, attribute)
                del _installed[key]


def walk_layers(model: keras.layers.Layer, prefix: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """Yields (path, layer) for every layer below a model, inner ones after the layer that holds them.

    Args:
      model: A model or composite layer.
      prefix: Path of `model` itself, with a trailing slash.

    Yields:
      "outer/inner" paths, without the model's own name, and the layers.
    """
    for layer in sublayers(model):
        yield f"{prefix}{layer.name}", layer
        yield from walk_layers(layer, prefix=f"{prefix}{layer.name}/")


def layers_by_path(model: keras.layers.Layer) -> dict[str, keras.layers.Layer]:
    """Path -> layer, for every layer below a model once; a path that repeats is numbered: "block", "block#2"."""
    layers: dict[str, keras.layers.Layer] = {}
    seen: set[int] = set()
    for path, layer in walk_layers(model):
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        number = 1 + sum(known.split("#")[0] == path for known in layers)
        layers[path if number == 1 else f"{path}#{number}"] = layer
    return layers


def find_path(paths: Collection[str], name: str, argument: str, candidates: str) -> str:
    """The one path that is, or else ends in, a layer's name.

    Args:
      paths: Those of `layers_by_path`.
      name: Layer name, or "outer/inner" path.
      argument: Where the name was given, for messages.
      candidates: What to choose from, for the message that there is no such layer.

    Raises:
      InputError: The layer is unknown or ambiguous.
    """
    found = [path for path in paths if path == name] or [path for path in paths if path.split("/")[-1] == name]
    if not found:
        raise InputError(f"{argument}={name!r} is not a layer of the classifier. {candidates}.")
    if len(found) > 1:
        raise InputError(f"{argument}={name!r} names several layers; give one of the paths {listing(found)}.")
    return found[0]


def listing(paths: Collection[str]) -> str:
    """The paths in one line; of more than 12 the last 12."""
    return ", ".join(paths if len(paths) <= _MAX_LISTED else ["...", *list(paths)[-_MAX_LISTED:]])


def _thread_observers() -> dict[tuple[int, str], list[_Heard]]:
    if not hasattr(_observers, "by_layer"):
        _observers.by_layer = {}
    return _observers.by_layer


# Both write the instance's __dict__ directly: Keras's own __setattr__ tracks what it is given, and a temporary
# function must leave no trace in a saved model.
def _install(layer: keras.layers.Layer, attribute: str, key: tuple[int, str]) -> None:
    original = getattr(layer, attribute)

    def observed(*args, **kwargs):
        heard = list(_thread_observers().get(key, ()))
        given = args or tuple(kwargs.values())
        for before, _, change in heard:
            if before is not None:
                before(given)
            if change is not None:
                args = change(args)
        result = original(*args, **kwargs)
        for _, observer, _ in heard:
            if observer is not None:
                observer(given, result)
        return result

    observed.previous = layer.__dict__.get(attribute)  # type: ignore[attr-defined]
    layer.__dict__[attribute] = observed


def _uninstall(layer: keras.layers.Layer, attribute: str) -> None:
    previous = layer.__dict__.pop(attribute).previous
    if previous is not None:
        layer.__dict__[attribute] = previous
