"""The probability of lesion at every pixel of one image, from any Keras segmentation model or SavedModel."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from care_tf.errors import InputError
from care_tf.file_in_memory import open_file
from care_tf.model_file import load_network
from care_tf.tensorflow_start import quiet_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf

_CONTRACT = (
    "A segmentation model takes float32 RGB images 0..255 of shape (batch, height, width, 3) and gives probabilities "
    "(batch, height, width, channels), the lesion in the last channel."
)
_DEFAULT_SIDE_PX = 256  # of a model that takes any size


def load_segmentation_model(path: str | os.PathLike) -> Callable[["tf.Tensor"], "tf.Tensor"]:
    """Loads a Keras model (.keras, .h5) or the folder of a SavedModel; TensorFlow starts here, not before.

    Args:
      path: The file or folder.

    Returns:
      A function of images float32 (B,H,W,3), RGB 0..255, with the attribute `image_size`, (height, width) in px.

    Raises:
      InputError: Nothing is there, or a pipe or a device; it cannot be loaded, or its input or output has another rank.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no segmentation model {path}.")
    quiet_tensorflow()
    return _SavedModel(path) if path.is_dir() else _KerasModel(path)


def lesion_probability(model: Callable[["tf.Tensor"], "tf.Tensor"], image: np.ndarray) -> np.ndarray:
    """The lesion's probability at every pixel.

    Args:
      model: As `load_segmentation_model` returns it.
      image: uint8 (H,W,3) RGB, any size: it is resized to the model's and the result back, bilinearly.

    Returns:
      float32 (H,W) in [0, 1].

    Raises:
      InputError: The model's output is not (1,h,w,channels) in [0, 1].
    """
    import cv2
    import tensorflow as tf

    height, width = model.image_size  # type: ignore[attr-defined]
    resized = tf.image.resize(image[None].astype(np.float32), (height, width), antialias=True)
    output = np.asarray(model(resized))
    if output.ndim != 4 or output.shape[0] != 1 or not np.isfinite(output).all():
        raise InputError(f"{_CONTRACT} This one gave an output of shape {output.shape}.")
    probability = output[0, :, :, -1].astype(np.float32)
    if probability.min() < -1e-3 or probability.max() > 1 + 1e-3:
        raise InputError(
            f"{_CONTRACT} This one gave values from {probability.min():.3g} to {probability.max():.3g}: end it with a "
            "softmax or sigmoid."
        )
    restored = cv2.resize(probability, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.clip(restored, 0.0, 1.0)


class _KerasModel:
    """A Keras model with a fixed or free input size, compiled into one function."""

    def __init__(self, path: Path) -> None:
        import tensorflow as tf

        from care_tf.backbones.keras_cv_networks import require_keras_cv

        if _has_keras_cv_layers(path):
            require_keras_cv(f"the network {path}")  # importing it registers them
        try:
            self._model = load_network(path)
        except InputError:
            raise
        except Exception as error:  # Keras raises whatever its readers do
            raise InputError(f"{path} is not a model that Keras can load: {_first_line(error)}.") from error
        shape = _single(getattr(self._model, "input_shape", None), "input", path)
        output_shape = getattr(self._model, "output_shape", None)  # a subclassed model may know it only when called
        if output_shape is not None:
            _single(output_shape, "output", path)
        self.image_size = _image_size(shape, path)
        self._call = tf.function(lambda images: self._model(images, training=False))

    def __call__(self, images: "tf.Tensor") -> "tf.Tensor":
        return self._call(images)


class _SavedModel:
    """The serving signature of a SavedModel with one image input and one output."""

    def __init__(self, path: Path) -> None:
        import tensorflow as tf

        try:
            loaded = tf.saved_model.load(os.fspath(path))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is not a SavedModel: {_first_line(error)}.") from error
        signature = loaded.signatures.get("serving_default")
        inputs = list(signature.structured_input_signature[1].items()) if signature is not None else []
        if len(inputs) != 1 or len(signature.structured_outputs) != 1:
            raise InputError(f'{path} needs a signature "serving_default" with one input and one output. {_CONTRACT}')
        (self._name, specification), self._loaded, self._signature = inputs[0], loaded, signature
        if not specification.dtype.is_floating:
            raise InputError(f"{path} takes images of {specification.dtype.name}. {_CONTRACT}")
        self._dtype = specification.dtype
        self.image_size = _image_size(() if specification.shape.rank is None else tuple(specification.shape), path)

    def __call__(self, images: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        (output,) = self._signature(**{self._name: tf.cast(images, self._dtype)}).values()
        return output


def _has_keras_cv_layers(path: Path) -> bool:
    """Whether a file holds KerasCV's own layers, as the DeepLabV3+ of older versions does."""
    with open_file(path) as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                return any(b"keras_cv" in archive.read(name) for name in archive.namelist() if name == "config.json")
        file.seek(0)
        return b"keras_cv" in file.read()


def _single(shape: Any, kind: str, path: Path) -> tuple:
    if isinstance(shape, list) and len(shape) == 1:  # a model built from a list of one
        shape = shape[0]
    if not isinstance(shape, tuple) or (shape and isinstance(shape[0], tuple | list)):
        raise InputError(f"{path} must have one {kind}. Received {shape}. {_CONTRACT}")
    return shape


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _image_size(shape: tuple, path: Path) -> tuple[int, int]:
    if len(shape) != 4 or shape[-1] != 3:
        raise InputError(f"{path} takes inputs of shape {shape}. {_CONTRACT}")
    return (shape[1] or _DEFAULT_SIDE_PX, shape[2] or _DEFAULT_SIDE_PX)
