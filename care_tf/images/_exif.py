"""The EXIF orientation of a JPEG, read from its bytes in TensorFlow operations."""

import tensorflow as tf

from care_tf.images.header import ORIENTATION_TAG

_START_OF_IMAGE = 0xFFD8
_APP1 = 0xFFE1
_START_OF_SCAN = 0xFFDA
_EXIF = 0x45786966  # "Exif"
_LITTLE_ENDIAN = 0x4949  # "II"
_HEADER_BYTES = 1 << 18  # four of the largest possible segments; EXIF is in the first or second


def jpeg_orientation(contents: tf.Tensor) -> tf.Tensor:
    """Finds the EXIF orientation.

    Walks the JPEG's segments to the APP1 segment that holds EXIF, then the entries of its first image directory,
    in either byte order. Whatever is missing, malformed or no JPEG has orientation 1.

    Args:
      contents: Scalar string, the bytes of an image file.

    Returns:
      int32 scalar, 1..8.

    Source: Exif 2.32 (CIPA DC-008), sections 4.5 and 4.6.4; JFIF and PNG EXIF are not considered.
    """
    header = tf.strings.substr(contents, 0, _HEADER_BYTES)
    # Most training sets carry no EXIF: one search for the word spares them the walk, which takes as long as decoding.
    may_have_exif = tf.strings.regex_full_match(header, r"\C*Exif\x00\x00(II|MM)\C*")
    return tf.cond(may_have_exif, lambda: _orientation_of_jpeg(header), lambda: tf.constant(1))


def _orientation_of_jpeg(header: tf.Tensor) -> tf.Tensor:
    data = tf.io.decode_raw(tf.strings.join([header, "\0"]), tf.uint8)
    segment = _exif_segment(data)
    return tf.cond(segment > 0, lambda: _orientation_in_tiff(data, segment + 10), lambda: tf.constant(1))


def _exif_segment(data: tf.Tensor) -> tf.Tensor:
    """Position of the APP1 marker in front of "Exif", or 0; also 0 if `data` is no JPEG."""

    def is_exif(position: tf.Tensor) -> tf.Tensor:
        return tf.equal(_number(data, position, 2, False), _APP1) & tf.equal(
            _number(data, position + 4, 4, False), _EXIF
        )

    def goes_on(position: tf.Tensor) -> tf.Tensor:
        marker = _number(data, position, 2, False)
        return (marker > 0xFF00) & tf.not_equal(marker, _START_OF_SCAN) & ~is_exif(position)

    def next_segment(position: tf.Tensor) -> tuple[tf.Tensor]:
        return (position + 2 + tf.maximum(_number(data, position + 2, 2, False), 2),)

    (position,) = tf.while_loop(goes_on, next_segment, (tf.constant(2),), maximum_iterations=64)
    return tf.where(tf.equal(_number(data, 0, 2, False), _START_OF_IMAGE) & is_exif(position), position, 0)


def _orientation_in_tiff(data: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Orientation in the first directory of the TIFF structure at `start`: 12-byte entries tag, type, count, value."""
    little = tf.equal(_number(data, start, 2, False), _LITTLE_ENDIAN)
    directory = start + _number(data, start + 4, 4, little)
    entries = directory + 2 + 12 * tf.range(_number(data, directory, 2, little))
    values = tf.boolean_mask(
        _number(data, entries + 8, 2, little), _number(data, entries, 2, little) == ORIENTATION_TAG
    )
    orientation = tf.concat([values, [1]], axis=0)[0]
    return tf.where((orientation >= 1) & (orientation <= 8), orientation, 1)


def _number(data: tf.Tensor, position: tf.Tensor | int, num_bytes: int, little: tf.Tensor | bool) -> tf.Tensor:
    """Unsigned numbers of 2 or 4 bytes at `position` (scalar or vector); beyond the end the last byte, 0, is read."""
    positions = tf.clip_by_value(tf.expand_dims(position, -1) + tf.range(num_bytes), 0, tf.size(data) - 1)
    digits = tf.cast(tf.gather(data, positions), tf.int32)
    digits = tf.where(little, tf.reverse(digits, [-1]), digits)
    return tf.reduce_sum(digits * tf.constant([256**power for power in reversed(range(num_bytes))]), axis=-1)
