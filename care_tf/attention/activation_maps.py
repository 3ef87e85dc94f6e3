"""Class activation maps as pure functions of features and gradients.

Every function takes the attention layer's features A and the gradients G of the class score with respect to them,
and returns an unnormalized map. All are built from differentiable operations, so a loss on the map trains the
network. None applies a final ReLU: maps are min-max normalized afterwards (`normalize_map`), as in the CARE paper.
"""

from collections.abc import Callable

import tensorflow as tf

from care_tf.errors import InputError, did_you_mean
from care_tf.named_function import is_own, named_function

ActivationMap = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def gradcam(features: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """Grad-CAM without its ReLU, the map of the CARE paper.

    sigma_k = mean_ij G_ijk;  F_ij = sum_k sigma_k A_ijk

    Args:
      features: float (B, h, w, d), the attention layer's output A.
      gradients: float (B, h, w, d), G = dY^c / dA.

    Returns:
      float (B, h, w), unnormalized.

    Source: Zhuang et al. 2023, Eqs. 2-3; Selvaraju et al. 2017 (whose final ReLU is left out, as the paper does).
    """
    weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
    return tf.reduce_sum(weights * features, axis=-1)


def gradcam_plus_plus(features: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """Grad-CAM++: positive gradients weighted by their closed-form pixel weights.

    a_ijk = G^2 / (2 G^2 + (sum_ij A_ijk) G^3), 0 where the denominator is 0;
    sigma_k = sum_ij a_ijk relu(G_ijk);  F_ij = sum_k sigma_k A_ijk

    Args:
      features: float (B, h, w, d).
      gradients: float (B, h, w, d).

    Returns:
      float (B, h, w), unnormalized.

    Source: Chattopadhyay et al. 2018, Eqs. 10-11 and 19, for a score that enters through exp. Final ReLU left out.
    """
    total = tf.reduce_sum(features, axis=(1, 2), keepdims=True)
    # G^2 cancels: with it a float32 gradient of 1e-20 would give 0/0 although its weight is 1/2.
    pixel_weights = _divide_or_zero(tf.ones_like(gradients), 2.0 + total * gradients)
    pixel_weights = tf.where(gradients > 0, pixel_weights, tf.zeros_like(pixel_weights))
    weights = tf.reduce_sum(pixel_weights * tf.nn.relu(gradients), axis=(1, 2), keepdims=True)
    return tf.reduce_sum(weights * features, axis=-1)


def hirescam(features: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """HiResCAM: gradients times features, without averaging the gradients over the map.

    F_ij = sum_k G_ijk A_ijk

    Args:
      features: float (B, h, w, d).
      gradients: float (B, h, w, d).

    Returns:
      float (B, h, w), unnormalized; equal to Grad-CAM when the gradients are constant over the map.

    Source: Draelos & Carin 2020, Eq. 6. Final ReLU left out.
    """
    return tf.reduce_sum(gradients * features, axis=-1)


def layercam(features: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """LayerCAM: positive gradients times features at every position.

    F_ij = sum_k relu(G_ijk) A_ijk

    Args:
      features: float (B, h, w, d).
      gradients: float (B, h, w, d).

    Returns:
      float (B, h, w), unnormalized.

    Source: Jiang et al. 2021, Eqs. 5-7. Final ReLU left out (it changes nothing where A >= 0).
    """
    return tf.reduce_sum(tf.nn.relu(gradients) * features, axis=-1)


def xgradcam(features: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """XGrad-CAM: gradients averaged with the features as weights.

    sigma_k = sum_ij G_ijk A_ijk / sum_ij A_ijk, 0 where the channel is silent;  F_ij = sum_k sigma_k A_ijk

    Args:
      features: float (B, h, w, d).
      gradients: float (B, h, w, d).

    Returns:
      float (B, h, w), unnormalized.

    Source: Fu et al. 2020, Eq. 7. Final ReLU left out.
    """
    total = tf.reduce_sum(features, axis=(1, 2), keepdims=True)
    weights = _divide_or_zero(tf.reduce_sum(gradients * features, axis=(1, 2), keepdims=True), total)
    return tf.reduce_sum(weights * features, axis=-1)


ACTIVATION_MAPS: dict[str, ActivationMap] = {
    "gradcam": gradcam,
    "gradcam++": gradcam_plus_plus,
    "hirescam": hirescam,
    "layercam": layercam,
    "xgradcam": xgradcam,
}
"""Name -> activation-map method: (features, gradients) (B,h,w,d) -> (B,h,w)."""


def get_activation_map(identifier: str | ActivationMap) -> ActivationMap:
    """Looks an activation-map method up by name; a function passes through.

    Args:
      identifier: One of "gradcam", "gradcam++", "hirescam", "layercam", "xgradcam", or a differentiable function
        (features (B, h, w, d), gradients (B, h, w, d)) -> (B, h, w), also by its name, "module:function".

    Returns:
      The function.

    Raises:
      InputError: The name is unknown, or the function cannot be imported.
    """
    if callable(identifier):
        return identifier
    if is_own(identifier):
        return named_function(identifier, "activation map")[1]
    if identifier not in ACTIVATION_MAPS:
        raise InputError(
            f"The argument cam must be one of {', '.join(sorted(ACTIVATION_MAPS))}, or a function of (features, "
            f"gradients), also as module:function. Received {identifier!r}.{did_you_mean(identifier, ACTIVATION_MAPS)}"
        )
    return ACTIVATION_MAPS[identifier]


def _divide_or_zero(numerator: tf.Tensor, denominator: tf.Tensor) -> tf.Tensor:
    """numerator / denominator, exactly 0 with zero gradients of every order where the denominator is 0."""
    is_zero = tf.equal(denominator, 0)
    quotient = numerator / tf.where(is_zero, tf.ones_like(denominator), denominator)
    return tf.where(is_zero, tf.zeros_like(quotient), quotient)
