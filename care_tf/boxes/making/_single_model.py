"""Segmentation by one trained network that somebody else made, held to the rule: never the images it was trained on."""

import dataclasses
import functools
import importlib.metadata
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from care_tf.boxes.segmentation.prediction import lesion_probability, load_segmentation_model
from care_tf.data.image_identity import TrainingImages
from care_tf.data.manifest import read_manifest
from care_tf.errors import InputError
from care_tf.files import path_sha256


@dataclasses.dataclass(frozen=True, eq=False)
class SingleModelMethod:
    """One network for all images; refuses those it was trained on.

    Args:
      model: A Keras model file or the folder of a SavedModel, as `load_segmentation_model` takes it.
      settings: See `methods.SaliencyMethod`.
      trained_on: Its training images.
    """

    model: str
    settings: dict[str, Any]
    trained_on: TrainingImages
    name: str = "segmentation"

    def __call__(self, image: np.ndarray, image_path: str, group: str, class_name: str = "") -> np.ndarray:
        """The probability of lesion.

        Raises:
          InputError: The network was trained on the image, its group, or a copy of it.
        """
        self.trained_on.refuse(image_path, group)
        return lesion_probability(_load(self.model, self.settings["model_sha256"]), image)


def single_model(
    path: Path, training_manifest: str | os.PathLike | None = None, trained_elsewhere: bool = False
) -> SingleModelMethod:
    """Builds the method, once it is known what the network was trained on; arguments as of `methods.get_method`.

    Raises:
      InputError: Neither or both of the last two are given, or the model or an image of the manifest cannot be read.
    """
    if (training_manifest is None) == (not trained_elsewhere):
        received = "neither" if training_manifest is None else "both"
        raise InputError(
            f"A single model must not segment its own training images: give the manifest it was trained on, or vouch "
            f"that it was trained elsewhere on none of these images. Received {received}."
        )
    load_segmentation_model(path)  # a model that cannot be loaded is refused now, not at every image
    manifests = [] if training_manifest is None else [read_manifest(training_manifest, check_images=False)]
    trained_on = TrainingImages.of(*manifests)
    settings = {
        "model_sha256": path_sha256(path),
        "saw_sha256": trained_on.sha256,
        "tensorflow": importlib.metadata.version("tensorflow"),
    }
    return SingleModelMethod(str(path), settings, trained_on)


@functools.lru_cache(maxsize=1)
def _load(path: str, digest: str) -> Callable:
    """One per process; another when the file has changed."""
    return load_segmentation_model(path)
