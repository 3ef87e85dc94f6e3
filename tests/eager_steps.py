"""Fits whose steps are not traced: most of the time of a short one, where the graph is not what is looked at."""

import contextlib
import warnings

import tensorflow as tf


@contextlib.contextmanager
def eager_steps():
    """Inside, what TensorFlow would trace is computed at once; data sets stay graphs."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Even though the `tf.config.experimental_run_functions_eagerly`")
        tf.config.run_functions_eagerly(True)
        try:
            yield
        finally:
            tf.config.run_functions_eagerly(False)
