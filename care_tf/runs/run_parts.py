"""Builds the parts of a run from its configuration: manifests, network, compilation."""

import dataclasses
import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from care_tf import metrics
from care_tf.backbones import Backbone, build_classifier, get_backbone
from care_tf.data import Augmentation, Manifest, read_manifest
from care_tf.errors import InputError
from care_tf.losses import AttentionLoss
from care_tf.model import CAREModel
from care_tf.runs.config import RunConfig, Selection
from care_tf.runs.stage import Stage

METRICS = ("mean_class_accuracy", "rarest_class_recall")


@dataclasses.dataclass(frozen=True)
class Manifests:
    """The rows of each part of the data, all with the same class order."""

    train: Manifest
    validation: Manifest | None


def read_training_manifests(config: RunConfig, manifest: Manifest | None = None) -> Manifests:
    """Selects the rows to train and validate on.

    Args:
      config: The run.
      manifest: All rows, where they have been read already.

    Raises:
      InputError: The manifest is bad, a selection is empty or overlaps another, or a named class does not exist.
    """
    data = config.data
    if manifest is None:
        manifest = read_manifest(data.manifest, class_names=data.class_names)
    _check_class_names(manifest, data.mask_classes or (), "data.mask_classes")
    _check_class_names(manifest, data.max_images_per_class, "data.max_images_per_class")
    train = select_rows(manifest, data.train, "data.train")
    for name, most in data.max_images_per_class.items():
        train = train.cap_class(name, most, config.seed)
    if data.train_boxes is not None:
        train = train.with_boxes_from(read_manifest(data.train_boxes))
    if data.mask_classes is not None:
        train = with_boxes_of(train, data.mask_classes)
    empty = [name for name, count in train.class_counts.items() if count == 0]
    if empty:
        raise InputError(
            f"The training rows of {data.manifest} have no image of {', '.join(empty)}. Change data.train, or "
            "leave the class out of data.class_names."
        )
    test = select_rows(manifest, data.test, "data.test")
    _check_disjoint(train, test, "data.train", "data.test")
    validation = None
    if data.validation is not None:
        validation = select_rows(manifest, data.validation, "data.validation")
        _check_disjoint(train, validation, "data.train", "data.validation")
        _check_disjoint(validation, test, "data.validation", "data.test")
    return Manifests(train, validation)


def select_rows(manifest: Manifest, selection: Selection, where: str) -> Manifest:
    """The rows of a selection; raises an InputError when there are none."""
    rows = manifest.select(split=selection.split, folds=selection.folds)
    if len(rows) == 0:
        raise InputError(
            f"{where} selects no row of {manifest.source}: {selection.model_dump(exclude_none=True)}. The manifest has "
            f"the splits {sorted(set(manifest.splits) - {''})} and the folds {sorted(set(manifest.folds) - {''})}."
        )
    return rows


def with_boxes_of(manifest: Manifest, class_names: tuple[str, ...]) -> Manifest:
    """The same rows, with boxes and masks of the named classes only."""
    keep = [manifest.class_names[label] in class_names for label in manifest.labels]
    return dataclasses.replace(
        manifest,
        boxes=tuple(boxes if kept else boxes[:0] for boxes, kept in zip(manifest.boxes, keep, strict=True)),
        mask_paths=tuple(path if kept else "" for path, kept in zip(manifest.mask_paths, keep, strict=True)),
        # Who drew boxes that are not used is nothing a result depends on, and not part of its fingerprint.
        box_sources=tuple(source if kept else "" for source, kept in zip(manifest.box_sources, keep, strict=True)),
    )


def build_network(config: RunConfig, num_classes: int) -> keras.Model:
    """The classifier of a configuration, with its initial weights."""
    keras.mixed_precision.set_global_policy(config.training.precision)
    if config.model.activation == "sigmoid" and num_classes != 2:
        raise InputError(
            f"model.activation=sigmoid is one unit for two classes. The manifest has {num_classes}: use softmax."
        )
    return build_classifier(
        config.model.backbone,
        image_size=config.data.image_size_px,
        num_classes=1 if config.model.activation == "sigmoid" else num_classes,
        weights=config.model.weights,
        dropout=config.model.dropout,
        activation=config.model.activation,
        seed=config.seed,
    )


def care_model(
    config: RunConfig,
    network: keras.Model,
    stage: Stage,
    embedding_loss: keras.losses.Loss | None = None,
    attention_layer: str | None = None,
) -> CAREModel:
    """The CARE model of a stage around a network; `attention_layer` replaces the configuration's."""
    care = config.care
    if attention_layer is None and care.attention_layer == "backbone":
        attention_layer = get_backbone(config.model.backbone).attention_layer
    return CAREModel(
        network,
        attention_layer=attention_layer or care.attention_layer,
        alpha=stage.alpha,
        attention_loss=AttentionLoss(care.tau, care.lam, care.reduction),
        cam=care.cam,
        second_order=care.second_order,
        embedding_loss=embedding_loss,
        embedding_weight=stage.embedding_weight,
        classification_weight=stage.classification_weight,
    )


def compile_model(config: RunConfig, model: CAREModel, stage: Stage, loss: keras.losses.Loss, train: Manifest) -> None:
    """Compiles a model for a stage, with a fresh optimizer."""
    training = config.training
    settings = {"learning_rate": stage.learning_rate}
    if training.weight_decay is not None:
        settings["weight_decay"] = training.weight_decay
    if training.clipnorm is not None:
        settings["clipnorm"] = training.clipnorm
    try:
        optimizer = getattr(keras.optimizers, training.optimizer)(**settings)
    except (AttributeError, ValueError, TypeError) as error:
        raise InputError(
            f"training.optimizer={training.optimizer!r} with {settings} is not a Keras optimizer: "
            f"{str(error).splitlines()[0]}"
        ) from error
    rarest_class = int(np.argmin(list(train.class_counts.values())))
    model.compile(
        optimizer=optimizer,
        loss=loss,
        metrics=[
            metrics.MeanClassAccuracy(name=METRICS[0]),
            metrics.ClassRecall(rarest_class, name=METRICS[1]),
        ],
        jit_compile=training.jit_compile,
    )


def augmentation(stage: Stage) -> Augmentation | None:
    """The augmentation of a stage; raises an InputError for an unknown argument."""
    if stage.augmentation is None:
        return None
    known = [field.name for field in dataclasses.fields(Augmentation)]
    unknown = sorted(map(str, set(stage.augmentation) - set(known)))
    if unknown:
        raise InputError(
            f"Stage {stage.name!r}: augmentation has an unknown key, {', '.join(unknown)}. Known: {', '.join(known)}."
        )
    try:
        return Augmentation(**stage.augmentation)
    except TypeError as error:
        raise InputError(f"Stage {stage.name!r}: augmentation has a value of a wrong type ({error}).") from error


def preprocess_function(config: RunConfig) -> Callable[[tf.Tensor], tf.Tensor]:
    """What turns RGB 0..255 into what the classifier takes."""
    backbone: Backbone = get_backbone(config.model.backbone)
    return backbone.preprocess


def _check_class_names(manifest: Manifest, names, where: str) -> None:
    unknown = sorted(set(names) - set(manifest.class_names))
    if unknown:
        raise InputError(
            f"{where} names classes that {manifest.source} does not have: {', '.join(unknown)}. "
            f"Classes: {', '.join(manifest.class_names)}."
        )


def _check_disjoint(first: Manifest, second: Manifest, first_name: str, second_name: str) -> None:
    shared = set(first.image_paths) & set(second.image_paths)
    if shared:
        raise InputError(
            f"{first_name} and {second_name} share {len(shared)} images, for example {sorted(shared)[0]}. Choose "
            "splits or folds that do not overlap."
        )
    torn = sorted((set(first.groups) & set(second.groups)) - {""})
    if torn:
        warnings.warn(
            f"{first_name} and {second_name} share {len(torn)} groups (patients or lesions), for example {torn[0]}: "
            "figures on the second will be too good. Split by group.",
            UserWarning,
            stacklevel=3,
        )
