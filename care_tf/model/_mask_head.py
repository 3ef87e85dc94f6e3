"""A small decoder on a network's features that learns where the boxes are, and gives masks to images that have none."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from care_tf import keras_generation
from care_tf.errors import InputError
from care_tf.losses.arguments import checked_number, checked_whole

_FLAT = 1e-6  # of a mean square: a map of zeros stays one, with a finite gradient


def unit_features(features: tf.Tensor) -> tf.Tensor:
    """Features divided by their root mean square over each image, because networks give features of any size.

    Args:
      features: float (B, h, w, d).

    Returns:
      (B, h, w, d); what is brighter than the rest of its image stays so.
    """
    mean_square = tf.reduce_mean(features**2, axis=(1, 2, 3), keepdims=True)
    return features * tf.math.rsqrt(mean_square + tf.cast(_FLAT, features.dtype))


def repeat_border(values: tf.Tensor) -> tf.Tensor:
    """(B, h, w, c) -> (B, h + 2, w + 2, c), the outermost cells once more; `tf.pad` has no gradient for no image."""
    rows = tf.concat([values[:, :1], values, values[:, -1:]], axis=1)
    return tf.concat([rows[:, :, :1], rows, rows[:, :, -1:]], axis=2)


def with_gradient_share(values: tf.Tensor, share: float) -> tf.Tensor:
    """The same values, bit for bit, with a share of their gradient; none for 0."""
    constant = tf.stop_gradient(values)
    return constant if share == 0.0 else constant + share * (values - constant)


def predicted_region(probabilities: tf.Tensor) -> tf.Tensor:
    """1 where a probability is above 1/2, else 0: float32, without gradient. Exactly 1/2 says nothing, and gives 0."""
    return tf.cast(tf.stop_gradient(probabilities) > 0.5, tf.float32)


def mask_of_region(region: tf.Tensor) -> tf.Tensor:
    """A region as an image's mask; one that covers the whole image says nothing about where to look, and becomes empty.

    Args:
      region: float (B, H, W) of 0 and 1.

    Returns:
      (B, H, W): the same, or all zeros.
    """
    is_whole = tf.reduce_all(region > 0, axis=(1, 2), keepdims=True)
    return tf.where(is_whole, tf.zeros_like(region), region)


def dice_coefficient(mask: tf.Tensor, region: tf.Tensor) -> tf.Tensor:
    """The overlap of each region with its mask: 2 sum(M R) / (sum(M) + sum(R)).

    Args:
      mask: float (B, H, W) in [0, 1].
      region: float (B, H, W) of 0 and 1.

    Returns:
      (B,) in [0, 1]; 0 where both are empty.

    Source: L. R. Dice, Ecology 26, 1945.
    """
    overlap, total = (tf.reduce_sum(values, axis=(1, 2)) for values in (mask * region, mask + region))
    return tf.math.divide_no_nan(2.0 * overlap, total)


@keras_generation.register
class MaskHead(keras.layers.Layer):
    """Learns masks with the network, from the images that have one, for those images of some classes that have none.

    p = sigmoid(conv1x1(relu(conv3x3(relu(conv1x1(A / rms A))))))

    A is the (last) attention layer's feature map, p has its size, and the 3 x 3 windows repeat the border.
    `CAREModel(mask_head=MaskHead(classes=[5]))` adds `weight` L_m to the objective, L_m the mean Dice loss of p,
    resized to the image, over the images of the batch with a mask of their own. After `warm_up_steps` steps, p > 1/2 is
    the mask of every training image of `classes` that has none, unless it is empty or covers the whole image; before
    the first image with a mask of its own it is empty. No gradient passes through such a mask. The head knows no
    classes: one map for all.

    It is the training's alone: the classifier, what is saved or exported of it, and evaluation are as without a head.

    Args:
      classes: The classes, as labels, whose images without a mask get one.
      width: Channels between the convolutions, >= 1.
      weight: Weight of L_m in the objective, > 0.
      backbone_weight: Share of L_m's gradient that passes into the network below the attention layer, in [0, 1]: 0
        leaves the network to the other losses, and with alpha = 0 its weights are those without a head.
      warm_up_steps: Training steps before the head's masks are used, >= 1. All steps count, so that masks are used for
        as long where few images have one of their own as where many do.
      **kwargs: As of a Keras layer: `name`, `dtype`. It computes in float32 whatever the policy (float64 stays).

    Raises:
      InputError: An argument is out of range.

    Source: Zhuang et al. 2023, section 5, name it as future work and give no design: all of it is ours. The Dice loss
      is `care_tf.losses.dice_loss`.
    """

    def __init__(
        self,
        classes: Sequence[int],
        width: int = 32,
        weight: float = 1.0,
        backbone_weight: float = 0.1,
        warm_up_steps: int = 100,
        **kwargs: Any,
    ):
        is_float64 = keras.mixed_precision.global_policy().compute_dtype == "float64"
        kwargs.setdefault("dtype", "float64" if is_float64 else "float32")
        super().__init__(**kwargs)
        self.classes = _checked_classes(classes)
        self.width = checked_whole("width", width, 1)
        self.weight = checked_number("weight", weight, is_open=True)
        self.backbone_weight = _checked_share("backbone_weight", backbone_weight)
        self.warm_up_steps = checked_whole("warm_up_steps", warm_up_steps, 1)
        convolution, dtype = keras.layers.Conv2D, kwargs["dtype"]
        self.reduce = convolution(width, 1, activation="relu", name="reduce", dtype=dtype)
        self.look = convolution(width, 3, activation="relu", name="look", dtype=dtype)
        # Zeros: a head that was never trained gives 1/2 everywhere, which is no mask.
        self.score = convolution(1, 1, kernel_initializer="zeros", name="score", dtype=dtype)

    def build(self, input_shape: Any) -> None:
        """Makes the weights for features (None, h, w, d), and the counter of steps."""
        for layer, channels in ((self.reduce, input_shape[-1]), (self.look, self.width), (self.score, self.width)):
            with tf.name_scope(f"{self.name}/{layer.name}"):  # Keras 2 takes the names of weights from it
                layer.build((None, None, None, channels))
        self._trained_steps = keras_generation.add_counter(self, "trained_steps")
        self.built = True

    @property
    def trained_steps(self) -> tf.Tensor:
        """int64 scalar: the training steps so far."""
        return tf.convert_to_tensor(self._trained_steps)

    @property
    def is_ready(self) -> tf.Tensor:
        """bool scalar: whether the warm-up is over."""
        return self.trained_steps >= self.warm_up_steps

    def count_step(self) -> None:
        """Counts a training step."""
        self._trained_steps.assign(self.trained_steps + 1)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Features (B, h, w, d) -> probabilities (B, h, w)."""
        # Not padded with zeros, which tell where the border is: lesions are centered, and it would learn the center.
        return tf.sigmoid(self.score(self.look(repeat_border(self.reduce(unit_features(features)))))[..., 0])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("width", "weight", "backbone_weight", "warm_up_steps")
        own = {"classes": list(self.classes), **{name: getattr(self, name) for name in names}}
        return {**super().get_config(), **own}


def _checked_share(name: str, value: Any) -> float:
    share = checked_number(name, value)
    if share > 1.0:
        raise InputError(f"{name} is a share of a gradient and must lie in [0, 1]. Received {name}={value!r}.")
    return share


def _checked_classes(classes: Any) -> tuple[int, ...]:
    given = tuple(classes) if isinstance(classes, Sequence) and not isinstance(classes, str) else ()
    if not given or not all(_is_label(each) for each in given):
        raise InputError(
            "classes must list the labels whose images get masks, whole numbers from 0 on. Received "
            f"classes={classes!r}. Give the position of each class in the list of classes, such as classes=[5]."
        )
    return tuple(map(int, given))


def _is_label(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 0)
