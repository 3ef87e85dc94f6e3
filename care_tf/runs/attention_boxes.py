"""A run's attention maps as a method of making boxes: lesion detection by a classifier that never trained on boxes."""

import dataclasses
import functools
import importlib.metadata
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from care_tf import run_files
from care_tf.data import Manifest, read_manifest
from care_tf.data.image_identity import TrainingImages
from care_tf.errors import InputError
from care_tf.files import file_sha256
from care_tf.images.resizing import map_of_image, resize_images
from care_tf.runs._folder import LoadedRun, load_run
from care_tf.runs._seen_images import seen_rows


@dataclasses.dataclass(frozen=True, eq=False)
class AttentionMethod:
    """The attention map of each image's true class, as `care_tf.boxes.making` takes methods; see `attention_method`.

    Attributes:
      folder: The run folder.
      settings: What the maps depend on.
      trained_on: The run's training and validation images.
      max_pixel_value: White in 16-bit PNGs as the run reads them: images are to be read so, too.
    """

    folder: str
    settings: dict[str, str]
    trained_on: TrainingImages
    max_pixel_value: int | None = None
    name: str = "attention"

    def __call__(self, image: np.ndarray, image_path: str, group: str, class_name: str) -> np.ndarray:
        """uint8 (H,W,3) RGB -> float32 (H,W) in [0,1], all zeros where the map is flat.

        Raises:
          InputError: The run was trained on the image, its group or a copy of it, or does not know the class.
        """
        self.trained_on.refuse(image_path, group)
        class_names, attend = _loaded(self.folder, *_digests(self.settings))
        if class_name not in class_names:
            raise InputError(f"The run knows the classes {', '.join(class_names)}. Received {class_name}.")
        return attend(image, class_names.index(class_name))


def attention_method(
    folder: str | os.PathLike, training_manifest: str | os.PathLike | None = None, trained_elsewhere: bool = False
) -> AttentionMethod:
    """Builds the method of a finished run.

    Args:
      folder: The run folder.
      training_manifest: What the run was trained on; None: the rows that its configuration names.
      trained_elsewhere: You vouch that it saw none of the images.

    Raises:
      InputError: The folder is not a finished run, both of the last two are given, or the manifest that the run was
        trained on is gone or changed.

    Warns:
      UserWarning: It started from the weights of a file, and nobody said what it was trained on.
    """
    if training_manifest is not None and trained_elsewhere:
        raise InputError("Give --training-manifest or --trained-elsewhere, not both.")
    folder = Path(folder).absolute()
    run = load_run(folder)
    run.check_needs_no_boxes()
    if run.inputs:
        raise InputError(
            "Boxes are made of images, so the run's network must take an image alone. Received one that takes "
            f"{', '.join(encoding.name for encoding in run.inputs)} beside it ({folder}). Choose another run."
        )
    if trained_elsewhere:
        manifests = []
    elif training_manifest is not None:
        manifests = [read_manifest(training_manifest, check_images=False)]
    else:
        manifests = _own_rows(run)
        _warn_of_start_weights(run)
    trained_on = TrainingImages.of(*manifests)
    settings = {
        "model_sha256": file_sha256(folder / run_files.MODEL),
        "config_sha256": file_sha256(folder / run_files.CONFIG),
        "saw_sha256": trained_on.sha256,
        "tensorflow": importlib.metadata.version("tensorflow"),
    }
    return AttentionMethod(str(folder), settings, trained_on, run.config.data.max_pixel_value)


def _own_rows(run: LoadedRun) -> list[Manifest]:
    rows, doubt = seen_rows(run)
    if rows is None or doubt:
        raise InputError(
            f"A run makes no boxes for its own training images, so these must be known. Received: {doubt} Give the "
            "manifest of its training images (--training-manifest), or vouch that it saw none of these images "
            "(--trained-elsewhere)."
        )
    return [rows.train] if rows.validation is None else [rows.train, rows.validation]


def _warn_of_start_weights(run: LoadedRun) -> None:
    stages = run.config.stages
    own = {None, "imagenet", "initial", *(stage.name for stage in stages)}
    started_from = dict.fromkeys([run.config.model.weights, *(stage.start_from for stage in stages)])
    files = [str(name) for name in started_from if name not in own]
    if files:
        warnings.warn(
            f"{run.folder} started from {', '.join(files)}: images that those weights were trained on are not refused.",
            UserWarning,
            stacklevel=3,
        )


def _digests(settings: dict[str, str]) -> tuple[str, str]:
    return settings["model_sha256"], settings["config_sha256"]


@functools.lru_cache(maxsize=1)
def _loaded(
    folder: str, model_sha256: str, config_sha256: str
) -> tuple[tuple[str, ...], Callable[[np.ndarray, int], np.ndarray]]:
    """The classes of a run and its function image, class -> map; once per process, anew when a file has changed."""
    run = load_run(folder)
    predict = tf.function(run.care_model.predictions_and_attention, autograph=False, reduce_retracing=True)

    def attend(image: np.ndarray, class_index: int) -> np.ndarray:
        resized = resize_images(tf.constant(image[np.newaxis]), run.image_size, run.config.data.resize)
        _, attention = predict(run.preprocess(resized), tf.constant([class_index]))
        size = image.shape[:2]
        return np.clip(map_of_image(attention, size, run.image_size, run.config.data.resize, size)[0], 0.0, 1.0)

    return run.class_names, attend
