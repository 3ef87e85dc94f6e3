from pathlib import Path
from types import SimpleNamespace

import keras
import pytest
import yaml

from care_tf.errors import InputError
from care_tf.runs._run_report import _image_notes
from care_tf.runs.config import dump_config, load_config

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
    care, training = config.care, config.training
    assert (care.tau, care.lam, care.reduction, care.cam) == (0.7, 1.0, "batch", "gradcam")
    assert (training.batch_size, training.optimizer, config.stages[0].learning_rate) == (96, "AdamW", 1e-4)
    assert config.data.image_size_px == (96, 96)
    assert config.data.test.folds == ("1",)


def test_the_resolved_configuration_reads_back_equal(path, tmp_path):
    config = load_config(path, ["stages.finetune.reuse=runs/y", "data.class_names=[B, A]"])
    (tmp_path / "resolved.yaml").write_text(dump_config(config))
    assert load_config(tmp_path / "resolved.yaml") == config


def test_attention_layers_are_a_name_or_a_list(path, tmp_path):
    one, several = load_config(path, ["care.attention_layer=a"]), load_config(path, ["care.attention_layer=[a, b]"])
    assert (one.care.attention_layer, several.care.attention_layer) == ("a", ("a", "b"))
    assert load_config(path, ["care.attention_layer=[a]"]) == one  # trains the same, so it is the same run
    assert "\n  attention_layer: a\n" in dump_config(one)
    assert "\n  attention_layer:\n  - a\n  - b\n" in dump_config(several)
    (tmp_path / "resolved.yaml").write_text(dump_config(several))
    assert load_config(tmp_path / "resolved.yaml") == several


def test_the_weight_decay_that_the_documentation_states_is_that_of_keras():
    assert keras.optimizers.AdamW(1e-4).weight_decay == 0.004


def test_overrides_are_typed_and_keep_the_order_of_stages(path):
    overrides = ["stages.finetune.alpha=0.1", "training.batch_size=8", "every_stage.augmentation={}", "seed=3"]
    config = load_config(path, overrides)
    first, second = config.stages
    assert (first.name, second.name) == ("pretrain", "finetune")
    assert (second.alpha, config.training.batch_size, first.augmentation, config.seed) == (0.1, 8, {}, 3)


def write(folder, **files):
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def test_files_build_on_others_and_later_ones_win(path, tmp_path):
    write(
        tmp_path,
        weighted={"extends": "run.yaml", "title": "weighted", "every_stage": {"class_weight": "balanced"}},
        care={"extends": "run.yaml", "title": "CARE", "stages": {"finetune": {"alpha": 0.3}}},
        both={"extends": ["weighted.yaml", "care.yaml"], "seed": 7},
    )
    config = load_config(tmp_path / "both.yaml")
    assert (config.title, config.seed, config.output) == ("CARE", 7, "runs/x")
    found = [(stage.alpha, stage.class_weight, stage.epochs) for stage in config.stages]
    assert found == [(0.0, "balanced", 3), (0.3, "balanced", 2)]


def test_a_change_of_the_base_gives_way_to_what_extends_it(path, tmp_path):
    write(
        tmp_path,
        frozen={"extends": "run.yaml", "stages": {"finetune": {"frozen_through": "b"}}, "data": {"image_size_px": 50}},
        small={"data": {"image_size_px": 64, "cache": "memory"}, "every_stage": {"frozen_through": "a"}},
    )
    config = load_config(tmp_path / "frozen.yaml", [f"with={tmp_path / 'small.yaml'}", "seed=2"])
    assert [stage.frozen_through for stage in config.stages] == ["a", "b"]
    assert (config.data.image_size_px, config.data.cache, config.seed) == ((50, 50), "memory", 2)


def test_a_choice_is_replaced_with_its_arguments(path, tmp_path):
    write(
        tmp_path,
        focal={"extends": "run.yaml", "every_stage": {"loss": {"name": "focal", "gamma": 1.0}}},
        ldam={"extends": "focal.yaml", "every_stage": {"loss": {"name": "ldam"}}},
    )
    assert load_config(tmp_path / "ldam.yaml").stages[0].loss == {"name": "ldam"}


def test_every_stage_is_the_default_of_all(path, tmp_path):
    config = load_config(path, ["every_stage={loss: focal, alpha: 0.2}", "stages.pretrain.loss=ldam"])
    assert [(stage.loss, stage.alpha) for stage in config.stages] == [("ldam", 0.2), ("focal", 0.5)]
    (tmp_path / "resolved.yaml").write_text(dump_config(config))
    again = load_config(tmp_path / "resolved.yaml", ["every_stage.loss=cross_entropy"])
    assert [stage.loss for stage in again.stages] == ["ldam", "cross_entropy"]


def test_without_output_the_file_names_the_folder(tmp_path):
    write(tmp_path, mine={key: value for key, value in CONFIG.items() if key != "output"})
    assert load_config(tmp_path / "mine.yaml").output == "runs/mine"


def test_files_that_extend_each_other_in_a_circle_are_refused(tmp_path):
    write(tmp_path, a={"extends": "b.yaml"}, b={"extends": "a.yaml"})
    with pytest.raises(InputError, match="circle: a.yaml -> b.yaml -> a.yaml"):
        load_config(tmp_path / "a.yaml")
    write(tmp_path, c={"extends": 3}, d={"extends": "missing.yaml"}, e={})
    with pytest.raises(InputError, match="extends must be a file"):
        load_config(tmp_path / "c.yaml")
    with pytest.raises(InputError, match="a.yaml is given as with=, and such a file cannot extend"):
        load_config(tmp_path / "e.yaml", [f"with={tmp_path / 'a.yaml'}"])
    with pytest.raises(InputError, match="Received missing.yaml, which is neither"):
        load_config(tmp_path / "d.yaml")


def test_the_example_of_the_documentation_is_a_configuration(path):
    text = Path("docs/strategies.md").read_text()
    example = yaml.safe_load(text.split("```yaml")[1].split("```")[0])
    write(path.parent, example={"extends": "run.yaml", **example})
    assert load_config(path.parent / "example.yaml").stages[1].frozen_through == "penultimate_block"


HARDWARE = {"squeezenet_two_cores": "squeezenet1_1", "efficientnet_lite0_two_cores": "efficientnet_lite0"}
# These name a backbone themselves, and a change of the base gives way to them.
OWN_BACKBONES = {
    **dict.fromkeys(["vit", "care_vit"], "keras_hub/vit_base_patch16_224_imagenet"),
    **dict.fromkeys(["swin", "care_swin"], "keras_hub/swin_tiny_patch4_window7_224"),
}


@pytest.mark.parametrize("hardware", HARDWARE)
@pytest.mark.parametrize("file", sorted(Path("configs/isic2018").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_method_has_a_change_for_two_cores_and_a_known_baseline(file, hardware):
    large, small = load_config(file), load_config(file, [f"with=configs/hardware/{hardware}.yaml"])
    assert large.model.backbone == OWN_BACKBONES.get(file.stem, "resnet50")
    assert small.model.backbone == OWN_BACKBONES.get(file.stem, HARDWARE[hardware])
    assert [stage.alpha for stage in large.stages] == [stage.alpha for stage in small.stages]
    assert large.baseline is None or (file.parent / f"{large.baseline}.yaml").exists()
    assert large.title and (large.baseline is None) == (file.stem in ("baseline", "vit", "swin"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("every_stage={name: x}", "every_stage must be a mapping of stage settings"),
        ("stages={a: 3}", "stages.a must be a mapping"),
        ("colour=red", "colour: there is no such key. Known: output, title"),
        ("data.clas_names=[a]", "data.clas_names: there is no such key. Did you mean 'class_names'. Known: manifest"),
        ("data.test={fold: 3}", "data.test.fold: there is no such key. Did you mean 'folds'. Known: split, folds"),
        (
            "stages.pretrain.epoch=3",
            "pretrain.epoch: there is no such key. Did you mean 'epochs'. Known: epochs",
        ),
        ("stages={a: {epoch: 1}}", "Known: epochs, [a-z_, ]*reuse[.]$"),
        ("stages.pretrain.epochs=0", "'pretrain': epochs must be at least 1"),
        ("stages={}", "stages: .*at least 1"),
        ("training.batch_size=many", "training.batch_size: .*received 'many'"),
        ("data.train={}", "data.train: .*give split, folds"),
        ("care.tau=1.5", "care.tau: .*received 1.5"),
        ("care.attention_layer=[]", "care.attention_layer: attention_layer must be the name of a layer, or a list"),
        ("care={form: perturbation, attention_layer: [a, b]}", "OutsidePerturbation acts on the network and on no map"),
        ("care.attention_layer=[3]", "care.attention_layer.*received 3"),
        ("care.form=enrgy", "care: The form of the attention loss must be one of .* Did you mean 'energy'"),
        ("care={form: energy, tau: 0.5}", "care: .*Received tau=0.5 for form='energy'"),
        ("output.x=1", "goes through 'output'"),
        ("data.image_size_px=-5", "image_size_px"),
        ("stages={../b: {epochs: 1}}", "name must be letters"),
        ("stages.pretrain.learning_rate=.inf", "learning_rate: Input should be a finite number"),
        ("stages=[{name: a, epochs: 1}, {name: a, epochs: 1}]", "different names"),
        ("seed", "section.key=value"),
        ("care.\udcff=1", r"key of an override must be printable text. Received 'care.\\udcff'"),
        ("seed=[", "not valid YAML"),
    ],
)
def test_bad_keys_and_values_are_refused(path, override, message):
    with pytest.raises(InputError, match=message):
        load_config(path, [override])


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="missing.yaml, which is neither"):
        load_config(tmp_path / "missing.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"title: \xe4")
    with pytest.raises(InputError, match="latin.yaml is not UTF-8 text"):
        load_config(tmp_path / "latin.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(InputError, match="not valid YAML"):
        load_config(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(InputError, match="must be a mapping"):
        load_config(tmp_path / "list.yaml")


def test_the_demo_is_a_valid_configuration():
    assert load_config(Path("configs/demo.yaml")).stages


ATTENTION = {"stages": {"train": {"epochs": 1, "alpha": 0.5}}}
EVERYWHERE = {"data__outside_boxes": "crop", "data__outside_boxes_in": "everywhere", "stages": {"train": {"epochs": 1}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (EVERYWHERE | {"data__train_box_share": 0.5}, "data: outside_boxes_in=everywhere .*train_box_share=0.5"),
        (EVERYWHERE | {"data__train_box_place": "random"}, "Received train_box_place=random"),
        (EVERYWHERE | {"data__train_box_scale": 1.1}, "Received train_box_scale=1.1"),
        (ATTENTION | {"data__outside_boxes": "crop"}, "not valid: data.outside_boxes=crop leaves .* Set alpha=0"),
        (ATTENTION | {"data__outside_boxes": "paint", "care": {"mask_head": {}}}, "mask_head.*outside_boxes=paint"),
        (ATTENTION | {"data__train_box_place": "random", "care": {"mask_head": {}}}, "mask_head.*place=random"),
    ],
)
def test_uses_of_boxes_that_make_each_other_meaningless_are_refused(config, changes, message):
    with pytest.raises(InputError, match=message):
        config(**changes)
    left_alone = changes | {"stages": {"train": {"epochs": 1}}, "data__outside_boxes_in": "training"}
    config(**left_alone)  # a method without attention in a comparison with the others' settings


def test_what_training_did_with_boxes_is_noted(config):
    data = config(
        data__train_box_share=0.1,
        data__train_box_scale=1.5,
        data__train_box_place="random",
        data__outside_boxes="paint",
    ).data
    assert data.notes == [
        data.outside_note,
        "Training images have boxes on 10 % of each class's groups or images that have them.",
        "Training boxes have 1.5 times the sides of those given.",
        "Training boxes lie at random places.",
    ]
    assert config().data.notes == []
    run = SimpleNamespace(run=SimpleNamespace(config=SimpleNamespace(data=data)))
    plain = SimpleNamespace(run=SimpleNamespace(config=config()))
    assert _image_notes(run, plain, ("plain", "own")) == [f"own: {note}" for note in data.notes]
