"""Where a saliency map comes from: DSR, BMS, a segmentation network, or a function of the user's own."""

import dataclasses
import functools
import importlib
import importlib.metadata
import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from care_tf.boxes.making._single_model import single_model
from care_tf.boxes.segmentation.cross_fitting import RECORD, CrossFittedSegmentation
from care_tf.errors import InputError, did_you_mean
from care_tf.files import file_sha256, files_sha256
from care_tf.named_function import named_function


class SaliencyMethod(Protocol):
    """What `make_boxes` needs of a method: a small object that can be pickled and loads what it needs when called.

    Attributes:
      name: Becomes the `box_source` of the images.
      settings: JSON values that its maps depend on; a run with other settings starts anew.
      max_pixel_value: Of a network only, and then that of its training images; `make_boxes` refuses others.
    """

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, Any]: ...

    def __call__(self, image: np.ndarray, image_path: str, group: str, class_name: str) -> np.ndarray:
        """uint8 (H,W,3) RGB, its path, patient or lesion ("": unknown) and class -> float32 (H,W) in [0,1]."""


@dataclasses.dataclass(frozen=True)
class FunctionMethod:
    """A function image -> map, named so that every process finds it by itself.

    Args:
      name: The method's name.
      function: "module:function"; called as function(image) with uint8 (H,W,3) RGB, returns float (H,W) in [0,1].
      settings: See `SaliencyMethod`.
    """

    name: str
    function: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __call__(self, image: np.ndarray, image_path: str, group: str, class_name: str = "") -> np.ndarray:
        """The function's map of the image; the rest is not used."""
        return named_function(self.function, "method")[1](image)


@dataclasses.dataclass(frozen=True)
class CrossFittedMethod:
    """Segmentation by the network of a cross-fitted folder that saw neither the image nor its group.

    Args:
      folder: What training the cross-fitted networks wrote.
      settings: See `SaliencyMethod`.
    """

    folder: str
    settings: Mapping[str, Any]
    name: str = "segmentation"

    @property
    def max_pixel_value(self) -> int | None:
        """What the networks' training images were read with."""
        return self.settings["training"].get("max_pixel_value")

    def __call__(self, image: np.ndarray, image_path: str, group: str, class_name: str = "") -> np.ndarray:
        """The probability of lesion.

        Raises:
          InputError: Every network saw the image or its group.
        """
        return _cross_fitted(self.folder, self.settings["record_sha256"])(image, image_path, group)


def get_method(
    name: str,
    *,
    model: str | os.PathLike | None = None,
    training_manifest: str | os.PathLike | None = None,
    trained_elsewhere: bool = False,
) -> SaliencyMethod:
    """Builds a method by its name.

    Args:
      name: "dsr", "bms", "segmentation", or "module:function" for a function of your own,
        function(image: uint8 (H,W,3) RGB) -> float (H,W) in [0,1].
      model: For "segmentation": a folder of cross-fitted networks, a Keras model file or a SavedModel.
      training_manifest: For a single model: what it was trained on; those images and their groups are refused.
      trained_elsewhere: For a single model: you vouch that it saw none of the images.

    Returns:
      The method.

    Raises:
      InputError: An unknown name, a function or model that is not there, options that do not belong to the method, or
        a single model of which nobody says what it was trained on.
    """
    if name != "segmentation" and (model is not None or training_manifest is not None or trained_elsewhere):
        raise InputError(
            f'A model, its training manifest and "trained elsewhere" go with the method segmentation. Received {name}.'
        )
    if name == "segmentation":
        return _segmentation(model, training_manifest, trained_elsewhere)
    if name in _BUILT_IN or ":" in name:
        # By its code, not only the version: a resumed run must not mix the boxes of two forms of a method.
        function = _BUILT_IN.get(name, name)
        sources = _source_files(named_function(function, "method")[1])
        sources = sorted(sources[0].parent.glob("*.py")) if name in _BUILT_IN else sources
        return FunctionMethod(name, function, {"source_sha256": files_sha256(sources)})
    known = [*_BUILT_IN, "segmentation"]
    raise InputError(
        f"The method must be one of {', '.join(known)}, or module:function for your own. Received {name!r}."
        f"{did_you_mean(name, known)}"
    )


def box_settings_of(name: str) -> dict[str, Any]:
    """How the maps of a method best become boxes: the arguments of `BoxSettings` that differ from its defaults.

    Args:
      name: As for `get_method`.

    Returns:
      The `BOX_SETTINGS` of dsr and bms, and the largest region for segmentation, chosen on two of four
      folds of dermoscopy images; {} for attention, of which the defaults do best there, and a function of your own.
    """
    if name == "segmentation":
        return {"boxes": "largest"}
    if name not in _BUILT_IN:
        return {}
    return dict(importlib.import_module(_BUILT_IN[name].partition(":")[0]).BOX_SETTINGS)


_BUILT_IN = {"dsr": "care_tf.boxes.saliency._dsr:dsr_saliency", "bms": "care_tf.boxes.saliency._bms:bms_saliency"}


def _segmentation(
    model: str | os.PathLike | None, training_manifest: str | os.PathLike | None, trained_elsewhere: bool
) -> SaliencyMethod:
    if model is None:
        raise InputError("The method segmentation needs a model: a folder of cross-fitted networks or a model file.")
    path = Path(model).absolute()
    if not path.exists():
        raise InputError(
            f"There is no model {path}; give a folder of cross-fitted networks, a Keras file or SavedModel."
        )
    if path.is_file() or (path / "saved_model.pb").exists():
        return single_model(path, training_manifest, trained_elsewhere)
    if training_manifest is not None or trained_elsewhere:
        raise InputError(
            f"{path} is a folder of cross-fitted networks, which know what they saw: leave out the training manifest "
            'and "trained elsewhere".'
        )
    networks = CrossFittedSegmentation(path)  # refuses a folder without a record
    settings = {"record_sha256": file_sha256(path / RECORD), "tensorflow": importlib.metadata.version("tensorflow")}
    return CrossFittedMethod(str(path), {**networks.settings, **settings})


@functools.lru_cache(maxsize=1)
def _cross_fitted(folder: str, record_sha256: str) -> CrossFittedSegmentation:
    """One per process, because the networks that it loads serve all images; another when they were trained again."""
    return CrossFittedSegmentation(folder)


def _source_files(function: Callable[..., Any]) -> list[Path]:
    """The Python file that defines a function, where there is one."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:  # built in
        return []
    return [Path(file)] if file and Path(file).is_file() else []
