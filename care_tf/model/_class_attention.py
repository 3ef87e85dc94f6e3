"""Predictions and the attention map of a class, in one forward pass of an unchanged classifier."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import tensorflow as tf

from care_tf.attention.activation_maps import ActivationMap
from care_tf.network.anatomy import Anatomy, TokenGrid
from care_tf.network.observation import observing
from care_tf.precision import at_least_float32

# Gradients of a float16 score with respect to a feature map are of the order of weight / (h w) and would fall among
# float16's subnormal numbers. A power of two scales them exactly and is taken out again in float32.
HALF_PRECISION_SCALE = 1024.0

Forward = Callable[[Any, Callable[[tf.Tensor], None]], tf.Tensor]


class MappedPredictions(NamedTuple):
    """What one forward pass gives.

    Attributes:
      predictions: (B, C), exactly as the network gives them.
      activation_map: (B, h, w), not normalized, float32 (float64 for float64 features).
      features: (B, h, w, d), what the map is made of, of the same dtype.
    """

    predictions: tf.Tensor
    activation_map: tf.Tensor
    features: tf.Tensor


def class_scores(logits: tf.Tensor, class_index: tf.Tensor) -> tf.Tensor:
    """The pre-softmax score Y^c of one class per image.

    Args:
      logits: float (B, C); (B, 1) is a binary classifier with one unit, where the score of class 0 is minus the logit.
      class_index: int (B,); -1 gives a score of 0, which has no gradient.

    Returns:
      float (B,), in the dtype of the logits.

    Source: Zhuang et al. 2023, Eqs. 1-2. Algorithm 2 backpropagates the classification loss instead; a saturated
      probability would have no gradient.
    """
    return tf.reduce_sum(logits * _class_selector(class_index, logits.shape[-1], logits.dtype), axis=-1)


def _class_selector(class_index: tf.Tensor, num_outputs: int, dtype: tf.DType) -> tf.Tensor:
    if num_outputs == 1:
        sign = tf.where(class_index == 1, 1, tf.where(class_index == 0, -1, 0))
        return tf.cast(sign, dtype)[:, None]
    return tf.one_hot(class_index, num_outputs, dtype=dtype)


def predict_with_map(
    forward: Forward,
    anatomy: Anatomy,
    inputs: Any,
    class_index: tf.Tensor | None,
    cam: ActivationMap,
    second_order: bool = True,
) -> MappedPredictions:
    """One forward pass, and the activation map of one class per image.

    Args:
      forward: (inputs, on_features) -> predictions. It calls `on_features` with the features of an explicit features
        model; otherwise the attention layer's output is observed.
      anatomy: Of the classifier that `forward` calls.
      inputs: The image (B, H, W, C), or a dict with further inputs.
      class_index: int (B,); None takes the predicted class.
      cam: Activation-map method.
      second_order: False treats the gradients inside the map (sigma_k) as constants when the map is differentiated.

    Source: Zhuang et al. 2023, Eqs. 2-3.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        features, logits, predictions = _observed_forward(forward, anatomy, inputs, tape)
        if class_index is None:
            class_index = predicted_class(logits)
        scale = HALF_PRECISION_SCALE if features.dtype == tf.float16 else 1.0
        scores = class_scores(logits, class_index) * tf.cast(scale, logits.dtype)
    if anatomy.pooled_dense is None:
        gradients = at_least_float32(tape.gradient(scores, features)) / scale
    else:
        gradients = pooled_dense_gradients(features, anatomy.pooled_dense.kernel, class_index)
    if not second_order:
        gradients = tf.stop_gradient(gradients)
    grid = _to_grid(at_least_float32(features), anatomy.grid)
    return MappedPredictions(predictions, cam(grid, _to_grid(gradients, anatomy.grid)), grid)


def pooled_dense_gradients(features: tf.Tensor, kernel: tf.Tensor, class_index: tf.Tensor) -> tf.Tensor:
    """dY^c / dA in closed form for a head of global average pooling + Dense.

    G_ijk = W_kc / (h w)

    Equal to the tape's gradient, without a backward pass; still differentiable with respect to W.

    Args:
      features: (B, h, w, d).
      kernel: (d, C), the Dense layer's kernel W; (d, 1) for a binary classifier.
      class_index: int (B,).

    Returns:
      float32 (float64 of a float64 kernel) (B, h, w, d).

    Source: Zhuang et al. 2023, Eqs. 1-2.
    """
    kernel = at_least_float32(kernel)
    size = tf.shape(features)
    columns = _class_selector(class_index, kernel.shape[-1], kernel.dtype) @ tf.transpose(kernel)
    return tf.broadcast_to(columns[:, None, None, :] / tf.cast(size[1] * size[2], kernel.dtype), size)


def predicted_class(logits: tf.Tensor) -> tf.Tensor:
    """int32 (B,): the largest logit; for one unit, 1 where the logit is positive."""
    if logits.shape[-1] == 1:
        return tf.cast(logits[:, 0] > 0, tf.int32)
    return tf.argmax(logits, axis=-1, output_type=tf.int32)


def _observed_forward(forward, anatomy, inputs, tape) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Runs `forward` once, taking the features and the logits out of the layers' own calls."""
    seen: dict[str, tf.Tensor] = {}

    def on_features(features: tf.Tensor) -> None:
        # Watched from here on only: the tape records the head, never the backbone.
        if anatomy.pooled_dense is None:
            tape.watch(features)
        seen["features"] = features

    with contextlib.ExitStack() as stack:
        if anatomy.attention_layer is not None:
            if anatomy.attention_side == "output":
                stack.enter_context(observing(anatomy.attention_layer, "call", lambda _, result: on_features(result)))
            else:
                stack.enter_context(
                    observing(anatomy.attention_layer, "call", before=lambda args: on_features(args[0]))
                )
        logits = stack.enter_context(_observed_logits(anatomy))
        predictions = forward(inputs, on_features)
    return seen["features"], logits[-1] if logits else predictions, predictions


@contextlib.contextmanager
def _observed_logits(anatomy: Anatomy) -> Iterator[list[tf.Tensor]]:
    """Collects what the last activation is given, if there is one, in every forward pass inside the block."""
    seen: list[tf.Tensor] = []
    if anatomy.logit_layer is None:
        yield seen
        return
    has_activation = callable(getattr(anatomy.logit_layer, "activation", None))
    attribute = "activation" if has_activation else "call"
    with observing(anatomy.logit_layer, attribute, lambda args, _: seen.append(args[0])):
        yield seen


def class_log_probabilities(forward: Callable[[Any], tf.Tensor], anatomy: Anatomy, inputs: Any) -> tf.Tensor:
    """Log-probabilities from the logits, which probabilities rounded to 0 have lost.

    Args:
      forward: inputs -> predictions.
      anatomy: Of the classifier that `forward` calls.
      inputs: The image (B, H, W, C), or a dict with further inputs.

    Returns:
      (B, C) of softmax, float32 (float64 of float64); (B, 2 C) of C sigmoids: of each unit yes, then of each unit no.
    """
    with _observed_logits(anatomy) as seen:
        predictions = forward(inputs)
    logits = at_least_float32(seen[-1] if seen else predictions)
    if anatomy.output_activation == "sigmoid" or logits.shape[-1] == 1:
        return tf.concat([tf.math.log_sigmoid(logits), tf.math.log_sigmoid(-logits)], axis=-1)
    return tf.nn.log_softmax(logits)


def _to_grid(features: tf.Tensor, grid: TokenGrid | None) -> tf.Tensor:
    """Folds tokens (B, n, d) to (B, h, w, d); a map passes through."""
    if grid is None:
        return features
    tokens = features[:, grid.leading : grid.leading + grid.height * grid.width]
    return tf.reshape(tokens, (-1, grid.height, grid.width, features.shape[-1]))
