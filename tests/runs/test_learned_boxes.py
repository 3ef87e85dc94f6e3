"""Runs with a mask head: boxes on a share of the images, masks learned for the others."""

import keras
import numpy as np
import pandas as pd
import pytest
import yaml

from care_tf.errors import InputError
from care_tf.runs import _stage_training as stage_training
from care_tf.runs import train_run
from care_tf.runs._configured_model import build_network, observed_network
from care_tf.runs._fingerprint import stage_fingerprints
from care_tf.runs._prepared_stage import prepare_stages
from care_tf.runs._shared_images import SharedImages
from care_tf.runs._training_rows import read_training_rows
from care_tf.runs.config import load_config

HEAD = {"width": 4, "warm_up_fraction": 0.01, "backbone_weight": 0.5}
LEARNED = {
    "care__mask_head": HEAD,
    "data__train_box_share": 0.6,  # two of three lesions, three of five images
    "training": {"batch_size": 16, "optimizer": "AdamW"},
    "every_stage": {"learning_rate": 0.02},
    "stages": {"train": {"epochs": 5, "alpha": 0.5}},
}
FLIPS = {"rotation_degrees": 0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}


def prepared(config):
    rows = read_training_rows(config)
    network, _ = build_network(config, len(rows.train.class_names))
    return prepare_stages(config, rows, observed_network(config, network), SharedImages(None))


@pytest.mark.slow
def test_a_stage_learns_masks_and_goes_on_bit_for_bit_after_it_was_stopped(config, monkeypatch):
    whole = train_run(config("whole", **LEARNED), show_progress=False)
    history = pd.read_csv(whole / "history.csv")
    assert history["learned_masks"].max() > 0 and np.isfinite(history["mask_loss"]).all()
    assert (history["val_learned_masks"] == 0).all() and history["val_mask_dice"].between(0, 1).all()

    class Stop(keras.callbacks.Callback):
        def __init__(self, stages, index):
            super().__init__()

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stage_training, "EpochLines", Stop)
        train_run(config("stopped", **LEARNED))
    again = train_run(config("stopped", **LEARNED), show_progress=False)
    pd.testing.assert_frame_equal(pd.read_csv(again / "history.csv"), history, check_exact=True)
    networks = [keras.models.load_model(run / "model.keras") for run in (whole, again)]
    for a, b in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_array_equal(a, b)
    plain, _ = build_network(config(), 4)
    assert [layer.name for layer in networks[0].layers] == [layer.name for layer in plain.layers]


def test_only_stages_with_attention_have_a_head_which_begins_as_the_seed_says(config):
    settings = {**LEARNED, "stages": {"pretrain": {"epochs": 1}, "finetune": {"epochs": 1, "alpha": 0.5}}}
    first, second = prepared(config(**settings)), prepared(config(**settings))
    assert first[0].model.mask_head is None
    head, same = first[1].model.mask_head, second[1].model.mask_head
    train = read_training_rows(config(**settings)).train
    assert list(head.classes) == sorted(set(train.labels[train.has_boxes]))
    for a, b in zip(head.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    other = prepared(config(**settings, seed=1))[1].model.mask_head
    assert any((a != b).any() for a, b in zip(head.get_weights(), other.get_weights(), strict=True))


def test_the_warm_up_is_as_long_with_few_boxes_as_with_many(config):
    stages = {"pretrain": {"epochs": 1}, "finetune": {"epochs": 12, "alpha": 0.5}}
    found = set()
    for share in (0.01, 1.0):
        stage = prepared(config(stages=stages, care={"mask_head": {}}, data__train_box_share=share))[1]
        found.add(stage.model.mask_head.warm_up_steps)
        assert stage.batches.steps_per_epoch == 3
    assert found == {9}  # a quarter of 12 x 3


def test_a_head_without_a_box_to_learn_from_names_what_decides_that(config, data):
    names = [name for name in read_training_rows(config()).train.class_names if name != "dermatofibroma"]
    with pytest.raises(InputError, match="care.mask_head learns.*none: data.mask_classes=.*nevus.*train_boxes=.*csv"):
        prepared(config(care={"mask_head": {}}, data__mask_classes=names))


@pytest.mark.filterwarnings("ignore:The mask head gave no image a mask")  # in one epoch it need not
def test_cached_activations_feed_the_head(config, eager):
    stage = {"epochs": 1, "alpha": 0.5, "frozen_through": "features", "cache_activations": True, "augmentation": FLIPS}
    run = train_run(config(**{**LEARNED, "stages": {"train": stage}}), show_progress=False)
    assert np.isfinite(pd.read_csv(run / "history.csv")["mask_dice"]).all()


def test_the_fingerprint_of_stages_with_attention_has_both_settings(config):
    def of(**changes):
        chosen = config(**changes)
        return stage_fingerprints(chosen, read_training_rows(chosen))

    plain = of()
    assert of(care={"mask_head": None}) == of(data__train_box_share=1.0) == plain
    for changes in ({"care": {"mask_head": {}}}, {"data__train_box_share": 0.4}):
        found = of(**changes)
        assert found[0] == plain[0] and found[1] != plain[1]
    assert of(care={"mask_head": {}}) != of(care={"mask_head": {"width": 4}})


def test_the_configuration_names_its_defaults():
    loaded = load_config("isic2018/care_learned_boxes", ["care.mask_head={}"])
    assert loaded.care.mask_head == load_config("isic2018/care_learned_boxes").care.mask_head
    assert loaded.data.train_box_share == 0.1 and loaded.stages[1].alpha == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"care__mask_head": {"widht": 3}},
            "care.mask_head.widht: there is no such key. Did you mean 'width'.*warm_up",
        ),
        ({"care__mask_head": {"backbone_weight": 2}}, "care.mask_head.backbone_weight: .*less than or equal to 1"),
        ({"data__train_box_share": 0}, "data.train_box_share: .*greater than 0"),
    ],
)
def test_bad_settings_are_refused(config, changes, message):
    with pytest.raises(InputError, match=message):
        config(**changes)


def test_forms_that_ask_the_network_are_refused_and_their_monitor_needs_a_head(config):
    with pytest.raises(InputError, match="losses of attention maps. Received one beside InputGradient"):
        prepared(config(care={"form": "input_gradient", "mask_head": {}}))
    with pytest.raises(InputError, match="monitor='mask_loss' is not a log"):
        prepared(config(stages={"train": {"epochs": 1, "alpha": 0.5, "monitor": "mask_loss"}}))


def test_a_run_is_written_with_its_head(config):
    from care_tf.runs.config import dump_config

    assert yaml.safe_load(dump_config(config(**LEARNED)))["care"]["mask_head"]["warm_up_fraction"] == 0.01
