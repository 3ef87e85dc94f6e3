"""What a request to an exported model may hold, in TensorFlow operations only; a bad image is named by its place."""

import tensorflow as tf

from care_tf.serving._served_size import MOST_PIXELS, MOST_SIDE_PX, SIZE_RULE

_JPEG, _PNG = b"\xff\xd8", r"\CPNG\r\n\x1a\n\C{16}\C*"  # \C: a byte; the first is no text


def finite_images(images: tf.Tensor) -> tf.Tensor:
    """float (B,h,w,c), as given; a NaN or an infinity, of which a ReLU makes 0, fails the request."""
    is_finite = tf.reduce_all(tf.math.is_finite(images), axis=(1, 2, 3))
    message = "images must hold finite numbers. Received NaN or infinity in the images"
    places = tf.where(~is_finite)[:, 0]
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(is_finite), [message, places])]):
        return tf.identity(images)


def small_jpeg_or_png(contents: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
    """Scalar string, as given; what is no JPEG or PNG, or states a larger size than is decoded, fails the request."""
    is_png = tf.strings.regex_full_match(contents, _PNG)
    is_known = is_png | tf.equal(tf.strings.substr(contents, 0, 2), _JPEG)
    message = "image_bytes must be JPEG or PNG files. Received another in"
    with tf.control_dependencies([tf.debugging.Assert(is_known, [message, name])]):
        sides = tf.cond(is_png, lambda: _png_sides(contents), lambda: tf.image.extract_jpeg_shape(contents)[:2])
    num_pixels = tf.reduce_prod(tf.cast(sides, tf.int64))
    message = f"images must have {SIZE_RULE}. Received, in"
    is_small = (num_pixels > 0) & (num_pixels <= MOST_PIXELS) & (tf.reduce_max(sides) <= MOST_SIDE_PX)
    with tf.control_dependencies([tf.debugging.Assert(is_small, [message, name, sides])]):
        return tf.identity(contents)


def _png_sides(contents: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_raw(tf.strings.substr(contents, 16, 8), tf.int32, little_endian=False)
