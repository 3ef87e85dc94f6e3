"""What an exported model says of itself beside its graphs, for whoever gives it image files."""

import dataclasses
from pathlib import Path
from typing import Any

from care_tf.data.input_encoding import InputEncoding
from care_tf.errors import InputError
from care_tf.evaluation.decision_thresholds import Decision
from care_tf.files import write_json
from care_tf.images.resize_choice import STRETCH
from care_tf.text_files import read_record

_FILE = Path("assets.extra", "care_tf.json")  # the folder that TensorFlow leaves to others in a SavedModel


@dataclasses.dataclass(frozen=True)
class ModelDescription:
    """How a classifier takes images and what its outputs mean.

    Attributes:
      class_names: One name per class, in the order of the outputs.
      image_size: Height and width the classifier works at, px.
      max_pixel_value: The number in a 16-bit image that is white; None takes the upper byte of its numbers.
      inputs: How its further inputs are encoded.
      decision: How its probabilities are calibrated, and from where on a class is called; None where nobody chose.
      focus_class: The class it was trained for, such as the rarest; None where nobody said.
      resize: How images get the size: "stretch" or "pad".
    """

    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    max_pixel_value: int | None = None
    inputs: tuple[InputEncoding, ...] = ()
    decision: Decision | None = None
    focus_class: str | None = None
    resize: str = STRETCH


def write_description(saved_model: Path, description: ModelDescription) -> None:
    """Writes the file in the folder of a SavedModel."""
    write_json(saved_model / _FILE, dataclasses.asdict(description), indent=2)


def read_description(saved_model: Path) -> ModelDescription:
    """Reads the file in the folder of a SavedModel.

    Raises:
      InputError: There is none, as in what other programs and earlier versions exported.
    """
    path = saved_model / _FILE
    if not path.exists():
        raise InputError(
            f"The SavedModel must say what it takes, in {_FILE}. Received one without, {saved_model}. Export the run "
            "again with care export."
        )
    return read_record(path, _description)


def _description(entries: dict[str, Any]) -> ModelDescription:
    decision = entries["decision"]
    if decision is not None:
        names, thresholds = tuple(decision["class_names"]), tuple(decision["thresholds"])
        decision = Decision(names, decision["temperature"], thresholds)
    return ModelDescription(
        class_names=tuple(entries["class_names"]),
        image_size=tuple(entries["image_size"]),
        max_pixel_value=entries["max_pixel_value"],
        inputs=tuple(InputEncoding.from_dict(entry) for entry in entries["inputs"]),
        decision=decision,
        focus_class=entries["focus_class"],
        resize=entries["resize"],
    )
