"""Event files as TensorFlow's own reader reads them."""

from pathlib import Path

import tensorflow as tf


def events(folder, part="train"):
    """tag -> (step, value) of each event, in the order of the files and of writing."""
    found = {}
    for path in sorted((Path(folder) / part).iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, tf.make_ndarray(value.tensor).tolist()))
    return found


def steps(folder, tag="loss", part="train"):
    return [step for step, _ in events(folder, part)[tag]]
