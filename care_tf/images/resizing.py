"""How an image of any shape gets the size that a network takes: stretched to it, or padded, its proportions kept."""

from typing import Any, NamedTuple

import tensorflow as tf

from care_tf.images.resize_choice import STRETCH


class Placement(NamedTuple):
    """Where an image lies in the frame of the network's size, px: int32 scalars; ints where it fills the frame."""

    top: Any
    left: Any
    height: Any
    width: Any

    @property
    def size(self) -> tuple[Any, Any]:
        """Height and width of the image in the frame."""
        return self.height, self.width


def placement(original_size: tf.Tensor, image_size: tuple[int, int], resize: str) -> Placement:
    """Where images of a size lie in the frame.

    "stretch" fills it. "pad" scales the image until one side fits, the other rounded to whole pixels, in the middle of
    the frame; of an odd number of pixels left over, one more lies below or to the right.

    Args:
      original_size: int32 (2,), height and width, px.
      image_size: Height and width of the frame, px.
      resize: "stretch" or "pad".

    Returns:
      The place.
    """
    frame_height, frame_width = image_size
    if resize == STRETCH:
        return Placement(0, 0, frame_height, frame_width)
    original_height, original_width = original_size[0], original_size[1]
    height = tf.minimum(frame_height, _rounded_quotient(original_height * frame_width, original_width))
    width = tf.minimum(frame_width, _rounded_quotient(original_width * frame_height, original_height))
    return Placement((frame_height - height) // 2, (frame_width - width) // 2, height, width)


def resize_images(images: tf.Tensor, image_size: tuple[int, int], resize: str = STRETCH) -> tf.Tensor:
    """How every image gets the size of training: bilinear with antialiasing, rounded; what is padded is black.

    Args:
      images: (B,h,w,3) or (h,w,3) RGB, 0..255.
      image_size: Height and width to resize to, px.
      resize: "stretch" or "pad", as of `placement`.

    Returns:
      float32 (B,H,W,3) or (H,W,3), whole numbers 0..255.
    """
    place = placement(tf.shape(images)[-3:-1], image_size, resize)
    resized = antialiased(images, place.size)
    return padded(tf.clip_by_value(tf.round(resized), 0.0, 255.0), place, image_size)


def antialiased(images: tf.Tensor, size: tuple[Any, Any]) -> tf.Tensor:
    """`tf.image.resize(images, size, antialias=True)`, bit for bit, in half its time.

    TensorFlow's kernel weights the rows and then the columns, each tap with a loop over the channels. Where a whole row
    of pixels stands in place of three channels, that loop is a long one, which the processor vectorizes.

    Args:
      images: (B,h,w,c) or (h,w,c), any real dtype; c is known.
      size: Height and width, px.

    Returns:
      float32 (B, *size, c) or (*size, c).
    """
    images = tf.convert_to_tensor(images)
    if images.shape.rank == 3:
        return antialiased(images[tf.newaxis], size)[0]
    shape, channels = tf.shape(images), images.shape[-1]
    (height, width), count = size, shape[0]
    rows = tf.reshape(images, (count, shape[1], 1, shape[2] * channels))
    rows = tf.image.resize(rows, (height, 1), method="bilinear", antialias=True)
    columns = tf.transpose(tf.reshape(rows, (count, height, shape[2], channels)), (0, 2, 1, 3))
    columns = tf.reshape(columns, (count, shape[2], 1, height * channels))
    columns = tf.image.resize(columns, (width, 1), method="bilinear", antialias=True)
    return tf.transpose(tf.reshape(columns, (count, width, height, channels)), (0, 2, 1, 3))


def padded(images: tf.Tensor, place: Placement, image_size: tuple[int, int]) -> tf.Tensor:
    """Images (..., h, w, c) that have their size in the frame, at their place, with zeros around: (..., H, W, c)."""
    if isinstance(place.top, int):
        return images
    framed = tf.image.pad_to_bounding_box(images, place.top, place.left, *image_size)
    return tf.ensure_shape(framed, (*images.shape[:-3], *image_size, images.shape[-1]))


def map_of_image(maps: tf.Tensor, original_size: Any, image_size: tuple[int, int], resize: str, size: Any) -> tf.Tensor:
    """Maps of a network's frame as maps of the whole image: what lies beside a padded image is cut off.

    Args:
      maps: float (B,h,w), of the frame at any resolution.
      original_size: int32 (2,), height and width of the images, which have one size, px.
      image_size: Height and width of the frame, px.
      resize: How the images were resized.
      size: Height and width of the result, px.

    Returns:
      float32 (B, *size), bilinear.
    """
    maps = maps[..., tf.newaxis]
    if resize != STRETCH:
        place = placement(original_size, image_size, resize)
        framed = tf.image.resize(maps, image_size, method="bilinear")
        maps = tf.slice(framed, [0, place.top, place.left, 0], [-1, place.height, place.width, -1])
    return tf.image.resize(maps, size, method="bilinear")[..., 0]


def _rounded_quotient(dividend: tf.Tensor, divisor: tf.Tensor) -> tf.Tensor:
    """The nearest whole number, at least 1; halves upward."""
    return tf.maximum((2 * dividend + divisor) // (2 * divisor), 1)
