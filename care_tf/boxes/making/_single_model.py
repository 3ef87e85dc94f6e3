"""Segmentation by one trained network that somebody else made, held to the rule: never the images it was trained on."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from care_tf.boxes.segmentation.image_identity import image_identities
from care_tf.boxes.segmentation.prediction import lesion_probability, load_segmentation_model
from care_tf.data.manifest import read_manifest
from care_tf.errors import InputError
from care_tf.files import file_sha256, files_sha256


@dataclasses.dataclass(frozen=True, eq=False)
class SingleModelMethod:
    """One network for all images; refuses those it was trained on.

    Args:
      model: A Keras model file or the folder of a SavedModel, as `load_segmentation_model` takes it.
      settings: See `methods.SaliencyMethod`.
      saw: uint64 (n,), sorted numbers of the identities of its training images.
    """

    model: str
    settings: dict[str, Any]
    saw: np.ndarray
    name: str = "segmentation"

    def __call__(self, image: np.ndarray, image_path: str, group: str) -> np.ndarray:
        """The probability of lesion.

        Raises:
          InputError: The network was trained on the image, its group, or a copy of it.
        """
        if len(self.saw) and np.isin(_numbers(image_identities(image_path, group)), self.saw).any():
            raise InputError(
                f"The model was trained on {Path(image_path).name}, its group {group!r} or a copy of it: leave such "
                "images out, or train cross-fitted networks."
            )
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
    identities: set[str] = set()
    if training_manifest is not None:
        manifest = read_manifest(training_manifest, check_images=False)
        for image_path, group in zip(manifest.image_paths, manifest.groups, strict=True):
            identities |= image_identities(image_path, group)
    saw = np.unique(_numbers(identities))
    files = sorted(file for file in path.rglob("*") if file.is_file())  # none: the path is a file itself
    settings = {
        "model_sha256": files_sha256(files) if files else file_sha256(path),
        "saw_sha256": hashlib.sha256(saw.tobytes()).hexdigest(),
        "tensorflow": importlib.metadata.version("tensorflow"),
    }
    return SingleModelMethod(str(path), settings, saw)


def _numbers(identities: Iterable[str]) -> np.ndarray:
    """64 bits each: a tenth of the text, for every worker gets all of them."""
    digests = [hashlib.sha256(identity.encode()).digest()[:8] for identity in identities]
    return np.frombuffer(b"".join(digests), np.uint64)


@functools.lru_cache(maxsize=1)
def _load(path: str, digest: str) -> Callable:
    """One per process; another when the file has changed."""
    return load_segmentation_model(path)
