"""One SavedModel: preprocessing, classifier, class names and attention map, without Keras and without this package."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf

from care_tf.data.class_focus import check_focus
from care_tf.data.input_encoding import InputEncoding
from care_tf.errors import InputError
from care_tf.evaluation.decision_thresholds import Decision
from care_tf.files import atomic_path
from care_tf.images.bit_depth import check_max_pixel_value
from care_tf.images.resize_choice import STRETCH, check_resize
from care_tf.network.inputs import further_inputs, symbolic_inputs
from care_tf.network_input import image_of
from care_tf.serving._description import ModelDescription, write_description
from care_tf.serving._signatures import ServedClassifier

if TYPE_CHECKING:
    from care_tf.model import CAREModel


def export_saved_model(
    care_model: "CAREModel",
    path: str | os.PathLike,
    *,
    preprocess: Callable[[tf.Tensor], tf.Tensor],
    image_size: tuple[int, int],
    class_names: Sequence[str],
    max_pixel_value: int | None = None,
    resize: str = STRETCH,
    inputs: Sequence[InputEncoding] = (),
    decision: Decision | None = None,
    focus_class: str | None = None,
) -> None:
    """Writes a SavedModel with the signatures `serving_default`, `serve_bytes`, `explain`, `explain_class`, `portable`.

    Args:
      care_model: The trained model; it is not changed.
      path: The folder to write; it appears whole or not at all, and may replace an earlier export.
      preprocess: float32 RGB 0..255 (B,H,W,3) -> what the classifier takes, in TensorFlow operations.
      image_size: Height and width the classifier works at, px. Images of another size are resized in the graph.
      class_names: One name per class, in the order of the labels; two for a classifier of one sigmoid unit.
      max_pixel_value: The number in a 16-bit PNG sent to `serve_bytes` that is white, and what is above it, too; None
        takes the upper byte of its numbers.
      resize: How images of other proportions get the size: "stretch", or "pad"; as in training.
      inputs: How further inputs were encoded: the signatures then take the manifest's own values, numbers (NaN for
        missing) and texts ("" for missing). Other further inputs are taken as the classifier takes them.
      decision: How the probabilities are read: the signatures then give `calibrated` probabilities and what is
        `called`, too.
      focus_class: The class that the model was trained for, such as the rarest: `care predict` sorts by it.

    Raises:
      InputError: `path` holds something else, the image size, the class names, the decision or `inputs` do not fit the
        classifier, `max_pixel_value` or `resize` is out of range, `focus_class` is no class, or `preprocess` cannot run
        in a graph.
    """
    _check_target(Path(path))
    _check_image_size(care_model, image_size)
    _check_class_names(care_model, class_names)
    _check_preprocess(preprocess, image_size)
    check_max_pixel_value(max_pixel_value)
    check_resize(resize)
    _check_inputs(care_model, inputs)
    check_focus([focus_class] if focus_class is not None else [], class_names)
    if decision is not None and decision.class_names != tuple(class_names):
        raise InputError(
            f"The decision must be about the classes {', '.join(class_names)}. Received one about "
            f"{', '.join(decision.class_names)}."
        )
    description = ModelDescription(
        tuple(class_names), image_size, max_pixel_value, tuple(inputs), decision, focus_class, resize
    )
    served = ServedClassifier(care_model, preprocess, description)
    signatures = {
        "serving_default": served.serve_images,
        "serve_bytes": served.serve_bytes,
        "explain": served.explain,
        "explain_class": served.explain_class,
        "portable": served.portable,
    }
    with atomic_path(path) as temporary:
        tf.saved_model.save(served, str(temporary), signatures=signatures)
        write_description(temporary, description)


def _check_target(path: Path) -> None:
    """Only an earlier export may be replaced: a mistyped path must not cost a folder of something else."""
    is_export = (path / "saved_model.pb").exists()
    is_empty = path.is_dir() and not any(path.iterdir())
    if path.exists() and not (is_export or is_empty):
        raise InputError(
            f"The SavedModel must go to a new folder or replace an earlier one; {path} holds something else."
        )


def _check_image_size(care_model: "CAREModel", image_size: tuple[int, int]) -> None:
    if len(image_size) != 2 or min(image_size) < 1:
        raise InputError(f"image_size must be (height, width) in pixels, both at least 1. Received {image_size}.")
    expected = tuple(image_of(symbolic_inputs(care_model.classifier)).shape[1:3])
    if any(side not in (None, asked) for side, asked in zip(expected, image_size, strict=True)):
        raise InputError(
            f"The classifier was built for images of {expected} px and takes no others. Received image_size "
            f"{tuple(image_size)}. Leave image_size as it was in training: the exported model resizes what it is sent."
        )


def _check_class_names(care_model: "CAREModel", class_names: Sequence[str]) -> None:
    units = care_model.classifier.output_shape[-1]
    expected = 2 if units == 1 else units
    if len(class_names) != expected:
        raise InputError(
            f"class_names must name each of the classifier's {expected} classes. Received {len(class_names)}: "
            f"{', '.join(map(str, class_names))}."
        )
    if len(set(class_names)) != len(class_names):
        raise InputError(f"class_names must differ from one another. Received {', '.join(class_names)}.")


def _check_inputs(care_model: "CAREModel", inputs: Sequence[InputEncoding]) -> None:
    taken = {name: spec.shape[1:] for name, spec in further_inputs(care_model.classifier).items()}
    wrong = [encoding.name for encoding in inputs if taken.get(encoding.name) != [encoding.width]]
    if wrong:
        raise InputError(
            f"inputs must encode further inputs of the classifier. Received {', '.join(wrong)} for one that takes "
            f"{', '.join(f'{name} {tuple(shape)}' for name, shape in taken.items()) or 'an image alone'}."
        )


def _check_preprocess(preprocess: Callable[[tf.Tensor], tf.Tensor], image_size: tuple[int, int]) -> None:
    images = tf.TensorSpec((None, *image_size, 3), tf.float32)
    try:
        tf.function(preprocess, input_signature=[images]).get_concrete_function()
    except (NotImplementedError, TypeError, AttributeError) as error:  # NumPy on a symbolic tensor.
        reason = str(error).splitlines()[0]
        raise InputError(
            "preprocess must be made of TensorFlow operations, to be saved with the model; tracing it failed: "
            f"{reason}."
        ) from error
