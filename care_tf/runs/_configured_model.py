"""The network of a configuration, and the CARE model that a stage trains around it."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from care_tf.backbones import InitialWeights, classifier_and_weights, get_backbone
from care_tf.data.class_focus import rarest_class
from care_tf.data.input_encoding import InputEncoding
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.metrics import ClassRecall, MeanClassAccuracy
from care_tf.model import CAREModel, MaskHead
from care_tf.model.observed_classifier import ObservedClassifier
from care_tf.network.attention_place import attention_layer_names
from care_tf.network.inputs import further_inputs, symbolic_inputs
from care_tf.network_input import image_of
from care_tf.runs._own_pieces import own_metrics
from care_tf.runs._stage import Stage
from care_tf.runs.config import RunConfig

METRICS = ("mean_class_accuracy", "rarest_class_recall")


def build_network(
    config: RunConfig, num_classes: int, inputs: Sequence[InputEncoding] = ()
) -> tuple[keras.Model, InitialWeights]:
    """The classifier of a configuration, and where its weights come from.

    Raises:
      InputError: A setting does not fit, or the network's further inputs are not those of the data.
    """
    keras.mixed_precision.set_global_policy(config.training.precision)
    if config.model.activation == "sigmoid" and num_classes != 2:
        raise InputError(
            f"model.activation=sigmoid is one unit for two classes. The manifest has {num_classes}: use softmax."
        )
    network, weights = classifier_and_weights(
        config.model.backbone,
        image_size=config.data.image_size_px,
        num_classes=1 if config.model.activation == "sigmoid" else num_classes,
        weights=config.model.weights,
        dropout=config.model.dropout,
        activation=config.model.activation,
        seed=config.seed,
        inputs={encoding.name: encoding.width for encoding in inputs},
    )
    wanted = {encoding.name: (None, encoding.width) for encoding in inputs}
    taken = {name: tuple(spec.shape) for name, spec in further_inputs(network).items()}
    if taken != wanted:
        raise InputError(
            f"The network {config.model.backbone} must take the inputs that data.inputs names, beside its image: "
            f"{_shapes(wanted)}. Received {_shapes(taken)}. Change data.inputs, or keras.Input(...) in the builder."
        )
    return network, weights


def _shapes(inputs: Mapping[str, tuple]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in inputs.items()) or "none"


def observed_network(
    config: RunConfig, network: keras.Model, attention_layers: Sequence[str] | None = None
) -> ObservedClassifier:
    """A network that has been read once, for all CARE models around it; `attention_layers` replace the configuration's.

    Raises:
      InputError: An attention layer or the map's method is unknown, or has no second-order gradient.
    """
    if attention_layers is None:
        attention_layers = [
            get_backbone(config.model.backbone).attention_layer if name == "backbone" else name
            for name in attention_layer_names(config.care.attention_layer)
        ]
    observed = ObservedClassifier(network, attention_layers, config.care.cam)
    if getattr(network, "inputs", None):
        image = image_of(symbolic_inputs(network))
        is_second_order = config.care.second_order and config.care.attention_loss.differentiates_map
        observed.study(image.shape, image.dtype, is_second_order)
    return observed


def mask_head(config: RunConfig, stage: Stage, train: Manifest, steps_per_epoch: int) -> MaskHead | None:
    """A fresh mask head for a stage with attention, of the classes with boxes in training; None for none.

    Raises:
      InputError: No training image has a box to learn from.
    """
    if config.care.mask_head is None or stage.alpha == 0:
        return None
    classes = np.unique(train.labels[train.has_boxes]).tolist()
    if not classes:
        data = config.data
        raise InputError(
            "care.mask_head learns masks from the boxes of training images. Received none: "
            f"data.mask_classes={data.mask_classes}, data.train_boxes={data.train_boxes}, and the manifest "
            f"{data.manifest}. Name classes that have boxes, or set care.mask_head=null."
        )
    settings = config.care.mask_head.model_dump()
    warm_up = settings.pop("warm_up_fraction") * stage.epochs * steps_per_epoch
    return MaskHead(classes, warm_up_steps=max(1, round(warm_up)), **settings)


def care_model(
    config: RunConfig,
    observed: ObservedClassifier,
    stage: Stage,
    embedding_loss: keras.losses.Loss | None = None,
    head: MaskHead | None = None,
) -> CAREModel:
    """The CARE model of a stage."""
    return CAREModel(
        observed,
        alpha=stage.alpha,
        attention_loss=config.care.attention_loss,
        second_order=config.care.second_order,
        embedding_loss=embedding_loss,
        embedding_weight=stage.embedding_weight,
        classification_weight=stage.classification_weight,
        mask_head=head,
    )


def compile_model(config: RunConfig, model: CAREModel, stage: Stage, loss: keras.losses.Loss, train: Manifest) -> None:
    """Compiles a model for a stage, with a fresh optimizer.

    Raises:
      InputError: The optimizer is unknown, or does not take its settings.
    """
    training = config.training
    chosen = {"weight_decay": training.weight_decay, "clipnorm": training.clipnorm}
    settings = {"learning_rate": stage.learning_rate} | {k: v for k, v in chosen.items() if v is not None}
    try:
        optimizer = getattr(keras.optimizers, training.optimizer)(**settings)
    except (AttributeError, ValueError, TypeError) as error:
        raise InputError(
            f"training.optimizer={training.optimizer!r} with {settings} is not a Keras optimizer: "
            f"{str(error).splitlines()[0]}."
        ) from error
    rarest = train.class_names.index(rarest_class(train.class_counts))
    # A metric that is told the classes makes its variables now: a step that makes them is traced twice.
    accuracy = MeanClassAccuracy(len(train.class_names), name=METRICS[0])
    model.compile(
        optimizer=optimizer,
        loss=loss,
        metrics=[accuracy, ClassRecall(rarest, name=METRICS[1]), *own_metrics(config, train.class_names)],
        jit_compile=training.jit_compile,
    )
