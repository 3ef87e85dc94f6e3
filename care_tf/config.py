"""The configuration of a run: a YAML file, validated whole, with key=value overrides."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml

from care_tf.errors import InputError
from care_tf.stage import Stage


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Selection(_Section):
    """Rows of the manifest: those of a split, of some folds, or both.

    Attributes:
      split: Value of the manifest's `split` column.
      folds: Values of its `fold` column.
    """

    split: str | None = None
    folds: tuple[str, ...] | None = None

    @pydantic.field_validator("folds", mode="before")
    @classmethod
    def _folds_as_text(cls, value: Any) -> Any:
        if value is None:
            return None
        return tuple(str(fold) for fold in (value if isinstance(value, list | tuple) else [value]))

    @pydantic.model_validator(mode="after")
    def _selects_something(self) -> "Selection":
        if self.split is None and self.folds is None:
            raise ValueError("give split, folds, or both")
        return self


class DataConfig(_Section):
    """Which images, and how they are read.

    Attributes:
      manifest: Path of the manifest CSV.
      train, validation, test: The rows of each part; no validation when None.
      class_names: Order of the classes; None sorts the labels.
      image_size_px: Height and width that images are resized to; one number for a square.
      mask_classes: Classes whose boxes are used in training; None uses every box there is.
      max_images_per_class: Class name -> largest number of training images of it, drawn under the seed.
      cache: "memory" or a folder keeps decoded images; None decodes each time.
    """

    manifest: str
    train: Selection
    test: Selection
    validation: Selection | None = None
    class_names: tuple[str, ...] | None = None
    image_size_px: tuple[pydantic.PositiveInt, pydantic.PositiveInt]
    mask_classes: tuple[str, ...] | None = None
    max_images_per_class: dict[str, pydantic.PositiveInt] = {}
    cache: str | None = None

    @pydantic.field_validator("image_size_px", mode="before")
    @classmethod
    def _square(cls, value: Any) -> Any:
        return (value, value) if isinstance(value, int) else value


class ModelConfig(_Section):
    """The classifier.

    Attributes:
      backbone: A name of `care_tf.backbones`, or "module:function".
      weights: "imagenet", a local file, or None for random weights.
      dropout: Dropout rate before the last layer, in [0, 1).
      activation: "softmax", or "sigmoid" for one unit of a binary classifier.
    """

    backbone: str
    weights: str | None = None
    dropout: float = pydantic.Field(default=0.0, ge=0.0, lt=1.0)
    activation: Literal["softmax", "sigmoid"] = "softmax"


class CareConfig(_Section):
    """The attention loss.

    Attributes:
      attention_layer: Layer name or path, "auto", or "backbone" for the backbone's own choice.
      cam: Activation-map method.
      tau: Cap of the mean attention inside the box.
      lam: Weight of the attention outside the box.
      reduction: "batch" or "masked".
      second_order: Whether the map is differentiated through its own gradients.
    """

    attention_layer: str = "backbone"
    cam: str = "gradcam"
    tau: float = pydantic.Field(default=0.7, ge=0.0, le=1.0)
    lam: float = pydantic.Field(default=1.0, ge=0.0)
    reduction: Literal["batch", "masked"] = "batch"
    second_order: bool = True


class TrainingConfig(_Section):
    """What all stages share.

    Attributes:
      batch_size: Images per step.
      optimizer: Name of a Keras optimizer.
      weight_decay: Decoupled weight decay of AdamW; None leaves the optimizer's own.
      clipnorm: Largest norm of each gradient; None for no clipping.
      class_weight: "balanced" weights the classification loss by n / (classes * n_c); None does not.
      precision: Keras dtype policy.
      jit_compile: Whether XLA compiles the step.
    """

    batch_size: pydantic.PositiveInt = 96
    optimizer: str = "AdamW"
    weight_decay: float | None = pydantic.Field(default=None, ge=0.0)
    clipnorm: float | None = pydantic.Field(default=None, gt=0.0)
    class_weight: Literal["balanced"] | None = None
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    jit_compile: bool = False


class RunConfig(_Section):
    """A whole run.

    Attributes:
      output: Run folder.
      seed: Seed of weights, shuffling and augmentation.
      data, model, care, training: The sections.
      augmentation: Arguments of `care_tf.data.Augmentation`; None for no augmentation.
      stages: Stage name -> its settings, in order.
    """

    output: str
    seed: pydantic.NonNegativeInt = 0
    data: DataConfig
    model: ModelConfig
    care: CareConfig = CareConfig()
    training: TrainingConfig = TrainingConfig()
    augmentation: dict[str, float | bool] | None = None
    stages: tuple[Stage, ...] = pydantic.Field(min_length=1)

    @pydantic.field_validator("stages", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return [{"name": name, **(stage or {})} for name, stage in value.items()]
        return value

    @pydantic.field_validator("stages")
    @classmethod
    def _distinct(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        names = [stage.name for stage in stages]
        if len(set(names)) != len(names):
            raise ValueError(f"stages need different names, received {', '.join(names)}")
        return stages


def load_config(path: str | os.PathLike, overrides: Sequence[str] = ()) -> RunConfig:
    """Reads and validates a configuration.

    Args:
      path: YAML file.
      overrides: "key.of.section=value" texts; the value is read as YAML, and must name a key that the file or the
        schema has.

    Returns:
      The validated configuration.

    Raises:
      InputError: The file cannot be read, or a key is unknown, missing or out of range; all problems in one message.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"The configuration {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"The configuration {path} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise InputError(f"The configuration {path} must be a mapping of sections. Received {type(content).__name__}.")
    for override in overrides:
        _apply_override(content, override)
    return validate_config(content, str(path))


def validate_config(content: dict[str, Any], where: str) -> RunConfig:
    """Validates a configuration given as nested dicts; `where` names its origin in errors."""
    try:
        return RunConfig.model_validate(content)
    except pydantic.ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in entry['loc'])}: {entry['msg']}"
            + (f" (received {entry['input']!r})" if not isinstance(entry["input"], dict) else "")
            for entry in error.errors()
        )
        raise InputError(f"The configuration {where} is not valid: {problems}.") from error


def dump_config(config: RunConfig) -> str:
    """The resolved configuration as YAML that `load_config` reads back."""
    content = config.model_dump(mode="json")
    content["stages"] = {stage.pop("name"): stage for stage in content["stages"]}
    return yaml.safe_dump(content, sort_keys=False)


def _apply_override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"An override must look like section.key=value. Received {override!r}.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"The value of the override {override!r} is not valid YAML.") from error
    *parents, last = key.split(".")
    target = content
    for parent in parents:
        if not isinstance(target.setdefault(parent, {}), dict):
            raise InputError(f"The override {override!r} goes through {parent!r}, which is not a section.")
        target = target[parent]
    target[last] = value
