"""What the stages of a run train: frozen layers, cached activations, rebuilt classifiers, samplings and losses."""

import keras
import numpy as np
import pandas as pd
import pytest

from care_tf.errors import InputError
from care_tf.network.last_dense import last_dense
from care_tf.runs import _stage_training as stage_training
from care_tf.runs import load_run, train_run

FLIPS = {"rotation_degrees": 0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
FROZEN = "block2_relu"


def weights_of(folder):
    model = model_of(folder)
    return {f"{layer.name}/{i}": array for layer in model.layers for i, array in enumerate(layer.get_weights())}


def model_of(folder):
    return keras.models.load_model(folder / "model.keras", compile=False)


def stages(finetune, pretrain=None):
    return {"pretrain": {"epochs": 1, **(pretrain or {})}, "finetune": finetune}


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [FROZEN, "features"])
def test_cached_activations_give_the_weights_of_not_caching(config, frozen):
    runs = []
    for cached in (False, True):
        shared = {"augmentation": FLIPS, "frozen_through": frozen, "cache_activations": cached, "learning_rate": 0.05}
        settings = {"every_stage": shared, "stages": stages({"epochs": 2, "alpha": 0.5}), "care__reduction": "masked"}
        settings["training"] = {"batch_size": 16, "optimizer": "SGD"}  # Adam would blow up what rounding leaves
        runs.append(train_run(config(f"cached_{cached}", **settings), show_progress=False))
    plain, cached = (weights_of(run) for run in runs)
    for name, array in plain.items():
        np.testing.assert_allclose(cached[name], array, atol=1e-5, err_msg=name)
    histories = [pd.read_csv(run / "history.csv") for run in runs]
    for log in ("loss", "attention_loss", "attention_inside", "val_classification_loss"):
        np.testing.assert_allclose(histories[0][log], histories[1][log], rtol=1e-4, atol=1e-5)
    assert abs(histories[0]["attention_loss"]).min() > 1e-3


@pytest.mark.slow
def test_frozen_layers_keep_their_weights_and_statistics(config):
    run = train_run(config(stages=stages({"epochs": 1, "frozen_through": FROZEN}, {"learning_rate": 0.01})))
    before = keras.models.clone_model(model_of(run))
    before.load_weights(str(run / "checkpoints" / "1-pretrain.weights.h5"))
    after = model_of(run)
    changed = {
        layer.name
        for layer, old in zip(after.layers, before.layers, strict=True)
        if any(not np.array_equal(a, b) for a, b in zip(layer.get_weights(), old.get_weights(), strict=True))
    }
    assert all(layer.trainable for layer in after.layers)  # nothing stays frozen in the file
    assert changed == {
        "block3_convolution", "block3_normalization", "block4_convolution", "block4_normalization", "predictions"
    }  # fmt: skip


@pytest.mark.slow
def test_classifiers_are_rebuilt_alone(config):
    pretrain = {"epochs": 2, "learning_rate": 0.01}
    kernels, first = {}, None
    for name, finetune in {
        "tau_normalize": {"epochs": 0},
        "nearest_class_mean": {"epochs": 0},
        "scale": {"epochs": 1, "sampling": "class_balanced", "class_weight": None, "learning_rate": 0.1},
        "retrain": {"epochs": 1, "sampling": "square_root", "frozen_through": "features", "learning_rate": 1e-6},
    }.items():
        both = {"pretrain": {**pretrain, "reuse": first}, "finetune": {**finetune, "classifier": name}}
        run = train_run(config(name, stages=both), show_progress=False)
        first = first or str(run)
        before = keras.models.clone_model(model_of(run))
        before.load_weights(str(run / "checkpoints" / "1-pretrain.weights.h5"))
        after = load_run(run).care_model.classifier
        for layer, old in zip(after.layers[:-1], before.layers[:-1], strict=True):
            for a, b in zip(layer.get_weights(), old.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b, err_msg=layer.name)
        kernels[name] = (last_dense(before).get_weights()[0], last_dense(after).get_weights()[0])
    old, scaled = kernels["scale"]
    ratios = scaled / old
    np.testing.assert_allclose(ratios, np.broadcast_to(ratios[:1], ratios.shape), rtol=1e-3)
    assert abs(ratios[0] - 1).min() > 1e-3
    norms = [np.linalg.norm(kernel, axis=0) for kernel in kernels["tau_normalize"]]
    np.testing.assert_allclose(
        kernels["tau_normalize"][1] / norms[1], kernels["tau_normalize"][0] / norms[0], rtol=1e-3
    )
    correlation = np.corrcoef(kernels["retrain"][0].ravel(), kernels["retrain"][1].ravel())[0, 1]
    assert abs(correlation) < 0.5  # fresh weights, hardly trained


@pytest.mark.slow
def test_an_embedding_loss_is_logged_and_trains(config):
    settings = {
        "embedding_loss": {"name": "triplet", "mining": "batch_hard"},
        "classification_weight": 0.0,
        "sampling": {"name": "class_aware", "classes_per_batch": 4},
        "class_weight": None,
        "monitor": "embedding_loss",
        "learning_rate": 0.01,
    }
    run = train_run(config(stages=stages({"epochs": 1}, {**settings, "epochs": 3})), show_progress=False)
    history = pd.read_csv(run / "history.csv")
    assert history["embedding_loss"].notna().tolist() == [True] * 3 + [False]
    assert history["embedding_loss"][2] < history["embedding_loss"][0]
    assert history["embedding_spread"].between(0, 1)[:3].all() and history["embedding_spread"][2] > 0.01


def test_a_stage_starts_from_the_weights_that_it_names(config, tmp_path):
    three = {
        "pretrain": {"epochs": 1, "learning_rate": 0.01},
        "other": {"epochs": 1, "start_from": "initial"},
        "finetune": {"epochs": 0, "classifier": "nearest_class_mean", "start_from": "pretrain"},
    }
    run = train_run(config("named", stages=three), show_progress=False)
    first = keras.models.clone_model(model_of(run))
    first.load_weights(str(run / "checkpoints" / "1-pretrain.weights.h5"))
    for layer, old in zip(model_of(run).layers[:-1], first.layers[:-1], strict=True):
        for a, b in zip(layer.get_weights(), old.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    path = str(run / "checkpoints" / "1-pretrain.weights.h5")
    again = {"finetune": {"epochs": 0, "classifier": "nearest_class_mean", "start_from": path}}
    other = train_run(config("from_file", stages=again), show_progress=False)
    for a, b in zip(model_of(run).get_weights(), model_of(other).get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "finetune",
    [
        {"frozen_through": FROZEN, "cache_activations": True, "alpha": 0.5},
        {"classifier": "scale", "sampling": "progressively_balanced"},
        {"classifier": "retrain", "frozen_through": "features", "loss": "balanced_softmax"},
    ],
    ids=["cached", "scale", "retrain"],
)
def test_a_stage_interrupted_half_way_ends_as_an_uninterrupted_one(config, monkeypatch, finetune):
    settings = {
        "training": {"batch_size": 16, "optimizer": "SGD"},
        "every_stage": {"augmentation": FLIPS, "learning_rate": 0.05},
        "stages": stages({"epochs": 2, **finetune}),
    }
    whole = train_run(config("whole", **settings), show_progress=False)

    class Interruption(keras.callbacks.Callback):
        def __init__(self, stages, index):
            super().__init__()
            self.index = index

        def on_epoch_begin(self, epoch, logs=None):
            if (self.index, epoch) == (1, 1):
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage_training, "EpochLines", Interruption)
        with pytest.raises(KeyboardInterrupt):
            train_run(config("resumed", **settings))
    resumed = train_run(config("resumed", **settings), show_progress=False)
    expected = weights_of(whole)
    for name, array in weights_of(resumed).items():
        np.testing.assert_allclose(array, expected[name], atol=1e-5, err_msg=name)
    histories = [pd.read_csv(run / "history.csv") for run in (whole, resumed)]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-4)


@pytest.mark.parametrize(
    ("finetune", "message"),
    [
        ({"epochs": 1, "loss": "hinge"}, "hinge"),
        ({"epochs": 1, "class_weight": {"wart": 2.0}}, "wart"),
        ({"epochs": 1, "class_weight": "inverse"}, "inverse"),
        ({"epochs": 1, "embedding_loss": "quadruplet"}, "quadruplet"),
        ({"epochs": 1, "sampling": "uniform"}, "uniform"),
        ({"epochs": 1, "class_weight": None, "sampling": {"name": "class_aware", "images_per_class": 8}}, "5"),
        ({"epochs": 1, "frozen_through": "block9"}, "block9"),
        ({"epochs": 1, "frozen_through": "predictions"}, "Nothing would be left to train"),
        ({"epochs": 1, "frozen_through": FROZEN, "cache_activations": True}, "cached for flips"),
        (
            {"epochs": 1, "augmentation": FLIPS, "frozen_through": "block2_convolution", "start_from": "nowhere.h5"},
            "start_from",
        ),
        ({"epochs": 1, "augmentation": {"classes": ["wart"]}}, "wart"),
    ],
)
def test_bad_stages_are_refused_before_anything_is_written(config, tmp_path, finetune, message):
    with pytest.raises(InputError, match=message):
        train_run(config("refused", stages=stages(finetune)), show_progress=False)
    assert not (tmp_path / "refused").exists()


def test_weights_of_another_network_are_refused(config, tmp_path):
    other = keras.Sequential([keras.Input((7,)), keras.layers.Dense(3)])
    other.save_weights(str(tmp_path / "other.weights.h5"))
    with pytest.raises(InputError, match="do not fit .*another network"):
        train_run(config(stages={"finetune": {"epochs": 1, "start_from": str(tmp_path / "other.weights.h5")}}))


@pytest.mark.parametrize(
    ("finetune", "message"),
    [
        ({"epochs": 0, "classifier": {"name": "tau_normalize", "tau": -1}}, "tau"),
        ({"epochs": 0, "classifier": {"name": "nearest_class_mean", "metric": "manhattan"}}, "manhattan"),
        ({"epochs": 1, "monitor": "val_losss"}, "monitor='val_losss' is not a log. Available: loss, .*val_loss"),
        ({"epochs": 1, "monitor": "embedding_loss"}, "is not a log"),
    ],
)
def test_what_a_later_stage_would_stumble_over_is_refused_first(config, tmp_path, finetune, message):
    with pytest.raises(InputError, match=message):
        train_run(config("refused", stages=stages(finetune)), show_progress=False)
    assert not (tmp_path / "refused").exists()


def test_tau_without_validation_images_is_refused(config):
    settings = {"data__validation": None, "stages": stages({"epochs": 0, "classifier": "tau_normalize"})}
    with pytest.raises(InputError, match="tau is chosen on validation images"):
        train_run(config(**settings), show_progress=False)
