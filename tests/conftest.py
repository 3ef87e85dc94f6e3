"""What every test starts from: quiet TensorFlow on one thread, the same seeds, float32, repeatable properties."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Tests run in several processes: more threads in each only wait for one another.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import csv
import gc
import json
import signal
from collections import Counter

import hypothesis
import numpy as np
import pytest

# Tracing makes many objects that live on; looking through them every few hundred costs a tenth of the time.
gc.set_threshold(200_000, 20, 20)

# No deadline: the first example of a property traces a graph. Derandomized: a failure in CI is a failure everywhere.
hypothesis.settings.register_profile("care_tf", deadline=None, derandomize=True)
hypothesis.settings.load_profile("care_tf")


def pytest_collection_modifyitems(items):
    """Deals out the files with the most slow tests first: what is left for the end is short, and no process waits."""
    num_slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -num_slow[item.path])


def pytest_collection_finish():
    """Leaves out what the imports made wherever garbage is looked for, which Keras's clear_session does every time.

    And has graphs run as they are traced, but for the tests that ask for `rewritten_graphs`.
    """
    gc.freeze()
    if "tensorflow" in sys.modules:
        from graph_rewriting import switch

        switch(is_on=False)


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


@pytest.fixture
def rewritten_graphs():
    """Graphs as users have them, where what a graph gives is the point."""
    import graph_rewriting  # brings TensorFlow

    with graph_rewriting.rewritten_graphs():
        yield


@pytest.fixture
def interruptible():
    """Ctrl-C raises, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def network():
    """Builds a small classifier by name, always with the same weights."""
    from classifiers import BUILDERS

    return lambda name="functional", **kwargs: BUILDERS[name](**kwargs)


@pytest.fixture
def images():
    """Images (16, 12, 12, 3), labels (16,), masks: the first six images have a box."""
    rng = np.random.default_rng(0)
    image = rng.random((16, 12, 12, 3)).astype(np.float32)
    mask = np.zeros((16, 12, 12, 1), np.float32)
    for index in range(6):
        mask[index, 2 + index % 3 : 7, 1:6] = 1
    return image, rng.integers(0, 3, 16).astype(np.int32), mask


@pytest.fixture
def write_rows():
    """Writes rows (dicts) as a CSV with the given columns; returns the path."""

    def write(path, rows, columns=("image", "label", "boxes", "mask", "group", "split", "fold", "box_source")):
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


@pytest.fixture
def image_folder(tmp_path, write_rows):
    """Eleven 20 x 10 px images of two classes, three of the rare one with boxes; returns the folder."""
    from PIL import Image

    random = np.random.default_rng(0)
    rows = []
    for i in range(11):
        name = f"image_{i}.png" if i % 2 else f"image_{i}.jpg"
        Image.fromarray(random.integers(0, 256, (10, 20, 3), np.uint8)).save(tmp_path / name)
        rare = i in (1, 4, 7)
        rows.append(
            {
                "image": name,
                "label": "rare" if rare else "common",
                "boxes": json.dumps([[i, 1, i + 4, 6]]) if rare else "",
                "group": f"patient_{i // 2}",
                "split": "train" if i < 8 else "test",
                "fold": i % 3,
                "box_source": "hand" if rare else "",
            }
        )
    write_rows(tmp_path / "manifest.csv", rows)
    return tmp_path
