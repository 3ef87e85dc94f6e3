"""A classifier together with what is known about it: how to call it, and where its map and logits are."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from care_tf.attention import normalize_map
from care_tf.attention.activation_maps import ActivationMap, get_activation_map
from care_tf.errors import InputError
from care_tf.keras_generation import call_model
from care_tf.model._batches import ImageBatch, split_inputs
from care_tf.model._class_attention import MappedPredictions, class_log_probabilities, predict_with_maps
from care_tf.network.anatomy import Anatomy, read_anatomy
from care_tf.network.attention_place import attention_layer_names
from care_tf.network.inputs import call_classifier, further_inputs
from care_tf.network.last_dense import found_dense
from care_tf.network.observation import layers_by_path, observing
from care_tf.network.random_layers import refuse_random_geometry
from care_tf.network.second_order import first_order_only
from care_tf.network.trace import NetworkTrace, build_network, trace_network
from care_tf.network_input import image_of


class ObservedClassifier:
    """Calls a classifier, with or without the attention map of a class.

    Args:
      classifier: The network; it is never changed.
      attention_layer: "auto", a layer name, an "outer/inner" path, or a list of these in the network's order.
      cam: Activation-map method, by name or as a function.
      features: The classifier's attribute, or its name, that maps images to features; None to find the layer.
      head: The classifier's attribute, or its name, that maps features to predictions.

    Raises:
      InputError: The classifier is no Keras model or moves images at random, `features` or `head` is no attribute of
        it, or only one of them is given, or beside a list of layers; or `attention_layer` is no name and no list.
    """

    def __init__(
        self,
        classifier: keras.Model,
        attention_layer: str | Sequence[str] = "auto",
        cam: str | ActivationMap = "gradcam",
        features: Any = None,
        head: Any = None,
    ):
        if not isinstance(classifier, keras.Model):
            raise InputError(f"classifier must be a keras.Model. Received {type(classifier).__name__}.")
        refuse_random_geometry(classifier)
        if (features is None) != (head is None):
            raise InputError("features and head belong together: give both or neither.")
        self.classifier = classifier
        self._further = further_inputs(classifier)
        if self._further and features is not None:
            raise InputError(
                "features and head are for networks that take an image alone. Received one with "
                f"{', '.join(self._further)} beside it. Leave both out, and name the layer in attention_layer."
            )
        names = attention_layer_names(attention_layer)
        if features is not None and len(names) > 1:
            raise InputError(
                "features and head say where the one attention map is. Received both beside attention_layer="
                f"{list(names)!r}. Leave features and head out, or give them without a list."
            )
        self.attention_layer: str | list[str] = names[0] if len(names) == 1 else list(names)
        self.cam = cam
        self._activation_map = get_activation_map(cam)
        self.features_name = None if features is None else _attribute_name(classifier, features, "features")
        self.head_name = None if head is None else _attribute_name(classifier, head, "head")
        self.class_names: tuple[str, ...] | None = None  # of its training data, where that says so
        self._anatomy: Anatomy | None = None
        self.trace: NetworkTrace | None = None  # what the anatomy was read from
        self._image_first_order_only: tuple[str, ...] | None = None  # as in the anatomy, but from the image on

    @property
    def anatomy(self) -> Anatomy:
        """Where the maps and the logits are found; known once the classifier has an input shape."""
        if self._anatomy is None:
            raise InputError("The classifier has no input shape yet: call the model on a batch, or build it, first.")
        return self._anatomy

    @property
    def num_classes(self) -> int | None:
        """How many classes the outputs stand for; None before the classifier has an input shape."""
        return None if self.num_outputs is None else max(self.num_outputs, 2)

    @property
    def num_outputs(self) -> int | None:
        """Length of the output; None until the classifier has been built."""
        return None if self._anatomy is None else self._anatomy.num_outputs

    @property
    def score_dtype(self) -> tf.DType:
        """Of `log_probabilities`: float32, or float64 where the network computes in it."""
        assert self.trace is not None
        return tf.float64 if self.trace.predictions.dtype == tf.float64 else tf.float32

    @property
    def last_dense(self) -> keras.layers.Dense:
        """The Dense layer that makes the logits; refused as by `network.last_dense` where there is none."""
        return found_dense(self.classifier, self.anatomy.last_dense)

    def split(self, x: Any) -> ImageBatch:
        """The parts of a batch's x; see `split_inputs`."""
        return split_inputs(x, self._further)

    def study(self, image_shape: Any, dtype: Any, second_order: bool) -> Anatomy:
        """Reads the anatomy once, from image batches of a shape, whatever their size.

        Raises:
          InputError: As for `read_anatomy`, or second-order gradients do not exist after the attention layer.
        """
        if self._anatomy is None:
            spec = tf.TensorSpec([None, *image_shape[1:]], dtype)
            specs = {"image": spec, **self._further} if self._further else spec
            build_network(self.classifier, lambda given: self._features_and_predictions(given)[1], specs)
            self.trace = trace_network(self._features_and_predictions, layers_by_path(self.classifier), specs)
            self._anatomy = read_anatomy(self.trace, self.attention_layer)
        for place in self._anatomy.places:
            if second_order and place.first_order_only:
                raise InputError(
                    f"Between the attention layer {place.attention_path!r} and the logits the classifier uses "
                    f"{', '.join(place.first_order_only)}, which has no second-order gradient in TensorFlow. Choose an "
                    "attention layer after it, or pass second_order=False."
                )
        return self._anatomy

    def check_input_gradients(self) -> None:
        """Refuses a network, once read, whose gradients at the image cannot be differentiated again.

        Raises:
          InputError: An operation between the image and the predictions has no gradient, or none of second order.
        """
        if self._image_first_order_only is None:
            assert self.trace is not None
            remedy = "Move it into the dataset, or train with OutsidePerturbation"
            self._image_first_order_only = first_order_only(self.trace.image, self.trace.predictions, "image", remedy)
        if self._image_first_order_only:
            raise InputError(
                "InputGradient differentiates the gradient at the image, so every operation of the network needs a "
                f"second-order gradient. Received {', '.join(self._image_first_order_only)}, which TensorFlow has none "
                "for. Move it into the dataset, or train with OutsidePerturbation."
            )

    def predict(self, inputs: Any, on_features=lambda features: None, training: bool | None = None) -> tf.Tensor:
        """The predictions; `on_features` gets the output of an explicit features model."""
        if self.features_name is None or self.head_name is None:
            return call_classifier(self.classifier, inputs, training)
        features = call_model(getattr(self.classifier, self.features_name), image_of(inputs), training)
        on_features(features)
        return call_model(getattr(self.classifier, self.head_name), features, training)

    def log_probabilities(self, inputs: Any) -> tf.Tensor:
        """Log-probabilities in inference mode; see `class_log_probabilities`."""
        return class_log_probabilities(functools.partial(self.predict, training=False), self.anatomy, inputs)

    def predict_with_maps(
        self,
        inputs: Any,
        class_index: tf.Tensor | None,
        training: bool,
        second_order: bool,
        only_shown: bool = False,
    ) -> MappedPredictions:
        """Predictions and the maps of one class per image: of all attention layers, or of the one that is shown."""
        image = image_of(inputs)
        anatomy = self.study(image.shape, image.dtype, second_order)
        places = anatomy.places[-1:] if only_shown else anatomy.places
        forward = functools.partial(self.predict, training=training)
        return predict_with_maps(forward, anatomy, places, inputs, class_index, self._activation_map, second_order)

    def predict_with_attention(
        self, inputs: Any, class_index: tf.Tensor | None, training: bool, second_order: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Predictions and the attention of one class per image as it is shown and measured, min-max normalized."""
        mapped = self.predict_with_maps(inputs, class_index, training, second_order, only_shown=True)
        return mapped.predictions, normalize_map(mapped.maps[-1])

    @contextlib.contextmanager
    def embedding(self) -> Iterator[list[tf.Tensor]]:
        """Collects the input of the last Dense layer, (B, d), of every forward pass inside the block.

        Raises:
          InputError: The classifier does not end in a Dense layer.
        """
        dense = self.anatomy.last_dense
        if dense is None:
            raise InputError(
                "An embedding loss acts on the input of the classifier's last Dense layer, and this classifier does "
                "not end in one. End it with Dense(classes), or leave embedding_loss out."
            )
        seen: list[tf.Tensor] = []
        with observing(dense, "call", lambda args, _: seen.append(args[0])):
            yield seen

    def _features_and_predictions(self, inputs: Any) -> tuple[tf.Tensor | None, tf.Tensor]:
        features: list[tf.Tensor] = []
        predictions = self.predict(inputs, features.append, training=False)
        return (features[0] if features else None), predictions


def _attribute_name(classifier: keras.Model, part: Any, argument: str) -> str:
    """The name of the classifier's attribute that is `part`: what a saved model can find again."""
    if isinstance(part, str):
        names = [part] if isinstance(getattr(classifier, part, None), keras.layers.Layer) else []
    else:
        names = [name for name, value in vars(classifier).items() if value is part]
    if not names:
        raise InputError(
            f"{argument} must be a layer or model that the classifier holds as an attribute, or that attribute's name, "
            f"so that a saved model finds it again. Received {part!r}."
        )
    return names[0]
