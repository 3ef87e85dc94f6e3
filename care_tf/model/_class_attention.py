"""Predictions and the attention maps of a class, in one forward pass of an unchanged classifier."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from care_tf.attention.activation_maps import ActivationMap
from care_tf.network.anatomy import Anatomy
from care_tf.network.attention_place import AttentionPlace, TokenGrid
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
      maps: (B, h, w) at each place, not normalized, float32 (float64 for float64 features).
      features: (B, h, w, d), what the last map is made of, of the same dtype.
    """

    predictions: tf.Tensor
    maps: tuple[tf.Tensor, ...]
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


def predict_with_maps(
    forward: Forward,
    anatomy: Anatomy,
    places: Sequence[AttentionPlace],
    inputs: Any,
    class_index: tf.Tensor | None,
    cam: ActivationMap,
    second_order: bool = True,
) -> MappedPredictions:
    """One forward pass, and the activation maps of one class per image.

    Args:
      forward: (inputs, on_features) -> predictions. It calls `on_features` with the features of an explicit features
        model; otherwise the attention layer's output is observed.
      anatomy: Of the classifier that `forward` calls.
      places: Those of the anatomy that maps are made at, in the network's order.
      inputs: The image (B, H, W, C), or a dict with further inputs.
      class_index: int (B,); None takes the predicted class.
      cam: Activation-map method.
      second_order: False treats the gradients inside a map (sigma_k) as constants when the map is differentiated.

    Source: Zhuang et al. 2023, Eqs. 2-3.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        features, logits, predictions = _observed_forward(forward, anatomy, places, inputs, tape)
        if class_index is None:
            class_index = predicted_class(logits)
        scale = HALF_PRECISION_SCALE if any(each.dtype == tf.float16 for each in features) else 1.0
        scores = class_scores(logits, class_index) * tf.cast(scale, logits.dtype)
    # In closed form where a place has one; for all others together in one backward pass.
    of_tape = [each for place, each in zip(places, features, strict=True) if place.pooled_dense is None]
    slopes = iter(tape.gradient(scores, of_tape) if of_tape else ())
    maps = []
    for place, each in zip(places, features, strict=True):
        if place.pooled_dense is None:
            gradients = at_least_float32(next(slopes)) / scale
        else:
            gradients = pooled_dense_gradients(each, place.pooled_dense.kernel, class_index)
        grid = _to_grid(at_least_float32(each), place.grid)
        maps.append(cam(grid, _to_grid(gradients if second_order else tf.stop_gradient(gradients), place.grid)))
    return MappedPredictions(predictions, tuple(maps), grid)


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


def _observed_forward(forward, anatomy, places, inputs, tape) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
    """Runs `forward` once, taking the features of each place and the logits out of the layers' own calls."""
    seen: dict[int, tf.Tensor] = {}

    def keep(number: int, features: tf.Tensor) -> None:
        # Watched from here on only: the tape records what follows the first map, never the whole backbone.
        if places[number].pooled_dense is None:
            tape.watch(features)
        seen[number] = features

    with contextlib.ExitStack() as stack:
        for number, place in enumerate(places):
            stack.enter_context(_observed_features(place, functools.partial(keep, number)))
        logits = stack.enter_context(_observed_logits(anatomy))
        predictions = forward(inputs, functools.partial(keep, 0))
    return [seen[number] for number in range(len(places))], logits[-1] if logits else predictions, predictions


def _observed_features(
    place: AttentionPlace, on_features: Callable[[tf.Tensor], None]
) -> contextlib.AbstractContextManager[None]:
    """Hands on the features of a place when its layer is called; an explicit features model hands them on itself."""
    if place.attention_layer is None:
        return contextlib.nullcontext()
    if place.attention_side == "output":
        return observing(place.attention_layer, "call", lambda _, result: on_features(result))
    return observing(place.attention_layer, "call", before=lambda args: on_features(args[0]))


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
