"""A tiny data set and a configuration of it that every test of whole runs shares."""

import pytest

from care_tf.datasets import SyntheticLesions
from care_tf.runs.config import validate_config


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    counts = {"train_counts": (12, 8, 8, 5), "validation_counts": (4,) * 4, "test_counts": (6, 4, 4, 4)}
    return SyntheticLesions(seed=1, size_px=32, **counts).write(tmp_path_factory.mktemp("lesions") / "data")


@pytest.fixture(scope="session")
def config_in(data):
    """Makes a configuration of a run in a folder; see `config`."""

    def make(folder, **changes):
        content = {
            "output": str(folder),
            "data": {
                "manifest": str(data),
                "train": {"split": "train"},
                "validation": {"split": "validation"},
                "test": {"split": "test"},
                "image_size_px": 32,
                "cache": "memory",
            },
            "model": {"backbone": "small_cnn"},
            "training": {"batch_size": 16},
            "every_stage": {"class_weight": "balanced", "augmentation": {"rotation_degrees": 90}},
            "stages": {"pretrain": {"epochs": 1}, "finetune": {"epochs": 1, "alpha": 0.5}},
        }
        for key, value in changes.items():
            section, _, name = key.partition("__")
            content[section] = {**content.get(section, {}), name: value} if name else value
        return validate_config(content, "test")

    return make


@pytest.fixture
def config(config_in, tmp_path):
    """Makes a configuration; `section__key=value` changes an entry of a section, `section=value` replaces it."""
    return lambda output="run", **changes: config_in(tmp_path / output, **changes)
