"""Stages that rebuild the last Dense layer: its scales trained alone, or the whole layer computed in closed form."""

import keras
import numpy as np
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.model.observed_classifier import ObservedClassifier
from care_tf.network.decoupled_classifier import ClassScale, choose_tau, nearest_class_mean, scaled, tau_normalized
from care_tf.network.inputs import as_keras_takes
from care_tf.network.last_dense import embedding_model
from care_tf.runs._stage import Stage
from care_tf.runs._stage_batches import StageBatches
from care_tf.settings import setting_arguments, setting_name

_SCALE_LAYER, _LOGITS_LAYER = "class_scale", "unscaled_logits"


def check_classifier(stage: Stage, observed: ObservedClassifier, has_validation: bool) -> None:
    """Tries what a stage does to the last layer, without doing it.

    Raises:
      InputError: An argument is out of range, tau has nothing to be chosen on, or the network does not end as it must.
    """
    name, arguments = setting_name(stage.classifier), setting_arguments(stage.classifier)
    if stage.chooses_tau and not has_validation:
        raise InputError(
            f"Stage {stage.name!r}: tau is chosen on validation images, and there are none. Set data.validation, or "
            "classifier={name: tau_normalize, tau: 0.7}."
        )
    if name == "keep":
        return
    kernel, bias = _kernel_and_bias(observed.last_dense)
    if name == "tau_normalize":
        tau_normalized(kernel, bias, arguments.get("tau", 1.0))
    elif name == "nearest_class_mean":
        num_classes = kernel.shape[1]
        nearest_class_mean(np.eye(num_classes, len(kernel)), np.arange(num_classes), num_classes, **arguments)


def scaled_classifier(observed: ObservedClassifier) -> keras.Model:
    """The classifier with a trainable scale per class on its logits, sharing all layers but the last.

    Raises:
      InputError: Another layer, such as a separate softmax, is the last.
    """
    classifier, dense = observed.classifier, observed.last_dense
    if classifier.outputs[0] is not dense.output:
        raise InputError(
            "classifier=scale needs a network whose last layer is Dense, with its activation inside. Received one that "
            f"ends in {classifier.layers[-1].name!r}."
        )
    logits = keras.layers.Dense(dense.units, trainable=False, dtype="float32", name=_LOGITS_LAYER)(dense.input)
    outputs = keras.layers.Activation(dense.activation, dtype="float32", name="scaled_scores")(
        ClassScale(name=_SCALE_LAYER, dtype="float32")(logits)
    )
    return keras.Model(as_keras_takes(classifier.inputs), outputs, name=f"{classifier.name}_scaled")


def copy_logits(observed: ObservedClassifier, scaled_model: keras.Model) -> None:
    """Gives the scaled model's logits the weights that the classifier's last layer has now."""
    scaled_model.get_layer(_LOGITS_LAYER).set_weights(observed.last_dense.get_weights())


def fold_scales(observed: ObservedClassifier, scaled_model: keras.Model) -> None:
    """Multiplies the trained scales into the classifier's own last layer."""
    dense = observed.last_dense
    (scale,) = scaled_model.get_layer(_SCALE_LAYER).get_weights()
    _set_kernel_and_bias(dense, *scaled(*_kernel_and_bias(dense), scale))


def compute_classifier(stage: Stage, observed: ObservedClassifier, batches: StageBatches) -> None:
    """Replaces the last Dense layer by its tau-normalized form, or by the means of the training images' classes."""
    dense = observed.last_dense
    kernel, bias = _kernel_and_bias(dense)
    name, arguments = setting_name(stage.classifier), setting_arguments(stage.classifier)
    if name == "tau_normalize":
        validation = batches.rows.validation
        if validation is not None and stage.chooses_tau:
            arguments["tau"] = choose_tau(kernel, bias, *_embeddings(observed, batches.unchanged(validation)))
            print(f"{stage.name}: tau {arguments['tau']:.2f} has the best mean class accuracy on validation images")
        new = tau_normalized(kernel, bias, arguments["tau"])
    else:
        train = batches.unchanged(batches.rows.train)
        new = nearest_class_mean(*_embeddings(observed, train), num_classes=dense.units, **arguments)
    _set_kernel_and_bias(dense, *new)


def _embeddings(observed: ObservedClassifier, batches: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    embed = embedding_model(observed.classifier, observed.trace)
    embeddings, labels = [], []
    for inputs, label in batches:
        embeddings.append(embed(observed.split(inputs).inputs).numpy())
        labels.append(label.numpy())
    return np.concatenate(embeddings), np.concatenate(labels)


def _kernel_and_bias(dense: keras.layers.Dense) -> tuple[np.ndarray, np.ndarray]:
    kernel, *bias = dense.get_weights()
    return kernel, bias[0] if bias else np.zeros(dense.units, np.float32)


def _set_kernel_and_bias(dense: keras.layers.Dense, kernel: np.ndarray, bias: np.ndarray) -> None:
    dense.set_weights([kernel, bias] if dense.use_bias else [kernel])
