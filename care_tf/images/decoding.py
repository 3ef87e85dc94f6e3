"""Encoded images and masks to arrays of the training size, in TensorFlow operations only: they can be served.

Nothing here needs AutoGraph, whose conversion would take most of the time that tracing a data set does.
"""

import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.file_in_memory import open_file, read_ends
from care_tf.file_work import map_files
from care_tf.images._exif import jpeg_orientation
from care_tf.images.bit_depth import HEAD_BYTES, gray_of_16_bits, is_16_bit_png, warn_if_dark
from care_tf.images.outside_boxes import cropped
from care_tf.images.resize_choice import STRETCH
from care_tf.images.resizing import Placement, padded, resize_images

_HEAD_OF_16_BITS = r"\CPNG\r\n\x1a\n\C{16}\x10\C"  # `is_16_bit_png`, in the graph


@tf.autograph.experimental.do_not_convert
def decode_image(
    contents: tf.Tensor,
    image_size: tuple[int, int],
    max_pixel_value: int | None = None,
    resize: str = STRETCH,
    name: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes, orients and resizes one image.

    JPEG and PNG; grayscale, palette and 16-bit become 8-bit RGB and an alpha channel is dropped. A JPEG's EXIF
    orientation is honored. Resizing is bilinear with antialiasing, and its result is rounded to whole numbers, so
    that an image kept as uint8 in a cache equals the one decoded again.

    Args:
      contents: Scalar string, the bytes of the file.
      image_size: Height and width to resize to, px.
      max_pixel_value: The number in a 16-bit PNG that is white, in [1, 65535], and what is above it, too; None takes
        the upper byte of its numbers. Other files are read as ever.
      resize: "stretch" or "pad", as of `resize_images`.
      name: Scalar string, what the error of a corrupt image calls it; None leaves TensorFlow's own.

    Returns:
      float32 (H,W,3) RGB, whole numbers 0..255, and int32 (2,): height and width before resizing, oriented.
    """
    if name is None:
        pixels = _pixels(contents, max_pixel_value)
    else:
        decode = functools.partial(_pixels, max_pixel_value=max_pixel_value)
        pixels = _decoded_or_named(decode, contents, name, tf.uint8 if max_pixel_value is None else tf.uint16, "image")
    pixels = tf.minimum(pixels, 255)
    return _orient_and_resize(pixels, contents, image_size, resize)


@tf.autograph.experimental.do_not_convert
def decode_image_named(
    contents: tf.Tensor,
    path: tf.Tensor,
    image_size: tuple[int, int],
    max_pixel_value: int | None = None,
    resize: str = STRETCH,
    region_of: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`decode_image` for data pipelines: the error of a corrupt image names the file.

    TensorFlow's own message names none. A one-element data set that swallows the error is the only way to notice a
    failed decode inside a graph; it costs a few percent of the decoding time.

    Args and Returns: as for `decode_image`, with the file's path, a scalar string, and `region_of`: int32 (2,), height
    and width -> the part of the oriented image that is resized and returned, as of `region_of_boxes`; None: all of it.
    Evaluating the result raises `tf.errors.InvalidArgumentError` for a corrupt image, and for one with numbers above
    `max_pixel_value`.
    """
    decode = functools.partial(_pixels, max_pixel_value=max_pixel_value)
    pixels = _decoded_or_named(decode, contents, path, tf.uint8 if max_pixel_value is None else tf.uint16, "image")
    if max_pixel_value is not None:
        message = f"this image has pixels above max_pixel_value, {max_pixel_value}; set it to the largest there can be"
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_max(pixels) <= 255, [message, path])]):
            pixels = tf.identity(pixels)
    return _orient_and_resize(pixels, contents, image_size, resize, region_of)


@tf.autograph.experimental.do_not_convert
def decode_mask_named(
    contents: tf.Tensor, path: tf.Tensor, image_size: tuple[int, int], place: Placement | None = None
) -> tf.Tensor:
    """Decodes one mask; its file may have another size than the image. The error of a corrupt mask names the file.

    A pixel is set when the mask is nonzero (in any channel, after applying a palette) at the pixel's center: for a
    mask of a box the same pixels as `rasterize_boxes`. A region that covers no center sets the one pixel that holds
    its centroid.

    Args:
      contents: Scalar string, the bytes of a PNG file with 1 to 16 bits per channel.
      path: Scalar string, for the message.
      image_size: Height and width of the result, px.
      place: Where its image lies in the result, with zeros around; None: all over.

    Returns:
      float32 (H,W,1) in {0, 1}. Evaluating it raises `tf.errors.InvalidArgumentError` for a corrupt mask.
    """
    pixels = _decoded_or_named(_mask_pixels, contents, path, tf.uint16, "mask")
    return resized_mask(pixels, image_size, place or Placement(0, 0, *image_size))


@tf.autograph.experimental.do_not_convert
def decode_mask_at(contents: tf.Tensor, path: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """`decode_mask_named` at a size that the graph alone knows, int32 (2,): float32 (h,w,1) in {0, 1}."""
    pixels = _decoded_or_named(_mask_pixels, contents, path, tf.uint16, "mask")
    return _resize_mask(pixels, (size[0], size[1]))


def resized_mask(mask: tf.Tensor, image_size: tuple[int, int], place: Placement) -> tf.Tensor:
    """A mask (h,w,c), above 0 inside, at its place in a frame, by the rule of `decode_mask_named`: float32 (H,W,1)."""
    return tf.ensure_shape(padded(_resize_mask(mask, place.size), place, image_size), (*image_size, 1))


def warn_of_dark_images(paths: Iterable[str]) -> None:
    """Warns where 16-bit PNGs among the files would be read nearly black: decodes those, and none of the others."""

    def largest(path: str) -> int | None:
        try:
            if not is_16_bit_png(read_ends(path, HEAD_BYTES, 0)[0]):
                return None
            with open_file(path) as file:
                return int(tf.reduce_max(_16_bit_numbers(file.read())))
        except (OSError, ValueError, tf.errors.InvalidArgumentError):
            return None  # whoever reads it says so better

    paths = [path for path in paths if path.lower().endswith(".png")]
    found = dict(zip(paths, map_files(largest, paths), strict=True))
    warn_if_dark({path: number for path, number in found.items() if isinstance(number, int)}, stacklevel=4)


def _pixels(contents: tf.Tensor, max_pixel_value: int | None = None) -> tf.Tensor:
    """uint8 (H,W,3); with `max_pixel_value` uint16, 256 where a number is above it."""
    if max_pixel_value is None:
        return _pixels_by_upper_byte(contents)
    head = tf.strings.substr(contents, 0, HEAD_BYTES)
    return tf.cond(
        tf.strings.regex_full_match(head, _HEAD_OF_16_BITS),
        lambda: tf.cast(tf.minimum(gray_of_16_bits(_16_bit_numbers(contents), max_pixel_value), 256), tf.uint16),
        lambda: tf.cast(_pixels_by_upper_byte(contents), tf.uint16),
    )


def _pixels_by_upper_byte(contents: tf.Tensor) -> tf.Tensor:
    # The operation reads PNG too, and unlike decode_image lets one choose the accurate transform: the same pixels as
    # Pillow and OpenCV, which the fast one misses by up to 7 levels.
    return tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE")


def _16_bit_numbers(contents: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_png(contents, channels=3, dtype=tf.uint16), tf.int32)


def _mask_pixels(contents: tf.Tensor) -> tf.Tensor:
    # 16 bits, because the 8-bit decoder drops the low byte, where a 16-bit mask with values 0 and 1 has its ones.
    return tf.io.decode_png(contents, channels=3, dtype=tf.uint16)


def _decoded_or_named(
    decode: Callable[[tf.Tensor], tf.Tensor], contents: tf.Tensor, path: tf.Tensor, dtype: tf.DType, kind: str
) -> tf.Tensor:
    """`decode(contents)`; where that fails, an empty array takes its place and an assertion names the file."""
    attempt = tf.data.Dataset.from_tensors(contents).map(decode).ignore_errors()
    failure = tf.data.Dataset.from_tensors(tf.zeros((0, 0, 3), dtype))
    pixels = attempt.concatenate(failure).take(1).get_single_element()
    message = f"this {kind} is corrupt or of another format; copy it again, or leave it out"
    with tf.control_dependencies([tf.debugging.Assert(tf.size(pixels) > 0, [message, path])]):
        return tf.identity(pixels)


def _orient_and_resize(
    image: tf.Tensor,
    contents: tf.Tensor,
    image_size: tuple[int, int],
    resize: str,
    region_of: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    orientation = jpeg_orientation(contents)
    image = tf.cond(tf.equal(orientation, 1), lambda: image, lambda: _transpose_and_flip(image, orientation))
    size = tf.shape(image)[:2]
    shown = image if region_of is None else cropped(image, region_of(size))
    return resize_images(shown, image_size, resize), size


def _resize_mask(pixels: tf.Tensor, size: tuple[Any, Any]) -> tf.Tensor:
    region = tf.reduce_any(pixels > 0, axis=-1, keepdims=True)
    resized = tf.image.resize(tf.cast(region, tf.uint8), size, method="nearest")
    covers_none = tf.reduce_any(region) & ~tf.reduce_any(resized > 0)
    resized = tf.cond(covers_none, lambda: _centroid_pixel(region[..., 0], size), lambda: resized)
    return tf.cast(resized, tf.float32)


def _transpose_and_flip(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Undoes an EXIF orientation 2..8: a transposition for 5 to 8, then flips."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    flip_columns = tf.reduce_any(tf.equal(orientation, [2, 3, 6, 7]))
    flip_rows = tf.reduce_any(tf.equal(orientation, [3, 4, 7, 8]))
    image = tf.cond(flip_columns, lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(flip_rows, lambda: tf.reverse(image, [0]), lambda: image)


def _centroid_pixel(region: tf.Tensor, size: tuple[Any, Any]) -> tf.Tensor:
    """bool (h,w) -> uint8 (H,W,1) with the one pixel set that holds the region's centroid."""
    scale = tf.cast(size, tf.float32) / tf.cast(tf.shape(region), tf.float32)
    centroid = (tf.reduce_mean(tf.cast(tf.where(region), tf.float32), axis=0) + 0.5) * scale
    pixel = tf.cast(tf.floor(centroid), tf.int32)
    return tf.tensor_scatter_nd_update(tf.zeros((*size, 1), tf.uint8), [pixel], tf.ones((1, 1), tf.uint8))


@contextlib.contextmanager
def corrupt_files_refused() -> Iterator[None]:
    """Turns the error of a bad file, raised inside a graph while its data set is read, into an `InputError`.

    Raises:
      InputError: The block met a corrupt image, mask or record of a shard, or an image above its `max_pixel_value`;
        names the file.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(r"assertion failed: \[(this (?:image|mask) [^]]*)\] \[(.*?)\]\n", str(error))
        if found is None:
            raise
        raise InputError(f"{found[2]}: {found[1]}.") from error
