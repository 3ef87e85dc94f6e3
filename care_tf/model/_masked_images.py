"""The masked images of a batch, which pass the network once more where a loss asks for it."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.losses.outside_loss import OutsideLoss
from care_tf.model._batches import ImageBatch
from care_tf.network_input import further_of, image_of
from care_tf.precision import at_least_float32
from care_tf.replicas import gathered, number_of_replicas


def check_images(loss: OutsideLoss, batch: ImageBatch, image: tf.Tensor, jit_compile: Any) -> None:
    """Refuses what cannot be changed outside a mask, and a step compiled by XLA.

    Raises:
      InputError: There are activations in place of images, or whole numbers; or `jit_compile` is True.
    """
    if batch.is_activation:
        received = "activations of a frozen lower part. Leave caching out (cache_activations=false)"
    elif not image.dtype.is_floating:
        received = f"{image.dtype.name}. Cast the images to float32 in the dataset, and let the network take floats"
    elif jit_compile is True:  # how many images have a mask is not known when XLA compiles
        received = "jit_compile=True, which needs a number of images that is always the same. Set jit_compile=False"
    else:
        return
    raise InputError(
        f"{type(loss).__name__} passes images of floats once more, those with a mask. Received {received}."
    )


def outside_losses(
    loss: OutsideLoss,
    log_probabilities: Callable[[Any], tf.Tensor],
    inputs: Any,
    mask: tf.Tensor,
    has_mask: tf.Tensor,
    step: tf.Tensor,
) -> Callable[[], tf.Tensor]:
    """What computes L_i of every image of a batch, of which only those with a mask are passed.

    Args:
      loss: The loss.
      log_probabilities: The network: inputs -> (n, K).
      inputs: The image (B, H, W, C), or a dict with further inputs.
      mask: float32 (B, H, W).
      has_mask: bool (B,).
      step: int scalar, the number of the training step, for what is drawn.

    Returns:
      A function that returns (B,), exactly 0 without a mask. Replicas talk to each other here and not in it, so that it
      may be a branch of a condition.
    """
    image = at_least_float32(image_of(inputs))
    scale, seed = channel_scale(image), tf.stack([_replica(), tf.cast(step, tf.int32)])

    def compute() -> tf.Tensor:
        rows = tf.where(has_mask)[:, 0]
        taken = tf.nest.map_structure(lambda each: _rows_of(each, rows), further_of(inputs))

        def of_images(images: tf.Tensor) -> tf.Tensor:
            return log_probabilities({"image": images, **taken} if taken else images)

        losses = loss.per_image(of_images, _rows_of(image, rows), _rows_of(mask, rows), scale, seed)
        return tf.scatter_nd(rows[:, tf.newaxis], losses[: tf.size(rows)], tf.cast(tf.shape(has_mask), rows.dtype))

    return compute


def _rows_of(values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Some rows of a batch; of none, one of zeros: TensorFlow's fused convolutions fail on an empty batch on CPUs."""
    missing = tf.cast(tf.size(rows) == 0, tf.int32)
    shape = tf.concat([[missing], tf.shape(values)[1:]], axis=0)
    return tf.concat([tf.gather(values, rows), tf.zeros(shape, values.dtype)], axis=0)


def channel_scale(images: tf.Tensor) -> tf.Tensor:
    """The standard deviation of each channel over a batch of all replicas, float (C,).

    Args:
      images: float (B, H, W, C), this replica's.
    """
    moments = gathered((tf.reduce_mean(images, axis=(1, 2)), tf.reduce_mean(images**2, axis=(1, 2))))
    mean, square = (tf.reduce_mean(each, axis=0) for each in moments)
    return tf.sqrt(tf.maximum(square - mean**2, 0.0))


def _replica() -> tf.Tensor:
    """The number of this replica, each of which draws for itself."""
    context = tf.distribute.get_replica_context()
    if context is None or number_of_replicas() == 1:
        return tf.constant(0)
    return tf.cast(context.replica_id_in_sync_group, tf.int32)
