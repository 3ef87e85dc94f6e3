"""The training steps that benchmarks/step_cost.py compares, each as a compiled Keras model and the batch it takes.

"plain" is the network itself in Keras's own `fit`. "care" is `CAREModel`: in closed form where the head is average
pooling and a Dense layer, else through nested tapes; "care nested" takes the tapes where it need not. "care CAM" is
another activation map. "two passes" is Algorithm 2 of the paper (Zhuang et al. 2023): one backward pass for the
classification loss, a second one for the attention loss, with the map's weights constant.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from care_tf import CAREModel, keras_generation
from care_tf.attention import gradcam, normalize_map
from care_tf.backbones import build_classifier, get_backbone
from care_tf.keras_generation import tensorflow_variable
from care_tf.losses import AttentionLoss

ALPHA = 0.5


class TwoPasses(keras.Model):
    """Algorithm 2, by hand, of convolutional features; the attention layer must be one of the network's own."""

    def __init__(self, classifier: keras.Model, layer: str):
        super().__init__()
        self.classifier = classifier
        self.both = keras.Model(classifier.inputs, [classifier.get_layer(layer).output, classifier.output])
        self.attention_loss = AttentionLoss()

    def call(self, x, training=None):
        return self.classifier(x["image"], training=training)

    def train_step(self, data):
        x, labels = data
        weights = self.classifier.trainable_variables
        sources = [tensorflow_variable(weight) for weight in weights]
        with tf.GradientTape(persistent=True) as tape:
            features, predictions = self.both(x["image"], training=True)
            classification = (1 - ALPHA) * self.compute_loss(x=x, y=labels, y_pred=predictions)
        at_features, *first = tape.gradient(classification, [features, *sources])
        with tape:
            sigma = tf.stop_gradient(-tf.cast(at_features, tf.float32))
            attention_map = normalize_map(gradcam(tf.cast(features, tf.float32), sigma))
            attention = ALPHA * self.attention_loss(attention_map, x["mask"])
        second = tape.gradient(attention, sources, unconnected_gradients="zero")
        gradients = [a + b for a, b in zip(first, second, strict=True)]
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return {"loss": classification + attention}


def make_model(variant: str, cell) -> keras.Model | None:
    """The compiled model of a variant; None where the network has none.

    Without a closed form "care" is nested already, and Algorithm 2 is written here for feature maps, not for tokens.
    """
    size = (cell.size, cell.size)
    classifier = build_classifier(cell.network, image_size=size, num_classes=cell.classes, seed=0)
    layer = get_backbone(cell.network).attention_layer
    model = classifier
    if variant == "two passes":
        layer = layer if layer != "auto" else CAREModel(classifier).anatomy.attention_path
        if len(classifier.get_layer(layer).output.shape) != 4:
            return None
        model = TwoPasses(classifier, layer)
    elif variant != "plain":
        cam = variant.removeprefix("care").strip()
        model = CAREModel(classifier, layer, ALPHA, cam="gradcam" if cam in ("", "nested") else cam)
        if cam == "nested":
            if model.anatomy.pooled_dense is None:
                return None
            model._observed._anatomy = dataclasses.replace(model.anatomy, pooled_dense=None)
    model.compile(
        keras.optimizers.AdamW(1e-4),
        keras.losses.SparseCategoricalCrossentropy(),
        run_eagerly=cell.mode == "eager",
        jit_compile=cell.mode == "xla",
    )
    keras_generation.build_optimizer(model)  # as CAREModel does: Keras 3 traces twice without, which stays in memory
    return model


def make_batches(variant: str, cell) -> tf.data.Dataset:
    """One batch again and again: random images, labels, and a box on the first images."""
    random = np.random.default_rng(0)
    image = random.normal(size=(cell.batch, cell.size, cell.size, 3)).astype(np.float32)
    labels = random.integers(0, cell.classes, cell.batch)
    mask = np.zeros((*image.shape[:3], 1), np.float32)
    mask[: round(cell.masked * cell.batch), cell.size // 4 : cell.size // 2, cell.size // 4 : cell.size // 2] = 1
    x = image if variant == "plain" else {"image": image, "mask": mask}
    return tf.data.Dataset.from_tensors((x, labels)).repeat()


def make_step(variant: str, cell):
    """A function that runs a number of steps of a variant in Keras's `fit`; None as for `make_model`."""
    model = make_model(variant, cell)
    if model is None:
        return None
    batches = make_batches(variant, cell)
    return lambda num_steps: model.fit(batches, steps_per_epoch=num_steps, epochs=1, verbose=0, shuffle=False)


def set_precision(policy: str) -> None:
    """Before any network is built."""
    keras.mixed_precision.set_global_policy(policy)
