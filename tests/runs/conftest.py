"""A tiny data set and a configuration of it that every test of whole runs shares."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from care_tf.data import read_manifest, write_manifest
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
            "training": {"batch_size": 16, "optimizer": "SGD"},  # a third less to trace than with AdamW
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


@pytest.fixture
def eager():
    """Spares a test of what a run keeps, resumes or hands on the tracing of its steps; others train in graphs."""
    from eager_steps import eager_steps  # brings TensorFlow

    with eager_steps():
        yield


@pytest.fixture
def seen_run(config, tmp_path):
    """A run as far as is asked what it has seen, finished on the data as they are now."""
    from care_tf.runs._training_rows import read_training_rows  # brings TensorFlow

    rows = read_training_rows(config())
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "environment.json").write_text(json.dumps(rows.fingerprints()))
    return SimpleNamespace(config=config(), folder=folder, class_names=rows.train.class_names)


@pytest.fixture
def elsewhere(data, tmp_path):
    """Another folder with copies: an image trained on, one validated on, one of a group trained on, an unseen one."""
    rows = read_manifest(data)
    chosen = [rows.splits.index(name) for name in ("train", "validation", "test", "test")]
    chosen[3] += 1
    part = rows.subset(chosen)
    paths = []
    for number, path in enumerate(part.image_paths):
        paths.append(str(tmp_path / "elsewhere" / "images" / f"{number}.png"))
        Path(paths[-1]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, paths[-1])
    groups = ("", "", rows.groups[chosen[0]], "")
    path = tmp_path / "elsewhere" / "manifest.csv"
    part = dataclasses.replace(part, image_paths=tuple(paths), groups=groups, splits=("test",) * 4, boxes=())
    write_manifest(part, path)
    return path
