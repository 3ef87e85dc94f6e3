"""Random augmentation of a batch: one geometric transform and one color transform per image, masks moved along."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from care_tf.errors import InputError

# Luma and two chroma axes (YIQ): hue turns the chroma plane and leaves the luma alone.
_LUMA = (0.299, 0.587, 0.114)
_RGB_TO_YIQ = (_LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
_NUM_DRAWS = 7


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How far images may be changed; every draw is uniform. 0 and False switch a part off.

    Args:
      rotation_degrees: Rotation about the center, -d to d degrees; 0..180.
      horizontal_flip: Mirrors left and right with probability 1/2.
      vertical_flip: Mirrors top and bottom with probability 1/2.
      brightness: Added to all channels, as a fraction of the full range, -b to b; 0..1.
      contrast: Factor on the distance to the image's mean luma, 1 - c to 1 + c; 0..1.
      saturation: Factor on the distance to the pixel's luma, 1 - s to 1 + s; 0..1.
      hue: Turn of the chroma, as a fraction of a full circle, -h to h; 0..0.5.
      classes: Names of the classes whose images are changed; None changes those of all.

    Raises:
      InputError: A value is outside its range, or `classes` is no list of names.

    Source: Zhuang et al. 2023 name rotation, flip and color jitter; the strengths are not given there.
    """

    rotation_degrees: float = 180.0
    horizontal_flip: bool = True
    vertical_flip: bool = True
    brightness: float = 0.1
    contrast: float = 0.1
    saturation: float = 0.1
    hue: float = 0.02
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        limits = {"rotation_degrees": 180.0, "brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5}
        for name, limit in limits.items():
            value = getattr(self, name)
            if not 0 <= value <= limit:
                raise InputError(f"Augmentation {name} must be between 0 and {limit:g}. Received {value}.")
        if self.classes is None:
            return
        is_list = isinstance(self.classes, (list, tuple))
        if not is_list or not self.classes or not all(isinstance(name, str) for name in self.classes):
            raise InputError(
                "Augmentation classes must be a list of one or more class names, or None for all. "
                f"Received {self.classes!r}."
            )
        object.__setattr__(self, "classes", tuple(self.classes))

    @property
    def moves(self) -> bool:
        """Whether pixels change places."""
        return self.rotation_degrees > 0 or self.horizontal_flip or self.vertical_flip

    @property
    def recolors(self) -> bool:
        """Whether colors change."""
        return max(self.brightness, self.contrast, self.saturation, self.hue) > 0

    @property
    def only_flips(self) -> bool:
        """Whether nothing but flips is switched on, so that `flip_signs` says all; also where nothing is."""
        return self.rotation_degrees == 0 and not self.recolors


def augmented_classes(class_names: Sequence[str], augmentation: Augmentation) -> np.ndarray | None:
    """Which labels belong to images that are augmented.

    Args:
      class_names: C names, in the order of the labels.
      augmentation: Its `classes` are looked up.

    Returns:
      bool (C,), or None where all are.

    Raises:
      InputError: `augmentation.classes` has a name that is not in `class_names`.
    """
    if augmentation.classes is None:
        return None
    unknown = sorted(set(augmentation.classes) - set(class_names))
    if unknown:
        raise InputError(
            f"Augmentation classes names {', '.join(unknown)}, which the manifest does not have. "
            f"Classes: {', '.join(class_names)}."
        )
    chosen = np.array([name in augmentation.classes for name in class_names])
    return None if chosen.all() else chosen


@tf.autograph.experimental.do_not_convert
def augment_batch(
    images: tf.Tensor,
    masks: tf.Tensor | None,
    seeds: tf.Tensor,
    augmentation: Augmentation,
    chosen: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Augments every image, and its mask with the same geometry.

    What happens to an image depends on its own seed only, not on the batch it is in. A mask that was not empty
    stays so unless it leaves the frame.

    Args:
      images: float32 (B,H,W,3) RGB, 0..255.
      masks: float32 (B,H,W,1) in {0, 1}, or None.
      seeds: int32 or int64 (B,2), one per image.
      augmentation: What to draw from; its `classes` are not looked at, as there are no labels here.
      chosen: bool (B,), which images to augment; the others and their masks come back as they are. None: all.

    Returns:
      Images float32 (B,H,W,3), 0..255, and masks float32 (B,H,W,1) in {0, 1} or None.
    """
    if not (augmentation.moves or augmentation.recolors):
        return images, masks
    if chosen is not None:  # costs as much as the images that are augmented
        rows = tf.where(chosen)
        own_masks = None if masks is None else tf.gather_nd(masks, rows)
        own = augment_batch(tf.gather_nd(images, rows), own_masks, tf.gather_nd(seeds, rows), augmentation)
        images = tf.tensor_scatter_nd_update(images, rows, own[0])
        return images, None if masks is None else tf.tensor_scatter_nd_update(masks, rows, own[1])
    draws = _draws_of_batch(seeds)
    if augmentation.moves and augmentation.rotation_degrees == 0:
        signs = _flips(draws, augmentation)
        images, masks = _flipped(images, signs), None if masks is None else _flipped(masks, signs)
    elif augmentation.moves:
        transforms = _geometric_transforms(draws, augmentation, tf.shape(images)[1], tf.shape(images)[2])
        images = _warp(images, transforms)
        masks = None if masks is None else _warp_masks(masks, transforms)
    if augmentation.recolors:
        images = _recolor(images, draws, augmentation)
    return images, masks


def flip_signs(seeds: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """The flips that `augment_batch` gives the images with these seeds.

    Args:
      seeds: int32 or int64 (B,2), one per image.
      augmentation: Which flips to draw.

    Returns:
      float32 (B,2), x and y: -1 mirrors left and right, or top and bottom; 1 does not.
    """
    return _flips(_draws_of_batch(seeds), augmentation)


def _draws_of_batch(seeds: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(_draws, seeds, fn_output_signature=tf.TensorSpec((_NUM_DRAWS,), tf.float32))


def _draws(seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_uniform((_NUM_DRAWS,), seed, minval=-1.0, maxval=1.0, alg="philox")


def _geometric_transforms(
    draws: tf.Tensor, augmentation: Augmentation, height: tf.Tensor, width: tf.Tensor
) -> tf.Tensor:
    """Projective transforms (B,8) from output to input pixel positions: flips, then a rotation about the center."""
    angle = draws[:, 0] * math.radians(augmentation.rotation_degrees)
    flip_x, flip_y = tf.unstack(_flips(draws, augmentation), axis=1)
    a, b = flip_x * tf.cos(angle), -flip_x * tf.sin(angle)
    c, d = flip_y * tf.sin(angle), flip_y * tf.cos(angle)
    # Pixel centers have whole positions here, so that the frame's center is at half of the last one.
    center_x, center_y = (tf.cast(width, tf.float32) - 1) / 2, (tf.cast(height, tf.float32) - 1) / 2
    shift_x = center_x - a * center_x - b * center_y
    shift_y = center_y - c * center_x - d * center_y
    zeros = tf.zeros_like(angle)
    return tf.stack([a, b, shift_x, c, d, shift_y, zeros, zeros], axis=1)


def _flips(draws: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    flip_x = _sign(draws[:, 1], augmentation.horizontal_flip)
    return tf.stack([flip_x, _sign(draws[:, 2], augmentation.vertical_flip)], axis=1)


def _sign(draw: tf.Tensor, may_flip: bool) -> tf.Tensor:
    return tf.where(draw < 0, -1.0, 1.0) if may_flip else tf.ones_like(draw)


def _flipped(pixels: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """(B,H,W,C) mirrored where the signs (B,2), x and y, are -1.

    What warping gives, bit for bit, in a quarter of its time; `tf.reverse` and `tf.where` would take three quarters.
    """
    height, width = tf.shape(pixels)[1], tf.shape(pixels)[2]
    rows, columns = tf.range(height), tf.range(width)
    rows = tf.where(signs[:, 1:] < 0, height - 1 - rows, rows)
    columns = tf.where(signs[:, :1] < 0, width - 1 - columns, columns)
    first = tf.range(tf.shape(pixels)[0])[:, tf.newaxis] * height
    places = ((first + rows) * width)[:, :, tf.newaxis] + columns[:, tf.newaxis]
    return tf.ensure_shape(tf.gather(tf.reshape(pixels, (-1, pixels.shape[3])), places), pixels.shape)


def _warp(images: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    """Bilinear; outside the frame the picture is mirrored, for image and mask alike (decision record 0003)."""
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    return tf.ensure_shape(warped, images.shape)


def _warp_masks(masks: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    """Warps the masks that are not empty: with boxes on a rare class only, a few of a batch."""
    chosen = tf.where(tf.reduce_any(masks > 0, axis=(1, 2, 3)))
    # Bytes warp a quarter faster than floats.
    warped = _warp(tf.cast(tf.gather_nd(masks, chosen), tf.uint8) * 255, tf.gather_nd(transforms, chosen))
    return tf.tensor_scatter_nd_update(masks, chosen, tf.cast(_is_set(warped), tf.float32))


def _is_set(warped: tf.Tensor) -> tf.Tensor:
    """At least half, or the maximum where that is lower: a mask of one pixel, spread over four, must not vanish."""
    level = tf.minimum(tf.reduce_max(warped, axis=(1, 2, 3), keepdims=True), 128)
    return (warped > 0) & (warped >= level)


def _recolor(images: tf.Tensor, draws: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """All four color changes are affine in RGB: x -> contrast * C x + (1 - contrast) * mean luma + brightness.

    C = YIQ^-1 diag(1, saturation * turn by hue) YIQ keeps the luma, so the mean luma before and after it agree.
    """
    brightness = draws[:, 3] * augmentation.brightness * 255.0
    contrast = 1 + draws[:, 4] * augmentation.contrast
    saturation = 1 + draws[:, 5] * augmentation.saturation
    angle = draws[:, 6] * (augmentation.hue * 2 * math.pi)
    cos, sin, zeros = saturation * tf.cos(angle), saturation * tf.sin(angle), tf.zeros_like(angle)
    turns = tf.stack([zeros + 1, zeros, zeros, zeros, cos, -sin, zeros, sin, cos], axis=1)
    to_yiq = tf.constant(_RGB_TO_YIQ)
    matrices = tf.linalg.inv(to_yiq) @ tf.reshape(turns, (-1, 3, 3)) @ to_yiq * contrast[:, None, None]
    mean_luma = tf.reduce_sum(tf.reduce_mean(images, axis=(1, 2)) * _LUMA, axis=1)
    offsets = (1 - contrast) * mean_luma + brightness
    recolored = tf.einsum("bhwc,bdc->bhwd", images, matrices) + offsets[:, None, None, None]
    return tf.clip_by_value(recolored, 0.0, 255.0)
