"""Keras models in files, searched for what would run code here, or fill the memory, before Keras reads them."""

import contextlib
import importlib
import io
import json
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from care_tf.errors import InputError, clause, reason
from care_tf.file_in_memory import check_no_pipe
from care_tf.interrupts import interrupt_held
from care_tf.unpacked_size import check_archive, check_hdf5, unpack_member

if TYPE_CHECKING:
    import keras

_KERAS_PACKAGES = ("keras", "keras_cv", "keras_hub", "keras_nlp")
# The parts of Keras whose functions a network may name; others read and write files, or load further models.
_FUNCTIONS = ("activations", "constraints", "initializers", "losses", "metrics", "regularizers")
_NO_FUNCTIONS = ("deserialize", "get", "serialize")
# They hold byte code, pickles or graphs of their own, or call a method by its name.
_RUN_CODE = (
    *("Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "TensorFlowOpLayer", "ClassMethod", "InstanceMethod"),
)
_BY_NAME = ("TFOpLambda", "SlicingOpLambda")
# Keras 2 keeps the operations of TensorFlow that a network calls by their names, which can be `io.write_file`.
_OPERATION_GROUPS = ("__operators__", "bitwise", "image", "linalg", "math", "nn", "random", "signal")
_OPERATIONS = (
    *("argsort", "boolean_mask", "broadcast_to", "cast", "clip_by_value", "concat", "convert_to_tensor", "einsum"),
    *("ensure_shape", "expand_dims", "eye", "fill", "gather", "gather_nd", "identity", "meshgrid", "norm", "one_hot"),
    *("ones", "ones_like", "pad", "range", "rank", "repeat", "reshape", "reverse", "roll", "scatter_nd", "shape"),
    *("size", "slice", "sort", "space_to_batch", "split", "squeeze", "stack", "stop_gradient", "strided_slice"),
    *("tensordot", "tile", "transpose", "unstack", "where", "zeros", "zeros_like", "clip_by_norm", "sequence_mask"),
    *("searchsorted", "tensor_scatter_nd_update", "tensor_scatter_nd_add", "dtypes.saturate_cast", "dtypes.complex"),
    *(f"keras.backend.{name}" for name in ("abs", "batch_flatten", "cast", "clip", "concatenate", "exp", "std")),
    *(f"keras.backend.{name}" for name in ("expand_dims", "softmax", "sqrt", "square", "squeeze", "sum", "var")),
    *(f"keras.backend.{name}" for name in ("int_shape", "l2_normalize", "log", "max", "mean", "min", "pow", "relu")),
    *(f"keras.backend.{name}" for name in ("repeat_elements", "reshape", "resize_images", "shape", "sigmoid")),
)
_WITH_VOCABULARY = ("StringLookup", "IntegerLookup", "TextVectorization")
_LONGEST_DESCRIPTION = 2**24  # bytes; that of ResNet152 has less than 2**20, and JSON takes twenty times as much memory


def load_network(path: str | os.PathLike) -> "keras.Model":
    """The model of a `.keras` or HDF5 file, not compiled; nothing that the file holds or names runs.

    Args:
      path: The file.

    Returns:
      The model.

    Raises:
      InputError: As `refuse_code`.
      Exception: Whatever Keras raises where it cannot read the file.
    """
    import keras

    refuse_code(path)
    with interrupt_held():
        return keras.models.load_model(path, compile=False)


def refuse_code(
    path: str | os.PathLike, compiled: bool = False, custom_objects: Mapping[str, Any] | None = None
) -> None:
    """Refuses a model file that holds or names code which is neither Keras' nor known to this process.

    Keras' own safe mode differs: Keras 2.15 imports any module that a `.keras` file names, unpickles its weights, and
    knows no safe mode for HDF5, nor do the releases of Keras 3 before 3.11. Here the rule is one for all:
    a layer, or whatever else a configuration is made of, is a class of Keras or KerasCV, is registered
    (`keras.saving.register_keras_serializable`), or is a layer of a module that is imported already.

    Args:
      path: A `.keras` or HDF5 file, known by its content.
      compiled: Whether loss, metrics and optimizer are made, too.
      custom_objects: Name -> class or function that is as welcome as a registered one.

    Raises:
      InputError: Such code was found, or a layer that reads another file; the file cannot be read, or would unpack to
        far more than it is large; or it is a folder, of whose layers Keras 2 would run the code, a pipe or a device.
    """
    check_no_pipe(path)
    if os.path.isdir(path):
        raise InputError(
            f"{path} must be a file. Received a folder, perhaps of a SavedModel: Keras 2 would run the code of its "
            "layers. Save the network as a .keras file; tf.saved_model.load reads the folder's graph alone."
        )
    try:
        with interrupt_held():
            configs = list(_configs(path, compiled))
    except (InputError, MemoryError):
        raise
    except Exception as error:  # whatever the readers of damaged archives and HDF5 files raise
        raise InputError(f"{path} cannot be read: {clause(reason(error))}.") from error
    for config in configs:
        for node in _nodes(config):
            if named := _file_read_by(node):
                raise InputError(
                    f"{path} must hold a network that reads no other file. Received the vocabulary {named[:80]!a} of "
                    f"{str(node['class_name'])[:80]!a}. Give the layer its vocabulary as a list, and save the network "
                    "again."
                )
            if fault := _fault(node, custom_objects):
                raise InputError(
                    f"{path} must hold a network of known layers and nothing that runs code. Received {fault}. "
                    "Save the network with registered layers (keras.saving.register_keras_serializable) and import "
                    "their module before, or export it as a SavedModel."
                )


def _configs(path: str | os.PathLike, compiled: bool) -> Iterator[Any]:
    """What a file tells of its network; a file may be archive and HDF5 at once, and Keras goes by its name."""
    import h5py  # Comes with Keras

    if not os.path.isfile(path):
        return
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path)
            names = archive.namelist()
            if pickled := [name for name in names if name.endswith((".npz", ".npy", ".pkl", ".pickle"))]:
                raise InputError(f"{path} must keep its weights as HDF5. Received {pickled[0]!r}, which can hold code.")
            if "config.json" in names:
                _check_description(archive.getinfo("config.json").file_size, path)
                unpack_member(archive, "config.json", path, description := io.BytesIO())
                config = _parsed(description.getvalue(), path)
                yield config if compiled or not isinstance(config, dict) else {**config, "compile_config": None}
            if "model.weights.h5" in names:
                with tempfile.TemporaryFile() as weights:  # on the disk, where Keras unpacks them too if they are large
                    unpack_member(archive, "model.weights.h5", path, weights)
                    check_hdf5(weights, path)
    if h5py.is_hdf5(path):
        with open(path, "rb") as opened:
            check_hdf5(opened, path)
        with h5py.File(path, "r") as file:
            for name in ("model_config", *(["training_config"] if compiled else [])):
                if name in file.attrs:
                    yield _parsed(file.attrs[name], path)


def _check_description(size: int, path: str | os.PathLike) -> None:
    if size > _LONGEST_DESCRIPTION:
        raise InputError(
            f"{path} must describe its network in at most {_LONGEST_DESCRIPTION:,} bytes. Received {size:,}. "
            "Keep arrays out of the layers' configurations: save them as weights."
        )


def _parsed(text: Any, path: str | os.PathLike) -> Any:
    if isinstance(text, str | bytes):
        _check_description(len(text), path)
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} does not describe its network as Keras does ({type(error).__name__}). Save it again."
        ) from None


def _nodes(config: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping within a configuration that names a class, however deep."""
    left = [config]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            left.extend(each.values())
            if isinstance(each.get("class_name"), str):
                yield each
        elif isinstance(each, list):
            left.extend(each)


def _file_read_by(node: Mapping[str, Any]) -> str:
    """The path whose lines a layer of Keras takes as its vocabulary; empty where it has none, or a list."""
    if str(node.get("class_name")).rpartition(">")[2].rpartition(".")[2] not in _WITH_VOCABULARY:
        return ""
    vocabulary = config.get("vocabulary") if isinstance(config := node.get("config"), dict) else None
    return vocabulary if isinstance(vocabulary, str) else ""


def _fault(node: Mapping[str, Any], custom_objects: Mapping[str, Any] | None) -> str:
    """What of a node would run code, in words; empty where nothing would."""
    import keras

    class_name, config, module = node["class_name"], node.get("config"), node.get("module")
    kind = re.split("[>.]", class_name)[-1]
    if kind in _RUN_CODE:
        return f"a {kind.strip('_')} layer" if kind != "__lambda__" else "a lambda function"
    if kind in _BY_NAME:
        operation = str(config.get("function")) if isinstance(config, dict) else ""
        return "" if _only_computes(operation) else f"TensorFlow's {operation:.200}"
    if not isinstance(module, str) or not module:  # then Keras looks among its own and the registered names alone
        return ""
    is_function = class_name == "function"
    name = {"function": config, "__typespec__": node.get("spec_name")}.get(class_name, class_name)
    registered_name = name if is_function else node.get("registered_name", class_name)
    if not isinstance(name, str) or not isinstance(registered_name, str | None):
        return f"a class or function that is named by {type(name).__name__} and {type(registered_name).__name__}"
    if (found := keras.saving.get_registered_object(registered_name, custom_objects=custom_objects)) is not None:
        return f"the Lambda layer {registered_name}" if _is_lambda(found) else ""
    if is_function:
        is_known = _is_function_of_keras(module, name) or _is_registered(module, name, custom_objects)
    else:
        is_known = _is_known_class(module, name)
    return "" if is_known else f"{f'{module}.{name}'!a:.200}, which is neither Keras' nor registered"


def _only_computes(operation: str) -> bool:
    group, _, _ = (name := operation.removeprefix("compat.v1.")).partition(".")
    return name in _OPERATIONS or (group in _OPERATION_GROUPS and "." in name)


def _is_registered(module: str, name: str, custom_objects: Mapping[str, Any] | None) -> bool:
    """Whether a function is registered in some package: Keras 2 writes the bare name of one, and "builtins"."""
    import keras

    if module != "builtins":
        return False
    known = (*keras.saving.get_custom_objects(), *(custom_objects or ()))
    return any(each.rpartition(">")[2] == name for each in known)


def _is_function_of_keras(module: str, name: str) -> bool:
    import keras

    if name in _NO_FUNCTIONS or module.partition(".")[0] not in ("builtins", "keras"):
        return False  # "builtins" is what Keras writes for its own, where the name says all
    return any(callable(getattr(getattr(keras, part), name, None)) for part in _FUNCTIONS)


def _is_known_class(module: str, name: Any) -> bool:
    """Whether it is a class of Keras' packages that is made from a configuration, or a layer that is imported."""
    import keras

    package = module.partition(".")[0]
    if package in _KERAS_PACKAGES:
        with contextlib.suppress(Exception):  # whatever importing a package that is not installed raises
            importlib.import_module(module)
    found: Any = sys.modules.get(module)
    for part in str(name).split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type) or _is_lambda(found):
        return False
    if package == "tensorflow":  # the shape and type of an input, and initializers, of which Keras 2 writes this name
        is_spec = module.startswith("tensorflow.python.framework.") and found.__name__.endswith("Spec")
        return is_spec or (module.startswith("tensorflow.python.ops.init_ops") and hasattr(found, "from_config"))
    return hasattr(found, "from_config") and (package in _KERAS_PACKAGES or issubclass(found, keras.layers.Layer))


def _is_lambda(found: Any) -> bool:
    import keras

    return isinstance(found, type) and issubclass(found, keras.layers.Lambda)
