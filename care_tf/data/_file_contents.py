"""The bytes of images and masks in TensorFlow's graph: of files, or of records in shards."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.shard_place import find_places

ContentsReader: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def contents_reader(paths: Sequence[str], kind: Literal["image", "mask"]) -> ContentsReader:
    """Builds the function that reads the bytes of one of these files.

    Where none of them is in a shard, it is `tf.io.read_file`. Of a record TensorFlow checks the checksum.

    Args:
      paths: n files, or places in shards as `care_tf.shard_place` has them.
      kind: What they are.

    Returns:
      Its index in `paths`, int64 scalar, and its path, string scalar -> string scalar. Evaluating it raises
      `tf.errors.InvalidArgumentError` for a damaged record.

    Raises:
      InputError: One is a place of the other kind.
    """
    places = find_places(paths)
    if not any(places):
        return lambda index, path: tf.io.read_file(path)
    wrong = next((place for place in places if place and place.kind != kind), None)
    if wrong is not None:
        raise InputError(f"The {kind} of a row must be a file or a shard's {kind}. Received {wrong}, a {wrong.kind}.")
    names = sorted({place.shard for place in places if place})
    number_of = {name: number for number, name in enumerate(names)}
    shards = tf.constant(names)
    shard_of = tf.constant([number_of[place.shard] if place else -1 for place in places])
    offsets = tf.constant(np.array([place.offset if place else 0 for place in places], np.int64))

    @tf.autograph.experimental.do_not_convert
    def read(index: tf.Tensor, path: tf.Tensor) -> tf.Tensor:
        shard = shard_of[index]
        return tf.cond(
            shard < 0, lambda: tf.io.read_file(path), lambda: _read_record(shards[shard], offsets[index], path, kind)
        )

    return read


def _read_record(shard: tf.Tensor, offset: tf.Tensor, path: tf.Tensor, kind: str) -> tf.Tensor:
    """The bytes of a record's image or mask; the error of a damaged record names it by its path."""
    # The public TFRecordDataset starts at the beginning of a file.
    records = tf.raw_ops.TFRecordDatasetV2(
        filenames=[shard], compression_type="", buffer_size=tf.constant(0, tf.int64), byte_offsets=[offset]
    )
    attempt = tf.data.experimental.from_variant(records, tf.TensorSpec((), tf.string)).take(1).ignore_errors()
    record = attempt.concatenate(tf.data.Dataset.from_tensors("")).take(1).get_single_element()
    text = tf.io.FixedLenFeature((), tf.string, "")
    found = tf.io.parse_single_example(record, {kind: text, f"{kind}_name": text})
    is_own = tf.equal(found[f"{kind}_name"], tf.strings.split(path, "/")[-1])
    message = (
        f"this {kind} is in a record that cannot be read, is damaged or of another shard; copy the shard again, or "
        "write it again"
    )
    with tf.control_dependencies([tf.debugging.Assert(is_own, [message, path])]):
        return tf.identity(found[kind])
