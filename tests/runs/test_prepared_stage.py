"""What the stages of a run train: frozen layers, cached activations, rebuilt classifiers, samplings and losses."""

import contextlib
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from eager_steps import eager_steps

from care_tf.data import evaluation_dataset
from care_tf.errors import InputError
from care_tf.network.cutting import INPUT_ACTIVATION
from care_tf.network.last_dense import last_dense
from care_tf.runs import _stage_training as stage_training
from care_tf.runs import train_run
from care_tf.runs._configured_model import build_network, care_model, observed_network
from care_tf.runs._prepared_stage import prepare_stages
from care_tf.runs._shared_images import SharedImages
from care_tf.runs._training_rows import read_training_rows

FLIPS = {"rotation_degrees": 0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
FROZEN = "block2_relu"
TINY = {"model__backbone": "tiny_network:build"}  # where any network shows it


def classifier_after(folder, stage, finished=None):
    """The classifier with the weights of one stage, such as 1-pretrain; `finished` is an equal, finished run."""
    classifier = keras.models.load_model((finished or folder) / "model.keras", compile=False)
    classifier.load_weights(str(folder / "checkpoints" / f"{stage}.weights.h5"))
    return classifier


def changed_layers(first, second):
    pairs = zip(first.layers, second.layers, strict=True)
    weights = {a.name: list(zip(a.get_weights(), b.get_weights(), strict=True)) for a, b in pairs}
    return {name for name, arrays in weights.items() if any(not np.array_equal(a, b) for a, b in arrays)}


def stages(finetune, pretrain=None):
    return {"pretrain": {"epochs": 1, **(pretrain or {})}, "finetune": finetune}


@pytest.fixture(scope="module")
def frozen_runs(config_in, tmp_path_factory):
    """Two equal runs of frozen stages, the second with cached activations."""
    runs = []
    for cached in (False, True):
        shared = {"augmentation": FLIPS, "frozen_through": FROZEN, "cache_activations": cached, "learning_rate": 0.05}
        features = {"epochs": 2, "alpha": 0.5, "frozen_through": "features"}
        # The first stage is the same in both, and trained once.
        pretrain = {"cache_activations": False, **({"reuse": str(runs[0])} if runs else {})}
        settings = {"every_stage": shared, "stages": stages({"epochs": 2, "alpha": 0.5}, pretrain)}
        settings["stages"]["features"] = features
        settings["training"] = {"batch_size": 16, "optimizer": "SGD"}  # Adam would blow up what rounding leaves
        config = config_in(tmp_path_factory.mktemp("frozen") / "run", **settings, care__reduction="masked")
        # One in a graph: frozen statistics stay so there, too.
        with eager_steps() if cached else contextlib.nullcontext():
            runs.append(train_run(config, show_progress=False))
    return runs


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["2-finetune", "3-features"])
def test_cached_activations_give_the_weights_of_not_caching(frozen_runs, stage):
    plain, cached = (classifier_after(run, stage).get_weights() for run in frozen_runs)
    for expected, array in zip(plain, cached, strict=True):
        np.testing.assert_allclose(array, expected, atol=1e-5)
    histories = [pd.read_csv(run / "history.csv") for run in frozen_runs]
    for log in ("loss", "attention_loss", "attention_inside", "val_classification_loss"):
        np.testing.assert_allclose(histories[0][log], histories[1][log], rtol=1e-4, atol=1e-5)
    assert abs(histories[0]["attention_loss"]).min() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layers", "cut", "above"),
    [
        (["block3_relu", "backbone"], FROZEN, ["block3_relu", "block4_relu"]),
        ([FROZEN, "block4_relu"], FROZEN, [INPUT_ACTIVATION, "block4_relu"]),
        (["block1_relu", FROZEN, "block4_relu"], "block1_relu", [INPUT_ACTIVATION, FROZEN, "block4_relu"]),
    ],
)
def test_activations_are_cached_below_the_first_of_several_attention_layers(config, eager, layers, cut, above):
    frozen = {"epochs": 1, "alpha": 0.5, "augmentation": FLIPS, "frozen_through": FROZEN}
    logs = []
    for is_cached in (False, True):
        settings = config(stages={"train": {**frozen, "cache_activations": is_cached}}, care__attention_layer=layers)
        rows = read_training_rows(settings)
        observed = observed_network(settings, build_network(settings, 4)[0])
        (stage,) = prepare_stages(settings, rows, observed, SharedImages(None))
        x, y = next(iter(evaluation_dataset(rows.train, (32, 32), len(rows.train), masks=True)))
        if is_cached:
            assert stage.batches.lower.layers[-1].name == cut
            assert [place.attention_layer.name for place in stage.model.anatomy.places] == above
            x = {"activation": stage.batches.lower(x["image"]), "mask": x["mask"]}
        logs.append(stage.model.test_on_batch(x, y, return_dict=True))
    assert abs(logs[0]["attention_loss"]) > 1e-3
    for name in ("loss", "attention_loss", "attention_inside"):
        np.testing.assert_allclose(logs[1][name], logs[0][name], rtol=1e-4)


@pytest.mark.slow
def test_frozen_layers_keep_their_weights_and_statistics(frozen_runs):
    first, second, third = (
        classifier_after(frozen_runs[0], name) for name in ("1-pretrain", "2-finetune", "3-features")
    )
    assert all(layer.trainable for layer in third.layers)  # nothing stays frozen in the file
    assert changed_layers(second, third) == {"predictions"}
    assert changed_layers(first, second) == {
        "block3_convolution", "block3_normalization", "block4_convolution", "block4_normalization", "predictions"
    }  # fmt: skip


@pytest.mark.slow
def test_classifiers_are_rebuilt_alone_from_the_weights_that_a_stage_names(config, eager):
    changes = {
        "tau_normalize": {"epochs": 0},
        "nearest_class_mean": {"epochs": 0},
        "scale": {"epochs": 1, "sampling": "class_balanced", "class_weight": None, "learning_rate": 1.0},
        "retrain": {"epochs": 1, "sampling": "square_root", "frozen_through": "features", "learning_rate": 1e-6},
    }
    rebuilt = {name: {**change, "classifier": name, "start_from": "pretrain"} for name, change in changes.items()}
    pretrain = {"epochs": 2, "learning_rate": 0.01}
    run = train_run(config("named", **TINY, stages={"pretrain": pretrain, **rebuilt}), show_progress=False)
    before = classifier_after(run, "1-pretrain")
    old, kernels = last_dense(before).get_weights()[0], {}
    for number, name in enumerate(rebuilt, start=2):
        after = classifier_after(run, f"{number}-{name}")
        assert changed_layers(before, after) == {last_dense(before).name}
        kernels[name] = last_dense(after).get_weights()[0]
    ratios = kernels["scale"] / old
    np.testing.assert_allclose(ratios, np.broadcast_to(ratios[:1], ratios.shape), rtol=1e-3)
    assert abs(ratios[0] - 1).min() > 1e-3
    balanced = kernels["tau_normalize"]
    directions = [kernel / np.linalg.norm(kernel, axis=0) for kernel in (balanced, old)]
    np.testing.assert_allclose(*directions, rtol=1e-3)
    assert abs(np.corrcoef(old.ravel(), kernels["retrain"].ravel())[0, 1]) < 0.5  # fresh weights, hardly trained

    path = str(run / "checkpoints" / "1-pretrain.weights.h5")
    again = {"finetune": {"epochs": 0, "classifier": "nearest_class_mean", "start_from": path}}
    from_file = train_run(config("from_file", **TINY, stages=again), show_progress=False)
    found = classifier_after(from_file, "1-finetune").get_weights()
    expected = classifier_after(run, "3-nearest_class_mean").get_weights()
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.slow
def test_an_embedding_loss_is_logged_and_trains(config, eager):
    settings = {
        "embedding_loss": {"name": "triplet", "mining": "batch_hard"},
        "classification_weight": 0.0,
        "sampling": {"name": "class_aware", "classes_per_batch": 4},
        "class_weight": None,
        "monitor": "embedding_loss",
        "learning_rate": 0.01,
    }
    both = stages({"epochs": 1}, {**settings, "epochs": 3})
    run = train_run(config(**TINY, data__validation=None, stages=both), show_progress=False)
    history = pd.read_csv(run / "history.csv")
    assert history["embedding_loss"].notna().tolist() == [True] * 3 + [False]
    assert history["embedding_loss"][2] < history["embedding_loss"][0]
    assert history["embedding_spread"].between(0, 1)[:3].all() and history["embedding_spread"][2] > 0.01


@pytest.mark.slow
def test_stages_interrupted_half_way_end_as_uninterrupted_ones(config, eager, tmp_path, monkeypatch):
    settings = {
        "data__validation": None,
        "training": {"batch_size": 17, "optimizer": "SGD"},  # two batches an epoch
        "every_stage": {"augmentation": FLIPS, "learning_rate": 0.05, "epochs": 2},
        "stages": {
            "cached": {"frozen_through": FROZEN, "cache_activations": True, "alpha": 0.5},
            "scale": {"classifier": "scale", "sampling": "progressively_balanced"},
            "retrain": {"classifier": "retrain", "frozen_through": "features", "loss": "balanced_softmax"},
        },
    }
    seen = []

    class Interruption(keras.callbacks.Callback):
        """Keeps the folder as a kill after a stage's first epoch leaves it; stops a resumed run at the next stage."""

        def __init__(self, stages, index):
            super().__init__()
            self.index = index

        def on_epoch_begin(self, epoch, logs=None):
            seen.append((self.index, epoch))
            if (tmp_path / "whole" / "model.keras").exists():
                if epoch == 0:
                    raise KeyboardInterrupt
            elif epoch == 1:
                shutil.copytree(tmp_path / "whole", tmp_path / f"resumed_{self.index}")

    monkeypatch.setattr(stage_training, "EpochLines", Interruption)
    whole = train_run(config("whole", **settings))
    seen.clear()
    history = pd.read_csv(whole / "history.csv")
    for index in range(3):
        resumed = config(f"resumed_{index}", **settings)
        if index < 2:
            with pytest.raises(KeyboardInterrupt):
                train_run(resumed)
        else:
            train_run(resumed)
        stage = f"{index + 1}-{resumed.stages[index].name}"
        weights = [classifier_after(tmp_path / name, stage, whole) for name in ("whole", f"resumed_{index}")]
        for expected, array in zip(*(classifier.get_weights() for classifier in weights), strict=True):
            np.testing.assert_allclose(array, expected, atol=1e-5, err_msg=stage)
        losses = pd.read_csv(tmp_path / f"resumed_{index}" / "history.csv")["loss"]
        np.testing.assert_allclose(losses, history["loss"][: 2 * index + 2], rtol=1e-4)
    assert seen == [(0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


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
        ({"epochs": 0, "classifier": {"name": "tau_normalize", "tau": -1}}, "tau"),
        ({"epochs": 0, "classifier": {"name": "nearest_class_mean", "metric": "manhattan"}}, "manhattan"),
        ({"epochs": 1, "monitor": "val_losss"}, "monitor='val_losss' is not a log. Available: loss, .*val_loss"),
        ({"epochs": 1, "monitor": "embedding_loss"}, "is not a log"),
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


def test_tau_without_validation_images_is_refused(config):
    settings = {"data__validation": None, "stages": stages({"epochs": 0, "classifier": "tau_normalize"})}
    with pytest.raises(InputError, match="tau is chosen on validation images"):
        train_run(config(**settings), show_progress=False)


@pytest.mark.parametrize(
    "given",
    [
        {"tau": 0.3, "lam": 0.5, "reduction": "masked", "outside": "distance", "form": "care"},
        {"reduction": "class_balanced", "form": "energy"},
        {"reduction": "masked", "form": {"name": "perturbation", "kind": "worst", "strength": 0.2, "steps": 2}},
        {"reduction": "masked", "form": {"name": "input_gradient", "strength": 0.2}},
    ],
)
def test_every_setting_of_the_attention_loss_arrives(config, given):
    settings = config(care=given)
    model = care_model(settings, observed_network(settings, build_network(settings, 4)[0]), settings.stages[1])
    form = given["form"]
    wanted = given if isinstance(form, str) else {"reduction": given["reduction"], **form}
    assert wanted.items() - {("name", wanted.get("name"))} <= model.attention_loss.get_config().items()


def test_a_log_that_a_stage_does_not_measure_is_not_monitored(config):
    given = {"care": {"form": "perturbation"}, "stages": stages({"epochs": 1, "monitor": "attention_loss", "alpha": 0})}
    with pytest.raises(InputError, match="monitor='attention_loss' is not a log.*val_attention_loss"):
        train_run(config("refused", **given), show_progress=False)


@pytest.mark.parametrize("changes", [{"every_stage": {"cache_activations": True}}, {"training__jit_compile": True}])
def test_a_form_that_passes_images_again_needs_them_and_no_xla(config, changes):
    given = {**changes, "care": {"form": "perturbation"}}
    if "every_stage" in changes:
        given["every_stage"] = {"frozen_through": "block_1", "cache_activations": True}
    with pytest.raises(InputError, match="form=perturbation passes the images with a mask.*=true. Set .*=false"):
        train_run(config("refused", **given), show_progress=False)
