"""The model that an early version of the package saved, for the Keras of these tests."""

import importlib.metadata
import json
import zipfile
from pathlib import Path

import pytest
from packaging.version import Version

_KERAS = importlib.metadata.version("keras")
SAVED = Path(__file__).parent / "saved_models" / f"keras{_KERAS[0]}.keras"


def _saved_by_newer_keras():
    with zipfile.ZipFile(SAVED) as file:
        saved_by = json.loads(file.read("metadata.json"))["keras_version"]
    return Version(saved_by) > Version(_KERAS)


# Layers may have arguments that an older Keras does not know.
loads_the_file = pytest.mark.skipif(_saved_by_newer_keras(), reason="saved by a newer Keras")
