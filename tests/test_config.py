from pathlib import Path

import pytest
import yaml

from care_tf.config import dump_config, load_config
from care_tf.errors import InputError

CONFIG = {
    "output": "runs/x",
    "data": {"manifest": "m.csv", "train": {"folds": [2, 3]}, "test": {"folds": 1}, "image_size_px": 96},
    "model": {"backbone": "squeezenet1_1"},
    "stages": {"pretrain": {"epochs": 3}, "finetune": {"epochs": 2, "alpha": 0.5}},
}


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    return file


def test_defaults_are_the_papers(path):
    config = load_config(path)
    assert (config.care.tau, config.care.lam, config.care.reduction, config.care.cam) == (0.7, 1.0, "batch", "gradcam")
    assert (config.training.batch_size, config.training.optimizer, config.stages[0].learning_rate) == (
        96,
        "AdamW",
        1e-4,
    )
    assert config.data.image_size_px == (96, 96)
    assert config.data.test.folds == ("1",)


def test_the_resolved_configuration_reads_back_equal(path, tmp_path):
    config = load_config(path, ["stages.finetune.reuse=runs/y", "data.class_names=[B, A]"])
    (tmp_path / "resolved.yaml").write_text(dump_config(config))
    assert load_config(tmp_path / "resolved.yaml") == config


def test_overrides_are_typed_and_keep_the_order_of_stages(path):
    config = load_config(
        path, ["stages.finetune.alpha=0.1", "training.batch_size=8", "every_stage.augmentation={}", "seed=3"]
    )
    assert [stage.name for stage in config.stages] == ["pretrain", "finetune"]
    assert (config.stages[1].alpha, config.training.batch_size, config.stages[0].augmentation, config.seed) == (
        0.1,
        8,
        {},
        3,
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("colour=red", "colour: Extra inputs"),
        ("data.colour=red", "data.colour: Extra inputs"),
        ("stages.pretrain.epoch=3", "epoch: Unexpected"),
        ("stages.pretrain.epochs=0", "'pretrain': epochs must be at least 1"),
        ("stages={}", "stages: .*at least 1"),
        ("training.batch_size=many", "training.batch_size: .*received 'many'"),
        ("data.train={}", "data.train: .*give split, folds"),
        ("care.tau=1.5", "care.tau: .*received 1.5"),
        ("output.x=1", "goes through 'output'"),
        ("data.image_size_px=-5", "image_size_px"),
        ("stages={../b: {epochs: 1}}", "name must be letters"),
        ("stages.pretrain.learning_rate=.inf", "learning_rate must be positive"),
        ("stages=[{name: a, epochs: 1}, {name: a, epochs: 1}]", "different names"),
        ("seed", "section.key=value"),
        ("seed=[", "not valid YAML"),
    ],
)
def test_bad_keys_and_values_are_refused(path, override, message):
    with pytest.raises(InputError, match=message):
        load_config(path, [override])


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_config(tmp_path / "missing.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(InputError, match="not valid YAML"):
        load_config(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(InputError, match="must be a mapping"):
        load_config(tmp_path / "list.yaml")


@pytest.mark.parametrize(
    "file", [Path("configs/demo.yaml"), *sorted(Path("configs/isic2018").glob("*.yaml"))], ids=lambda file: file.stem
)
def test_the_shipped_configurations_are_valid(file):
    assert load_config(file).stages
