"""CAREModel: a Keras model around an unchanged classifier, trained with the attention loss."""

import contextlib
import dataclasses
import inspect
import os
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from care_tf import keras_generation
from care_tf.attention import normalize_map
from care_tf.device_memory import full_memory_named
from care_tf.errors import InputError
from care_tf.losses import AttentionLoss
from care_tf.losses.embedding import EmbeddingLoss
from care_tf.losses.outside_loss import OutsideLoss
from care_tf.metrics import attention_inside_share, embedding_spread
from care_tf.model._attention_watch import AttentionSums, AttentionWatch
from care_tf.model._batches import ImageBatch, check_labels, true_class
from care_tf.model._class_attention import MappedPredictions
from care_tf.model._class_lists import check_class_list, class_names_of
from care_tf.model._forward_terms import AttentionTerms, Terms
from care_tf.model._label_range import LabelWatch, check_label_range, counts_classes, label_range_named
from care_tf.model._learned_masks import (
    MaskTerms,
    check_has_masks,
    check_head_classes,
    check_mask_head,
    mask_terms,
    mean_mask_loss,
)
from care_tf.model._map_losses import map_losses
from care_tf.model._mask_head import MaskHead
from care_tf.model._masked_images import check_images, outside_losses
from care_tf.model._on_replicas import OnReplicas, call_on_replica, check_has_image, missing_image_named, own_rows
from care_tf.model.attention_loss_choice import check_attention_loss
from care_tf.model.observed_classifier import ObservedClassifier
from care_tf.model_file import refuse_code
from care_tf.network.anatomy import Anatomy
from care_tf.network.attention_place import attention_layer_names
from care_tf.network.inputs import symbolic_inputs
from care_tf.network_input import further_of, image_of
from care_tf.precision import at_least_float32
from care_tf.replicas import gathered, number_of_replicas

LOGGED_MEANS = ("loss", "classification_loss", "attention_loss", "attention_inside")
EMBEDDING_MEANS = ("embedding_loss", "embedding_spread")
MASK_MEANS = ("mask_loss", "mask_dice", "learned_masks")
_NAN_OF_NONE = ("attention_loss", "attention_inside", "mask_dice")


class Mean(keras.metrics.Mean):
    """Keras's mean, but NaN of no images: 0 would be a share. Keras 2 finds saved state by the name of the class."""

    def result(self):
        return self.total / self.count


@keras_generation.register
class CAREModel(OnReplicas):
    """Trains a classifier with class attention to regions of lesion.

    L = (1 - alpha) L_c + alpha L_a

    L_c is the compiled loss (with sample and class weights), L_a the attention loss of the true class's activation
    map against the masks in x. With an embedding loss L_e, w_c L_c + w_e L_e replaces L_c. A mask head adds w_m L_m,
    and masks for images that have none. Regularization losses of the layers are added in full whatever the weights are.
    With alpha = 0, or without masks, the weights are those of a plain Keras fit (with a mask head, where its
    backbone_weight is 0).

    A batch is `({"image": (B, H, W, C), "mask": (B, H, W, 1)}, y[, sample_weight])`; bare images, or a dict without
    "mask", are accepted everywhere. "mask_class", int (B,), names the class a mask belongs to where y does not say it
    (several positive labels in one image); -1 means none. Images of sample weight 0 are left out of L_a too.

    A Functional classifier may have further inputs beside its image, which is the one named "image" or the only one
    with four axes: x then has a key for each, by its name in the network, such as "age".

    Activations of a frozen lower part may stand in for the images, as "activation"; the classifier is then the rest of
    the network, and the masks keep the images' size.

    Logs: `loss`, `classification_loss` (L_c with regularization: what plain Keras calls loss), `attention_loss` (L_a;
    one that asks the network is not computed in training steps while alpha is 0, and `fit` leaves it out then),
    `attention_inside` (mean share of the map's energy inside the mask over masked images; `fit` leaves it out where
    there were none, `evaluate` gives NaN), with an embedding loss `embedding_loss` (L_e) and `embedding_spread` (1 for
    embeddings in all directions, 0 when they have collapsed into one), with a mask head `mask_loss` (L_m, 0 in a batch
    without masks), `mask_dice` (mean overlap of its prediction with the masks in x, absent as `attention_inside` is)
    and `learned_masks` (share of the images that got a mask of it; 0 in evaluation), and the compiled metrics. To
    monitor one of them, give `EarlyStopping` and its like a `mode`: Keras 3 guesses it for compiled metrics only.

    Args:
      classifier: Any Keras classifier with one output (B, classes): Functional, Sequential, nested, or subclassed.
        Ending in softmax, sigmoid, or logits; one unit means binary. An `ObservedClassifier` lets several models share
        what is read of one network; attention_layer, cam, features and head are then its.
      attention_layer: Layer name, "outer/inner" path, or "auto": the last feature map, or grid of transformer tokens,
        that every path from the image to the prediction crosses; h, w > 1. Tokens (B, n, d) are folded back to the
        grid that the network unfolded them from; `print(model.anatomy)` says what was found. A list of these, in the
        network's order, supervises the maps of n layers: L_a = (1/n) sum_l L_a(M_l, B), with an `AttentionLoss`. What
        is shown, measured and exported is the map of the last one, as if it were the only one.
      alpha: Weight of the attention loss, in [0, 1]. `model.alpha` is a variable; assign to it to change it.
      attention_loss: L_a: an `AttentionLoss`; or an `OutsidePerturbation` or `InputGradient`, which ask the network in
        place of the map. None means `AttentionLoss()`, the paper's.
      cam: Activation-map method: "gradcam" (the paper's), "gradcam++", "hirescam", "layercam", "xgradcam", or a
        function.
      second_order: True differentiates the map through its own gradients sigma_k; False treats them as constants.
      features: For networks whose attention layer cannot be found: the classifier's attribute (or its name) that maps
        images to features. Needs `head`; `classifier(x)` must equal `head(features(x))`.
      head: The classifier's attribute (or its name) that maps features to predictions.
      embedding_loss: L_e, a loss of (labels, embeddings) such as `care_tf.losses.TripletLoss`; the embedding is the
        input of the classifier's last Dense layer. None for none. Sample weights do not enter it.
      embedding_weight: w_e, >= 0.
      classification_weight: w_c, >= 0; 0 trains on the embedding alone.
      mask_head: A `MaskHead`, which learns masks from those in x and gives them to images of its classes that have
        none; every training batch then needs "mask". For an `AttentionLoss`. None for none.

    Raises:
      InputError: An argument is out of range, an attention layer is unknown, without spatial extent or not computed
        from the one before it in a list, the classifier moves images at random, second-order gradients do not exist
        between an attention layer and the logits, or a list stands beside a loss that asks the network.

    Source: Zhuang et al. 2023, Eq. 4 and Algorithm 2. Deviations: the map is that of the class score instead of the
      classification loss; one backward pass instead of two; full second order instead of constant sigma_k.
    """

    def __init__(
        self,
        classifier: keras.Model | ObservedClassifier,
        attention_layer: str | Sequence[str] = "auto",
        alpha: float = 0.5,
        attention_loss: AttentionLoss | OutsideLoss | None = None,
        cam: str = "gradcam",
        second_order: bool = True,
        features: Any = None,
        head: Any = None,
        embedding_loss: keras.losses.Loss | None = None,
        embedding_weight: float = 1.0,
        classification_weight: float = 1.0,
        mask_head: MaskHead | None = None,
        **kwargs: Any,
    ):
        # The wrapper hands images on untouched, whatever its own dtype policy: the classifier casts for itself.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        if isinstance(classifier, ObservedClassifier):
            self._observed = classifier
        else:
            self._observed = ObservedClassifier(classifier, attention_layer, cam, features, head)
        self.classifier = self._observed.classifier
        self.attention_loss = check_attention_loss(attention_loss, attention_layer_names(self.attention_layer))
        # Which images have a mask decides how many pass the network again, and XLA wants to know that number before:
        # Keras 3's jit_compile="auto" then leaves it off.
        self.supports_jit = not isinstance(self.attention_loss, OutsideLoss)
        self.cam = self._observed.cam
        self.second_order = bool(second_order)
        self.embedding_loss = embedding_loss
        self.embedding_weight = _check_weight("embedding_weight", embedding_weight)
        self.classification_weight = _check_weight("classification_weight", classification_weight)
        self.mask_head = check_mask_head(mask_head, self.attention_loss)
        self._initial_alpha = _check_alpha(alpha)
        self._alpha = keras_generation.add_scalar(self, "alpha", alpha)
        self._trackers = {
            name: (Mean if name in _NAN_OF_NONE else keras.metrics.Mean)(name=name, dtype="float32")
            for name in LOGGED_MEANS + EMBEDDING_MEANS + (() if mask_head is None else MASK_MEANS)
        }
        self._watch, self._label_watch = AttentionWatch(), LabelWatch()
        self._mapper = tf.function(self._map_at_image_size, autograph=False, reduce_retracing=True)
        self._image_shape: list[int | None] | None = None
        if getattr(self.classifier, "inputs", None):
            image = image_of(symbolic_inputs(self.classifier))
            self._image_shape = [None, *image.shape[1:]]
            self._study(image)
            self.built = True

    # --- the classifier ---------------------------------------------------------------------------------------------

    @property
    def alpha(self):
        """The variable alpha of Eq. 4; assign a number to it to change it."""
        return self._alpha

    @alpha.setter
    def alpha(self, value: float) -> None:
        self._alpha.assign(_check_alpha(value))

    @property
    def attention_layer(self) -> str | list[str]:
        """The attention layer, or the list of them, by name."""
        return self._observed.attention_layer

    @property
    def anatomy(self) -> Anatomy:
        """Where the attention maps and the logits are found; known once the classifier has been built."""
        return self._observed.anatomy

    @property
    def _is_second_order(self) -> bool:
        """Whether the map is differentiated through its own gradients; one that is only measured is not."""
        return self.second_order and self.attention_loss.differentiates_map

    def _study(self, image: Any) -> Anatomy:
        """Reads the network once, and refuses one without the gradients that the attention loss needs."""
        loss = self.attention_loss
        anatomy = self._observed.study(image.shape, image.dtype, self._is_second_order)
        if isinstance(loss, OutsideLoss) and loss.needs_second_order:
            self._observed.check_input_gradients()
        if self.mask_head is not None:
            check_head_classes(self.mask_head, max(anatomy.num_outputs, 2))
            if not self.mask_head.built:
                with tf.init_scope():
                    self.mask_head.build((None, *(anatomy.map_size or (None, None)), anatomy.map_channels))
        return anatomy

    def build(self, input_shape: Any = None) -> None:
        """Builds the classifier for an image shape, or for a dict of shapes with "image"."""
        shape = input_shape
        if isinstance(input_shape, dict):
            shape = input_shape["image"] if "image" in input_shape else input_shape["activation"]
        if shape is not None:
            self._image_shape = [None, *tuple(shape)[1:]]
            if not self.classifier.built:
                self.classifier.build(tuple(self._image_shape))
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        """The classifier's predictions for a bare image batch or a batch dict."""
        return self._predictions(self._observed.split(inputs).inputs, training)

    def export(self, filepath: str, *args: Any, **kwargs: Any) -> Any:
        """Exports the classifier, which serves without this wrapper; see `care_tf.serving` for images as files."""
        return self.classifier.export(filepath, *args, **kwargs)

    # --- fit and evaluate -------------------------------------------------------------------------------------------

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Keras's own `fit`, with its arguments; warns where attention is not trained though alpha > 0.

        Raises:
          InputError: `validation_data` carries another list of classes (`class_names`) than x; a label is of no class;
            a batch does not fit into the device's memory; or a replica has no image, but batch normalization that is
            not synchronized.
        """
        given = inspect.signature(super().fit).bind(x, *args, **kwargs).arguments
        self._observed.class_names = class_names_of(x) or self._observed.class_names
        self._check_class_list(given.get("validation_data"))
        keras_generation.forget_validation_data(self)
        self._check_labels(given.get("y"), given.get("sample_weight"))
        _, labels, sample_weight = keras_generation.unpack_batch(given.get("validation_data"))
        self._check_labels(labels, sample_weight, of="validation_data")
        with self._named_failures():
            return super().fit(**{**given, "callbacks": self._watched(given.get("callbacks"))})

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Keras's own `evaluate`, with its arguments.

        Raises:
          InputError: x carries another list of classes (`class_names`) than the training data; or as in `fit`.
        """
        self._check_class_list(x)
        given = inspect.signature(super().evaluate).bind(x, *args, **kwargs).arguments
        self._check_labels(given.get("y"), given.get("sample_weight"))
        with self._named_failures():
            return super().evaluate(x, *args, **kwargs)

    def _check_labels(self, labels: Any, sample_weight: Any, of: str = "") -> None:
        if counts_classes(self.loss):
            check_label_range(labels, sample_weight, self._observed.num_outputs, of)

    @contextlib.contextmanager
    def _named_failures(self) -> Iterator[None]:
        """Says in a sentence what TensorFlow says of tensors, or not at all: a label of no class, a full memory."""
        with full_memory_named(), missing_image_named(), label_range_named(self, self._label_watch):
            yield

    def _watched(self, callbacks: Any) -> Any:
        """The callbacks of a fit with the watches, which take what they must out of the logs before others see them."""
        own: list[keras.callbacks.Callback] = [self._label_watch, self._watch]
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            return [*own, *tf.nest.flatten(callbacks or [])]
        if self._watch not in callbacks.callbacks:
            for watch in own:
                watch.set_model(self)
            callbacks.callbacks[:0] = own
        return callbacks

    def _check_class_list(self, data: Any) -> None:
        check_class_list(class_names_of(data), self._observed.class_names, self._observed.num_classes)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One optimizer step on L; a single backward pass through the backbone."""
        x, y, sample_weight = self._unpacked(data)
        batch = self._observed.split(x)
        with tf.GradientTape() as tape:
            terms = self._forward(batch, y, sample_weight, training=True)
            loss = self._total_loss(x, y, sample_weight, terms, training=True)
            loss = keras_generation.scaled_loss(self.optimizer, loss)
        keras_generation.apply_gradients(self, loss, tape)
        self._watch.add(terms.sums or AttentionSums(tf.shape(terms.predictions)[0]))
        return self.compute_metrics(x, y, terms.predictions, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """The same terms without a step; batches without masks are fine."""
        x, y, sample_weight = self._unpacked(data)
        terms = self._forward(self._observed.split(x), y, sample_weight, training=False)
        self._total_loss(x, y, sample_weight, terms, training=False)
        return self.compute_metrics(x, y, terms.predictions, sample_weight)

    def _unpacked(self, data: Any) -> tuple[Any, Any, Any]:
        x, y, sample_weight = keras_generation.unpack_batch(data)
        if isinstance(y, dict | list | tuple):  # before Keras's own loss looks at it
            check_labels(y)
        return x, y, sample_weight

    def _forward(self, batch: ImageBatch, y, sample_weight, training: bool) -> Terms:
        """One forward pass: predictions, and what the attention and the embedding loss are made of."""
        inputs = tf.nest.map_structure(tf.convert_to_tensor, batch.inputs)
        image = image_of(inputs)
        if not self.built:  # the steps never call the wrapper itself, and Keras saves the state of built models only
            self.build(image.shape)
        if isinstance(y, dict):
            check_labels(y)  # raises: one rule for y, with or without masks
        if training:
            check_has_image(self.classifier, image)
        if self.embedding_loss is None:
            return self._forward_with_attention(batch, inputs, y, sample_weight, training)
        self._study(image)
        with self._observed.embedding() as seen:
            terms = self._forward_with_attention(batch, inputs, y, sample_weight, training)
        return dataclasses.replace(terms, embedding=own_rows(seen[-1], image))

    def _predictions(self, inputs: Any, training: bool | None) -> tf.Tensor:
        def network(given: Any) -> tf.Tensor:
            return self._observed.predict(given, training=training)

        return call_on_replica(self.classifier, network, inputs)

    def _predictions_and_maps(self, inputs: Any, index: tf.Tensor, training: bool) -> MappedPredictions:
        def network(given: tuple[Any, tf.Tensor]) -> MappedPredictions:
            return self._observed.predict_with_maps(*given, training, self._is_second_order)

        return call_on_replica(self.classifier, network, (inputs, index))

    def _forward_with_attention(self, batch: ImageBatch, inputs, y, sample_weight, training: bool) -> Terms:
        if batch.mask is None:
            check_has_masks(self.mask_head, training)
            return Terms(self._predictions(inputs, training))
        num_outputs = self._study(image_of(inputs)).num_outputs
        index = true_class(y, num_outputs) if batch.mask_class is None else batch.mask_class
        index = tf.cast(tf.reshape(index, (-1,)), tf.int32)
        counted = _counted(index, sample_weight)
        mask = batch.mask * tf.cast(counted, tf.float32)[:, None, None]
        is_masked = tf.reduce_any(batch.mask > 0, axis=(1, 2))
        has_mask = is_masked & counted
        loss = self.attention_loss
        if isinstance(loss, OutsideLoss):
            # Before the pass below: embeddings and the layers' own losses are those of the last one.
            is_measured = self._measures_attention_loss(training)
            per_image = self._outside_losses(loss, batch, inputs, mask, has_mask, is_measured)
            is_flat = tf.fill(tf.shape(has_mask), tf.math.count_nonzero(has_mask) < loss.least_images)
        predictions, maps, features = self._predictions_and_maps(inputs, index, training)
        attention = normalize_map(maps[-1])  # what is measured, whatever is trained on
        masks, supervised, enters = None, mask, has_mask
        if self.mask_head is not None:
            wanting = tf.where(counted & ~is_masked, index, -1)
            masks, learned = mask_terms(self.mask_head, features, mask, has_mask, wanting, training)
            supervised, enters = mask + learned, has_mask | masks.is_learned
        if isinstance(loss, AttentionLoss):
            per_image, is_flat = map_losses(loss, maps, supervised)
        sums = _sums(per_image, is_masked, has_mask, is_flat, masks)
        share = attention_inside_share(attention, mask)
        return Terms(predictions, AttentionTerms(per_image, enters, index), share, has_mask, sums, masks=masks)

    def _measures_attention_loss(self, training: bool) -> bool | tf.Tensor:
        """Whether L_a is computed: one that costs passes of its own has no use in a step with alpha = 0."""
        if training and isinstance(self.attention_loss, OutsideLoss):
            return tf.convert_to_tensor(self._alpha) > 0
        return True

    def _outside_losses(
        self, loss: OutsideLoss, batch: ImageBatch, inputs, mask, has_mask, is_measured: bool | tf.Tensor
    ) -> tf.Tensor:
        """L_i of every image (B,) of a loss that asks the network; 0 where it is not measured."""
        check_images(loss, batch, image_of(inputs), self.jit_compile)
        step = tf.convert_to_tensor(self.optimizer.iterations)
        compute = outside_losses(loss, self._observed.log_probabilities, inputs, mask, has_mask, step)
        if is_measured is True:
            return compute()
        return tf.cond(is_measured, compute, lambda: tf.zeros(tf.shape(has_mask), self._observed.score_dtype))

    def _total_loss(self, x, y, sample_weight, terms: Terms, training: bool) -> tf.Tensor:
        """L of Eq. 4 of the batch of all replicas, of which this one's part is an equal share; updates the means."""
        keras_generation.check_own_losses(self)
        batch_size = tf.shape(terms.predictions)[0]
        y, sample_weight, predictions, attention, embedding, masks = gathered(
            (y, sample_weight, terms.predictions, terms.attention, terms.embedding, terms.masks)
        )
        if y is not None and counts_classes(self.loss):
            self._label_watch.add(y, sample_weight, predictions.shape[-1])
        classification = keras_generation.compiled_loss(self, x, y, predictions, sample_weight, training)
        classification = at_least_float32(classification)
        dtype = classification.dtype
        attention_loss = tf.cast(0.0 if attention is None else self._attention_loss_of(attention), dtype)
        alpha = tf.cast(self._alpha, dtype)
        factor = (1.0 - alpha) * self.classification_weight
        loss = factor * classification + alpha * attention_loss
        if self.losses:
            # The compiled loss already holds `factor` of the regularization, which must not depend on the weights.
            loss += (1.0 - factor) * tf.add_n([tf.cast(term, dtype) for term in self.losses])
        if self.embedding_loss is not None:
            embedding_loss = tf.cast(self._embedding_loss_of(y, embedding, self.embedding_loss), dtype)
            loss += (1.0 - alpha) * self.embedding_weight * embedding_loss
            self._trackers["embedding_loss"].update_state(embedding_loss, sample_weight=batch_size)
            self._trackers["embedding_spread"].update_state(embedding_spread(embedding), batch_size)
        num_measured = tf.where(self._measures_attention_loss(training), batch_size, 0)  # what is not measured is not 0
        self._trackers["attention_loss"].update_state(attention_loss, sample_weight=num_measured)
        if self.mask_head is not None and terms.masks is not None:
            mask_loss = self._mask_loss_of(self.mask_head, masks, terms.masks, batch_size, training)
            loss += self.mask_head.weight * tf.cast(mask_loss, dtype)
        for name, value in (("loss", loss), ("classification_loss", classification)):
            self._trackers[name].update_state(value, sample_weight=batch_size)
        if terms.share is not None and terms.is_measured is not None:
            self._trackers["attention_inside"].update_state(terms.share, tf.cast(terms.is_measured, tf.float32))
        return loss if number_of_replicas() == 1 else loss / number_of_replicas()

    def _attention_loss_of(self, attention: AttentionTerms) -> tf.Tensor:
        """L_a of a batch."""
        num_classes = self._observed.num_classes  # one unit means two classes
        weights = self.attention_loss.image_weights(attention.has_mask, attention.index, num_classes)
        return tf.reduce_sum(tf.cast(weights, attention.loss.dtype) * attention.loss)

    def _mask_loss_of(self, head: MaskHead, masks: MaskTerms, own: MaskTerms, batch_size, training: bool) -> tf.Tensor:
        """L_m of a batch of all replicas; logs this one's part, `own`, and counts the step."""
        loss = mean_mask_loss(masks)
        self._trackers["mask_loss"].update_state(loss, sample_weight=batch_size)
        self._trackers["mask_dice"].update_state(own.dice, tf.cast(own.has_mask, tf.float32))
        self._trackers["learned_masks"].update_state(tf.cast(own.is_learned, tf.float32))
        if training:
            head.count_step()
        return loss

    def _embedding_loss_of(self, y, embedding: tf.Tensor, loss: keras.losses.Loss) -> tf.Tensor:
        """L_e of a batch."""
        labels = true_class(y, self.anatomy.num_outputs)
        if isinstance(loss, EmbeddingLoss):
            labels = tf.one_hot(labels, self._observed.num_classes)  # zeros for no class, which makes no pair
        else:  # a loss that may take integers only: no class is one that no other image has
            labels = tf.where(labels < 0, -1 - tf.range(tf.size(labels)), labels)
        return at_least_float32(loss(labels, embedding))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The logged means first, then the compiled metrics. Keras's own loss mean is replaced by that of L."""
        logged = LOGGED_MEANS + (() if self.embedding_loss is None else EMBEDDING_MEANS)
        logged += () if self.mask_head is None else MASK_MEANS
        own = list(self._trackers.values())
        others = [metric for metric in super().metrics if metric.name != "loss" and metric not in own]
        return [self._trackers[name] for name in logged] + others

    # --- attention maps ---------------------------------------------------------------------------------------------

    def predictions_and_attention(self, inputs: Any, class_index: tf.Tensor | None = None):
        """Predictions and attention maps in inference mode, as TensorFlow operations.

        Args:
          inputs: (B, H, W, C), as the classifier takes it, or a batch dict; masks in it do not count.
          class_index: int (B,); None takes the predicted class.

        Returns:
          predictions (B, classes) as the classifier gives them, attention float32 (B, h, w) in [0, 1].
        """
        inputs = tf.nest.map_structure(tf.convert_to_tensor, self._observed.split(inputs).inputs)
        return self._observed.predict_with_attention(inputs, class_index, training=False, second_order=False)

    def probabilities(self, predictions: tf.Tensor) -> tf.Tensor:
        """Class probabilities, float32 (B, classes): logits go through softmax, a single one through sigmoid."""
        predictions = tf.cast(predictions, tf.float32)
        if self.anatomy.output_activation == "linear":
            return tf.nn.sigmoid(predictions) if predictions.shape[-1] == 1 else tf.nn.softmax(predictions)
        return tf.exp(predictions) if self.anatomy.output_activation == "log_softmax" else predictions

    def class_probabilities(self, predictions: tf.Tensor) -> tf.Tensor:
        """`probabilities` with one column per class, float32 (B, max(classes, 2)): (1 - p, p) of a single unit."""
        probabilities = self.probabilities(predictions)
        if probabilities.shape[-1] > 1:
            return probabilities
        return tf.concat([1.0 - probabilities, probabilities], axis=-1)

    def attention_map(self, images: Any, class_index: Any = None, batch_size: int = 32) -> np.ndarray:
        """Attention maps at image size, for looking at.

        Args:
          images: (B, H, W, C), as the classifier takes it, or a batch dict, as for `fit`.
          class_index: An int for all, ints (B,), or None for each image's predicted class.
          batch_size: Images per forward pass.

        Returns:
          float32 (B, H, W) in [0, 1]; all zeros where the map is flat.

        Source: Zhuang et al. 2023, Algorithm 1 (normalized, then resized bilinearly).
        """
        given = self._observed.split(images).inputs
        inputs = {name: np.asarray(each) for name, each in ({"image": image_of(given)} | further_of(given)).items()}
        images = inputs["image"]
        if images.ndim != 4:
            raise InputError(f"images must be a batch (B, H, W, C). Received shape {images.shape}.")
        if class_index is not None:
            class_index = np.broadcast_to(np.asarray(class_index, np.int32), (len(images),))
        maps = []
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            index = None if class_index is None else tf.constant(class_index[part])
            batch = {name: tf.constant(given[part]) for name, given in inputs.items()}
            maps.append(self._mapper(batch, index).numpy())
        return np.concatenate(maps) if maps else np.zeros(images.shape[:3], np.float32)

    def _map_at_image_size(self, inputs: Any, index: tf.Tensor | None) -> tf.Tensor:
        _, attention = self.predictions_and_attention(inputs, index)
        return tf.image.resize(attention[..., None], tf.shape(image_of(inputs))[1:3], method="bilinear")[..., 0]

    # --- saving -----------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; the classifier with its architecture."""
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "trainable": self.trainable,
            "classifier": serialize(self.classifier),
            "attention_layer": self.attention_layer,
            "alpha": self._initial_alpha,
            "attention_loss": serialize(self.attention_loss),
            "cam": self.cam if isinstance(self.cam, str) else serialize(self.cam),
            "second_order": self.second_order,
            "embedding_loss": None if self.embedding_loss is None else serialize(self.embedding_loss),
            "embedding_weight": self.embedding_weight,
            "classification_weight": self.classification_weight,
            "features": self._observed.features_name,
            "head": self._observed.head_name,
            "mask_head": None if self.mask_head is None else serialize(self.mask_head),
        }

    def get_build_config(self) -> dict[str, Any]:
        """The image shape that a loaded model is built for, before its weights and optimizer are restored."""
        return {"input_shape": self._image_shape}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """The inverse of `get_build_config`."""
        self.build(config["input_shape"])
        if self.mask_head is not None and self._image_shape is not None:  # before its weights are restored
            self._study(tf.TensorSpec(self._image_shape, tf.float32))

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict | None = None) -> "CAREModel":
        """The inverse of `get_config`."""
        config = dict(config)
        for key in ("classifier", "attention_loss", "cam", "embedding_loss", "mask_head"):
            if isinstance(config.get(key), dict):
                config[key] = keras.saving.deserialize_keras_object(config[key], custom_objects=custom_objects)
        return cls(**config)


def load_model(path: str | os.PathLike, **arguments: Any) -> keras.Model:
    """`keras.models.load_model` that knows care_tf's classes in any order of imports, and runs no code of a file.

    Args:
      path: A .keras or HDF5 file, of a `CAREModel` or of any other Keras model.
      **arguments: As of `keras.models.load_model`: `compile`, `safe_mode`, `custom_objects`. With `safe_mode=False`
        what the file holds or names runs.

    Returns:
      The model.

    Raises:
      InputError: The file holds or names code that is neither Keras', registered, nor in `custom_objects`.
      ValueError: As `keras.models.load_model` raises it.
    """
    if arguments.get("safe_mode", True):
        refuse_code(path, arguments.get("compile", True), arguments.get("custom_objects"))
    return keras.models.load_model(path, **arguments)


def _check_alpha(alpha: float) -> float:
    if not 0.0 <= float(alpha) <= 1.0:
        raise InputError(
            f"alpha weights the attention loss against the classification loss and must lie in [0, 1]. "
            f"Received alpha={alpha!r}."
        )
    return float(alpha)


def _check_weight(name: str, weight: float) -> float:
    if not 0.0 <= float(weight) < float("inf"):
        raise InputError(f"{name} weights a loss and must be at least 0. Received {name}={weight!r}.")
    return float(weight)


def _sums(per_image, is_masked, has_mask, is_flat, masks: MaskTerms | None) -> AttentionSums:
    """What the watch adds up: of images with masks of their own, as one measure for all epochs."""
    size, count = tf.size(has_mask), tf.math.count_nonzero
    own = tf.where(has_mask, per_image, tf.zeros_like(per_image))
    given = (size, size, count(is_masked), count(has_mask), count(has_mask & is_flat), tf.reduce_sum(own))
    return AttentionSums(*given, *(() if masks is None else (count(masks.is_wanted), count(masks.is_learned))))


def _counted(index: tf.Tensor, sample_weight: Any) -> tf.Tensor:
    """bool (B,): False for images whose mask does not count (class -1, sample weight 0)."""
    counted = index >= 0
    if sample_weight is not None:
        counted &= tf.reshape(tf.cast(sample_weight, tf.float32), (-1,)) != 0
    return counted
