"""The configuration of a run: a YAML file, validated whole, with key=value overrides."""

import dataclasses
import os
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml

from care_tf.errors import InputError, clause, did_you_mean, shown
from care_tf.images.bit_depth import LARGEST
from care_tf.images.outside_choice import CROP, KEEP, PAINT, OutsideChoice
from care_tf.losses import AttentionLoss, get_attention_loss
from care_tf.losses.outside_loss import OutsideLoss
from care_tf.model.attention_loss_choice import check_attention_loss
from care_tf.network.attention_place import attention_layer_names
from care_tf.problems import listed
from care_tf.runs._stage import Stage
from care_tf.runs.named_configs import RUNS, find_config, run_name
from care_tf.settings import Setting
from care_tf.text_files import read_text
from care_tf.yaml_text import parse_yaml


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
      train, test: The rows to train on, and those to evaluate on.
      validation: The rows that training is watched on; None for no validation.
      class_names: Order of the classes; None sorts the labels.
      image_size_px: Height and width that images are resized to; one number for a square.
      train_boxes: Manifest CSV whose boxes and masks the training images take in place of those in `manifest`, image
        by image; evaluation keeps `manifest`'s. None trains with `manifest`'s own.
      train_box_share: Of each class's training images with a box or mask, the share that keep them, at least one. Drawn
        under the seed by the manifest's groups, or by image where there are none: those of a smaller share are among
        those of a larger one.
      train_box_scale: Side of the training images' boxes / side of the boxes given, about their centers.
      train_box_place: "given", or "random": the training images' boxes keep their sizes and lie anywhere else in their
        images, under the seed and by the image's own name; a control for what supervision by boxes does wherever they
        are.
      mask_classes: Classes whose boxes are used in training; None uses every box there is.
      max_images_per_class: Class name -> largest number of training images of it, drawn under the seed.
      inputs: Further columns of the manifest that the network takes beside the image: their names, or name -> "number"
        or "category"; "auto" tells them apart by their cells (`care_tf.data.fit_input_encodings`).
      cache: "memory" or a folder keeps decoded images; None decodes each time.
      max_pixel_value: The number in 16-bit PNGs that is white, such as 4095 where they hold 12 bits; the exported model
        reads them so, too. None takes the upper byte of their numbers, with a warning where that leaves images dark.
      resize: How images get the size: "stretch", or "pad", which keeps their proportions, in the middle of black; in
        training, evaluation, maps and the exported model.
      outside_boxes: What becomes of the part of an image outside its boxes or mask, before augmentation: "keep";
        "paint", gray; or "crop", the smallest part that holds them all gets the size. Images without a box stay.
      outside_boxes_in: The images that this is done to: "training", or "everywhere", so that evaluation needs the boxes
        of the images tested, too: a rival that is told the answer's place. Training must then see boxes as tests do:
        all, as given, and on the same share of every class. `care export` and all else without boxes to go by refuse
        such a run.
    """

    manifest: str
    train: Selection
    test: Selection
    validation: Selection | None = None
    class_names: tuple[str, ...] | None = None
    image_size_px: tuple[pydantic.PositiveInt, pydantic.PositiveInt]
    train_boxes: str | None = None
    train_box_share: float = pydantic.Field(default=1.0, gt=0.0, le=1.0)
    train_box_scale: float = pydantic.Field(default=1.0, gt=0.0, le=10.0)
    train_box_place: Literal["given", "random"] = "given"
    mask_classes: tuple[str, ...] | None = None
    max_images_per_class: dict[str, pydantic.PositiveInt] = {}
    inputs: dict[str, Literal["auto", "number", "category"]] = {}
    cache: str | None = None
    max_pixel_value: int | None = pydantic.Field(default=None, ge=1, le=LARGEST, strict=True)
    resize: Literal["stretch", "pad"] = "stretch"
    outside_boxes: OutsideChoice = KEEP
    outside_boxes_in: Literal["training", "everywhere"] = "training"

    @property
    def reading(self) -> dict[str, Any]:
        """How image files are read, as arguments of `Manifest`, which are not in its CSV."""
        return {"max_pixel_value": self.max_pixel_value, "resize": self.resize}

    @property
    def test_reading(self) -> dict[str, Any]:
        """How images that are not trained on are read, and what becomes of them, as arguments of `Manifest`."""
        return {**self.reading, "outside_boxes": self.outside_boxes if self.changes_tests else KEEP}

    @property
    def changes_tests(self) -> bool:
        """Whether images are changed by their boxes in tests, too."""
        return self.outside_boxes != KEEP and self.outside_boxes_in == "everywhere"

    @property
    def outside_note(self) -> str:
        """What a reader of figures must know of images that are changed by their boxes; "" where none is."""
        if self.outside_boxes == KEEP:
            return ""
        change = {PAINT: "painted gray outside their boxes", CROP: "cropped to their boxes"}[self.outside_boxes]
        if self.changes_tests:
            return (
                f"Images with boxes are {change} in training and in tests: the figures are those of a classifier that "
                "is told where to look."
            )
        return f"Training images with boxes are {change}; images tested are whole."

    @property
    def notes(self) -> list[str]:
        """What a reader of figures must know of the training's boxes, and of images that are changed by boxes."""
        notes = [self.outside_note]
        if self.train_box_share != 1:
            share = f"{100 * self.train_box_share:g} %"
            notes.append(f"Training images have boxes on {share} of each class's groups or images that have them.")
        if self.train_box_scale != 1:
            notes.append(f"Training boxes have {self.train_box_scale:g} times the sides of those given.")
        if self.train_box_place == "random":
            notes.append("Training boxes lie at random places.")
        return list(filter(None, notes))

    @pydantic.model_validator(mode="after")
    def _tests_are_changed_as_training_is(self) -> "DataConfig":
        """No other rule says whose boxes a change goes by: tests have the manifest's own."""
        names = ("train_box_share", "train_box_scale", "train_box_place")
        changed = [name for name in names if getattr(self, name) != type(self).model_fields[name].default]
        if self.changes_tests and changed:
            raise ValueError(
                "outside_boxes_in=everywhere changes test images by all their boxes as given, so training must see the "
                f"same. Received {', '.join(f'{name}={getattr(self, name)}' for name in changed)}. Leave it out, or "
                "choose outside_boxes_in=training"
            )
        return self

    @pydantic.field_validator("inputs", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return dict.fromkeys(value, "auto") if isinstance(value, list | tuple) else value

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


class MaskHeadConfig(_Section):
    """A mask head: masks learned with the network, for training images of the classes with boxes that have none.

    Every stage with alpha > 0 begins with a fresh one, which is dropped at its end; other stages have none.

    Attributes:
      width: Channels between its convolutions.
      weight: Weight of its Dice loss in the objective, on the images with boxes.
      backbone_weight: Share of that loss's gradient that passes into the network; 0 trains the head alone.
      warm_up_fraction: Fraction of the stage's steps before the head's masks are used, whatever the number of boxes.
    """

    width: pydantic.PositiveInt = 32
    weight: float = pydantic.Field(default=1.0, gt=0.0)
    backbone_weight: float = pydantic.Field(default=0.1, ge=0.0, le=1.0)
    warm_up_fraction: float = pydantic.Field(default=0.25, gt=0.0, lt=1.0)


class CareConfig(_Section):
    """The attention loss.

    Attributes:
      attention_layer: Layer name or path, "auto", or "backbone" for the backbone's own choice; or a list of these in
        the network's order: the loss is the mean over the layers' maps, and the last one's map is shown and measured.
      cam: Activation-map method, or a user's own, "module:function".
      tau: Cap of the mean attention inside the box.
      lam: Weight of the attention outside the box.
      reduction: "batch" (the paper's), "masked" or "class_balanced".
      outside: "uniform" (the paper's) or "distance": attention outside the box counts the more, the farther it is.
      form: What the loss is: "care" (the paper's), "outside", "energy", "l1", "perturbation" or "input_gradient".
        Where a form does not use tau, lam or outside, they keep their defaults.
      second_order: Whether the map is differentiated through its own gradients.
      mask_head: Learns masks with the network for images of the classes with boxes that have none, in stages with alpha
        > 0; None for none. `{}` takes the defaults.
    """

    attention_layer: str | tuple[str, ...] = "backbone"
    cam: str = "gradcam"
    tau: float = pydantic.Field(default=0.7, ge=0.0, le=1.0)
    lam: float = pydantic.Field(default=1.0, ge=0.0)
    reduction: Literal["batch", "masked", "class_balanced"] = "batch"
    outside: Literal["uniform", "distance"] = "uniform"
    form: Setting = "care"
    second_order: bool = True
    mask_head: MaskHeadConfig | None = None

    @property
    def attention_loss(self) -> AttentionLoss | OutsideLoss:
        """The loss that these settings mean."""
        return get_attention_loss(self.form, self.tau, self.lam, self.reduction, self.outside)

    @pydantic.field_validator("attention_layer")
    @classmethod
    def _one_layer_is_its_name(cls, layer: str | tuple[str, ...]) -> str | tuple[str, ...]:
        """A list of one trains what its name trains, and must not look like another setting."""
        names = attention_layer_names(layer)
        return names[0] if len(names) == 1 else names

    @pydantic.model_validator(mode="after")
    def _has_a_loss(self) -> "CareConfig":
        """Raises where they contradict each other."""
        check_attention_loss(self.attention_loss, attention_layer_names(self.attention_layer))
        return self


class TrainingConfig(_Section):
    """What is the same in all stages.

    Attributes:
      batch_size: Images per step.
      optimizer: Name of a Keras optimizer.
      weight_decay: Decoupled weight decay of AdamW; None leaves the optimizer's own.
      clipnorm: Largest norm of each gradient; None for no clipping.
      largest_loss: Largest size of a batch's loss, > 0: the run stops at a larger one. None for no limit: it stops at
        NaN and infinity alone. It may be changed in a run that has begun.
      precision: Keras dtype policy.
      jit_compile: Whether XLA compiles the step.
      distribution: What shares every batch: "none" is one device, "mirrored" all GPUs of this machine, "multiworker"
        the processes that TF_CONFIG names, "auto" whichever of them there are. The result is that of one device.
      callbacks, metrics: Of a user's own, each "module:function" or {name: module:function, **arguments}: a class, or
        a function that makes one. A callback is made anew for each stage, and is given those of folder, stage (its
        name) and first_epoch (the epochs of the stages before) that it names; a metric class_names.
      tensorboard: Whether the run folder gets a log for TensorBoard: every column of history.csv, and attention maps of
        a few images after every epoch. It may be changed in a run that has begun.
    """

    batch_size: pydantic.PositiveInt = 96
    optimizer: str = "AdamW"
    weight_decay: float | None = pydantic.Field(default=None, ge=0.0)
    clipnorm: float | None = pydantic.Field(default=None, gt=0.0)
    largest_loss: float | None = pydantic.Field(default=1e6, gt=0.0)
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    jit_compile: bool = False
    distribution: Literal["none", "mirrored", "multiworker", "auto"] = "none"
    callbacks: tuple[Setting, ...] = ()
    metrics: tuple[Setting, ...] = ()
    tensorboard: bool = False


class RunConfig(_Section):
    """A whole run.

    Attributes:
      output: Run folder.
      title: What tables and plots call it; None takes the folder's name.
      baseline: Name, without .yaml, of the configuration file that a comparison compares it with.
      seed: Seed of weights, shuffling and augmentation.
      data, model, care, training: The sections of these names.
      every_stage: Settings of all stages that do not say otherwise; any of `Stage` but name and reuse.
      stages: Stage name -> its settings, in order.
    """

    output: str
    title: str | None = None
    baseline: str | None = None
    seed: pydantic.NonNegativeInt = 0
    data: DataConfig
    model: ModelConfig
    care: CareConfig = CareConfig()
    training: TrainingConfig = TrainingConfig()
    every_stage: dict[str, Any] = {}
    stages: tuple[Stage, ...] = pydantic.Field(min_length=1)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _complete_stages(cls, content: Any) -> Any:
        """Gives every stage its name and what `every_stage` says."""
        if not isinstance(content, dict) or not isinstance(content.get("stages"), dict):
            return content
        shared = content.get("every_stage") or {}
        if not isinstance(shared, dict) or {"name", "reuse"} & set(shared):
            raise ValueError("every_stage must be a mapping of stage settings, without name and reuse")
        stages = []
        for name, own in content["stages"].items():
            if own is not None and not isinstance(own, dict):
                raise ValueError(f"stages.{name} must be a mapping of settings, received {shown(own)}")
            stages.append({"name": name, **shared, **(own or {})})
        return {**content, "stages": stages}

    @pydantic.field_validator("stages")
    @classmethod
    def _distinct(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        names = [stage.name for stage in stages]
        if len(set(names)) != len(names):
            raise ValueError(f"stages need different names, received {', '.join(names)}")
        return stages

    @property
    def supervises_attention(self) -> bool:
        """Whether a stage trains on the attention loss."""
        return any(stage.alpha > 0 for stage in self.stages)

    @pydantic.model_validator(mode="after")
    def _boxes_serve_one_purpose(self) -> "RunConfig":
        """Refuses uses of the boxes that make each other meaningless, in a run that has both."""
        data, has_head = self.data, self.care.mask_head is not None
        if not self.supervises_attention:
            return self
        if data.outside_boxes == CROP:
            raise ValueError(
                "data.outside_boxes=crop leaves training images without an outside, and alpha > 0 supervises attention "
                "outside the boxes. Set alpha=0 in all stages, or data.outside_boxes=keep"
            )
        if data.outside_boxes != KEEP and has_head:
            raise ValueError(
                f"care.mask_head gives masks to images without boxes, which data.outside_boxes={data.outside_boxes} "
                "leaves whole beside changed ones: it would learn the change. Set data.outside_boxes=keep, or "
                "care.mask_head=null"
            )
        if data.train_box_place == "random" and has_head:
            raise ValueError(
                "care.mask_head learns where lesions are from the training's boxes, and data.train_box_place=random "
                "puts them elsewhere. Set data.train_box_place=given, or care.mask_head=null"
            )
        return self


def load_config(path: str | os.PathLike, overrides: Sequence[str] = ()) -> RunConfig:
    """Reads and validates a configuration.

    A file may build on others: `extends: baseline.yaml`, or a list, each found by `find_config` from the file's folder.
    Mappings are merged key by key, and what comes later wins: each file after those that it extends, every file once.

    Args:
      path: YAML file, or the name of one of the package's own (`find_config`).
      overrides: "key.of.section=value" texts; the value is read as YAML, and must name a key that the file or the
        schema has. "with=FILE" merges the settings of a file, which need not be a whole configuration, right after the
        files that extend nothing: a change of the base, to which the files that extend it still add.

    Returns:
      The validated configuration; without `output`, its run folder is runs/ and the `run_name` of the file, such as
      runs/isic2018/baseline.

    Raises:
      InputError: A file is not there or cannot be read, files extend each other in a circle, or a key is unknown,
        missing or out of range; all problems in one message.
    """
    path = find_config(path)
    content: dict[str, Any] = {}
    base_changes = [override.partition("=")[2] for override in overrides if override.startswith("with=")]
    for settings in _in_merge_order(path, [find_config(change) for change in base_changes]):
        content = _merged(content, settings)
    content.setdefault("output", str(RUNS / run_name(path)))
    for override in overrides:
        if not override.startswith("with="):
            _apply_override(content, override)
    return validate_config(content, str(path))


def _in_merge_order(path: Path, base_changes: Sequence[Path]) -> list[dict[str, Any]]:
    """The settings of all files of a configuration: those that extend nothing, the changes, then each after what it
    extends.
    """
    found: dict[Path, dict[str, Any]] = {}
    bases: list[Path] = []

    def visit(file: Path, extending: tuple[Path, ...]) -> None:
        key = file.resolve()
        if key in extending:
            circle = " -> ".join(str(entry.name) for entry in (*extending[extending.index(key) :], key))
            raise InputError(f"Configurations extend each other in a circle: {circle}. Leave one `extends` out.")
        if key in found:
            return
        settings = _read_yaml(file)
        extended = settings.pop("extends", None) or []
        extended = [extended] if isinstance(extended, str) else extended
        if not isinstance(extended, list) or not all(isinstance(entry, str) for entry in extended):
            raise InputError(f"{file}: extends must be a file's name, or a list of names. Received {shown(extended)}.")
        for entry in extended:
            try:
                extended_file = find_config(entry, file.parent)
            except InputError as error:
                raise InputError(f"{file}: extends. {error}") from error
            visit(extended_file, (*extending, key))
        if not extended:
            bases.append(key)
        found[key] = settings

    visit(path, ())
    from_bases = [found.pop(file) for file in bases]
    changes = [_read_yaml(file) for file in base_changes]
    for file, settings in zip(base_changes, changes, strict=True):
        if "extends" in settings:
            raise InputError(f"{file} is given as with=, and such a file cannot extend others. Leave `extends` out.")
    return [*from_bases, *changes, *found.values()]


def _read_yaml(path: Path) -> dict[str, Any]:
    content = parse_yaml(read_text(path, "configuration"), f"The configuration {path}")
    if not isinstance(content, dict):
        raise InputError(f"The configuration {path} must be a mapping of sections. Received {type(content).__name__}.")
    return content


# A mapping under one of these is one value: arguments of another choice must not stay behind.
_WHOLE_VALUES = (
    *("augmentation", "class_weight", "loss", "embedding_loss", "sampling", "classifier", "train", "test"),
    "form",
)


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Both mappings as one, key by key; `over` wins."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and key not in _WHOLE_VALUES:
            result[key] = _merged(below, value)
        else:
            result[key] = value
    return result


def validate_config(content: dict[str, Any], where: str) -> RunConfig:
    """Validates a configuration given as nested dicts; `where` names its origin in errors."""
    try:
        return RunConfig.model_validate(content)
    except pydantic.ValidationError as error:
        entries = error.errors()
        # Of stages that are all wrong pydantic also says that there is none.
        entries = [entry for entry in entries if entry["type"] != "too_short"] or entries
        # What several sections contradict each other in has no key.
        named = [(_key_of(content, entry["loc"]), _problem(entry)) for entry in entries]
        problems = listed([": ".join(filter(None, each)) for each in named])
        raise InputError(f"The configuration {where} is not valid: {problems}.") from error


def _problem(entry: Any) -> str:
    """What pydantic found, for people; of an unknown key those that there are."""
    if entry["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        *above, key = map(str, entry["loc"])
        known = _keys_of(above)
        return f"there is no such key.{did_you_mean(key, known)} Known: {', '.join(known)}"
    text = clause(entry["msg"].removeprefix("Value error, "))
    return text if isinstance(entry["input"], dict) else f"{text} (received {shown(entry['input'])})"


def _keys_of(location: Sequence[str]) -> list[str]:
    """The keys of the section at a location of the schema."""
    if location[:1] == ["stages"]:
        return [field.name for field in dataclasses.fields(Stage) if field.name != "name"]
    section: Any = RunConfig
    for part in location:
        types = [section.model_fields[part].annotation]
        types += typing.get_args(types[0])
        section = next(each for each in types if isinstance(each, type) and issubclass(each, _Section))
    return list(section.model_fields)


def _key_of(content: dict[str, Any], location: Sequence[Any]) -> str:
    """The key as the file has it: stages by their names."""
    parts = [str(part) for part in location]
    if len(parts) > 1 and parts[0] == "stages" and parts[1].isdecimal() and isinstance(content.get("stages"), dict):
        parts[1] = str(list(content["stages"])[int(parts[1])])
    return ".".join(parts)


def dump_config(config: RunConfig) -> str:
    """The resolved configuration as YAML that `load_config` reads back."""
    content = config.model_dump(mode="json")
    # What a stage has from `every_stage` stays there, so that changing it in the file written changes all stages.
    stages, shared = {}, content["every_stage"]
    for stage in content["stages"]:
        stages[stage.pop("name")] = {k: v for k, v in stage.items() if k not in shared or shared[k] != v}
    content["stages"] = stages
    return yaml.safe_dump(content, sort_keys=False)


def _apply_override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"An override must look like section.key=value. Received {shown(override)}.")
    if not key.isprintable():  # also a byte that is no text in the terminal's encoding
        raise InputError(f"The key of an override must be printable text. Received {shown(key)}. Type it anew.")
    value = parse_yaml(text, f"The value of the override {shown(override)}")
    *parents, last = key.split(".")
    target = content
    for parent in parents:
        if not isinstance(target.setdefault(parent, {}), dict):
            raise InputError(f"The override {shown(override)} goes through {shown(parent)}, which is not a section.")
        target = target[parent]
    target[last] = value
