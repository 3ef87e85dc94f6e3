"""An exported SavedModel as one file for other runtimes."""

import os
import re
from typing import Any

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.extras import require_extra
from care_tf.files import atomic_path, check_suffix

SIGNATURE = "portable"


def convert_to_tflite(saved_model: str | os.PathLike, path: str | os.PathLike) -> None:
    """Writes the signature `portable` of an exported model for TensorFlow Lite (LiteRT), in built-in operations only.

    Args:
      saved_model: What `export_saved_model` wrote.
      path: The file to write, .tflite; it may replace an earlier one.

    Raises:
      InputError: The folder is no such model, the path does not end so, or the classifier has operations that
        TensorFlow Lite lacks.
    """
    check_suffix(path, ".tflite")
    _loaded(saved_model)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[SIGNATURE])
    try:
        content = converter.convert()
    except Exception as error:  # the converter's own classes are not public
        reason = "; ".join(re.findall(r"(?:TF Select|Custom) ops: .*", str(error))) or str(error).splitlines()[0]
        raise InputError(
            f"The classifier must be made of TensorFlow Lite's built-in operations. Received {reason}. Serve the "
            "SavedModel instead, or replace the layers that bring them."
        ) from error
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def convert_to_onnx(saved_model: str | os.PathLike, path: str | os.PathLike) -> None:
    """Writes the signature `portable` of an exported model as ONNX; needs tf2onnx.

    Args:
      saved_model: What `export_saved_model` wrote.
      path: The file to write, .onnx; it may replace an earlier one.

    Raises:
      InputError: The folder is no such model, the path does not end so, or tf2onnx cannot convert an operation.
    """
    check_suffix(path, ".onnx")
    require_extra("The format ONNX", "onnx", "tf2onnx")
    import tf2onnx

    loaded = _loaded(saved_model)  # kept, because its signature does not keep its variables
    taken = loaded.signatures[SIGNATURE].structured_input_signature[1]
    names = sorted(taken, key=lambda name: (name != "images", name))
    function = tf.function(
        lambda *given: loaded.signatures[SIGNATURE](**dict(zip(names, given, strict=True))), autograph=False
    )
    try:
        model, _ = tf2onnx.convert.from_function(function, [taken[name] for name in names])
    except Exception as error:  # whatever its handlers raise
        raise InputError(
            f"The classifier must be made of operations that tf2onnx knows. Received {str(error).splitlines()[0]}. "
            "Serve the SavedModel instead, or replace the layers that bring them."
        ) from error
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def _loaded(saved_model: str | os.PathLike) -> Any:
    try:
        loaded = tf.saved_model.load(str(saved_model))
    except OSError as error:
        raise InputError(f"{saved_model} cannot be loaded as a SavedModel: {str(error).splitlines()[0]}.") from error
    if SIGNATURE not in loaded.signatures:
        raise InputError(
            f"The SavedModel must have the signature {SIGNATURE}. Received {', '.join(loaded.signatures)} in "
            f"{saved_model}. Export the run again."
        )
    return loaded
