"""A device whose memory a batch does not fit into: one sentence that says which settings to lower."""

import contextlib
from collections.abc import Iterator

from care_tf.errors import InputError


@contextlib.contextmanager
def full_memory_named() -> Iterator[None]:
    """Turns TensorFlow's error of a full memory, which names a tensor, into what a person can do about it.

    Raises:
      InputError: The block ran out of the device's memory.
    """
    try:
        yield
    except Exception as error:
        # By its name: this must not import TensorFlow. XLA reports the same as an internal error.
        if type(error).__name__ != "ResourceExhaustedError" and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise InputError(
            "A batch must fit into the device's memory. Received one that does not. Lower the batch size "
            "(training.batch_size, --batch-size) or the images' size (data.image_size_px), or compute in 16 bits "
            "(training.precision=mixed_float16), and start again."
        ) from error
