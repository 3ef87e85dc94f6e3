"""The settings as TensorBoard shows them."""

import pytest
import yaml

from care_tf.runs._run_monitor import settings_text
from care_tf.runs.config import load_config


@pytest.fixture
def config(tmp_path):
    content = {
        "output": "runs/x",
        "data": {"manifest": "m.csv", "train": {"folds": [2]}, "test": {"folds": 1}, "image_size_px": 32},
        "model": {"backbone": "squeezenet1_1"},
        "training": {"tensorboard": True},
        "stages": {"pretrain": {"epochs": 3}, "finetune": {"epochs": 2, "loss": {"name": "focal", "gamma": 2.0}}},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return load_config(tmp_path / "run.yaml")


def test_the_tables_show_settings_as_yaml_reads_them(config):
    tables, _, _ = settings_text(config).partition("```yaml")
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in tables.splitlines() if "`" in line]
    found = {key: [yaml.safe_load(value) for value in values] for key, *values in rows}
    assert found["training.tensorboard"] == [True] and found["data.train.folds"] == [["2"]]
    assert found["data.manifest"] == ["m.csv"] and found["epochs"] == [3, 2]
    assert found["loss"][1] == {"name": "focal", "gamma": 2.0}
    assert "`true`" in tables and "`m.csv`" in tables
