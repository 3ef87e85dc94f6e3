"""What every test starts from: quiet TensorFlow on two threads, the same seeds, float32, repeatable properties."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
os.environ.setdefault("MPLBACKEND", "agg")

import hypothesis
import pytest

# No deadline: the first example of a property traces a graph. Derandomized: a failure in CI is a failure everywhere.
hypothesis.settings.register_profile("care_tf", deadline=None, derandomize=True)
hypothesis.settings.load_profile("care_tf")


@pytest.fixture(autouse=True)
def same_start():
    """Seeds Python, NumPy and TensorFlow before every test and takes back a precision policy that a test set."""
    keras = sys.modules.get("keras")
    if keras is None:  # The test's module does not use Keras: spare it the seconds of the import.
        yield
        return
    keras.utils.set_random_seed(0)
    yield
    keras.mixed_precision.set_global_policy("float32")
