"""A tiny run from the manifest to the report, with the tools' own functions."""

import contextlib
import dataclasses
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import yaml
from event_files import events
from graph_rewriting import rewritten_graphs
from slow_occlusion import slowly_occluded

from care_tf import CAREModel
from care_tf.data import read_manifest, write_manifest
from care_tf.errors import InputError
from care_tf.files import sole_work
from care_tf.keras_generation import KERAS_3
from care_tf.runs import _run_evaluation as run_evaluation
from care_tf.runs import evaluate_run, load_run, train_run
from care_tf.runs._example_maps import read_images, selected_rows
from care_tf.runs._fingerprint import stage_fingerprints
from care_tf.runs._progress import sole_training
from care_tf.runs._run_predictions import predict_manifest
from care_tf.runs._training_rows import read_training_rows
from care_tf.runs.run_calibration import calibrate_run
from care_tf.runs.run_check import check_run

pytestmark = pytest.mark.one_generation  # but for what Keras trains and loads

# AdamW makes its variables in the first step, which must not be traced again for that.
MONITORED = {"training__tensorboard": True, "training__optimizer": "AdamW"}


@pytest.fixture(scope="module")
def trained(config_in, tmp_path_factory):
    """A run of two stages: its folder, the names in it, the models whose step was traced, and what was printed."""
    train_step, traced, printed = CAREModel.train_step, [], io.StringIO()
    config = config_in(tmp_path_factory.mktemp("trained") / "care", **MONITORED)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(CAREModel, "train_step", lambda model, data: traced.append(model) or train_step(model, data))
        with rewritten_graphs():  # as users have them
            folder = train_run(config)
    return SimpleNamespace(folder=folder, traced=traced, printed=printed.getvalue())


@pytest.fixture
def care(trained, tmp_path):
    """A copy of the run, for a test that writes into its folder."""
    return shutil.copytree(trained.folder, tmp_path / "care")


@pytest.mark.slow
@pytest.mark.both_generations
def test_a_run_leaves_its_model_its_logs_and_where_its_weights_came_from(trained):
    folder = trained.folder
    assert len(trained.traced) == len(set(map(id, trained.traced))) == 2  # each stage's step, once
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml", "environment.json", "history.csv", "checkpoints", "model.keras", "tensorboard"
    }  # fmt: skip
    history = pd.read_csv(folder / "history.csv")
    assert history["stage"].tolist() == ["pretrain", "finetune"]
    assert {"val_classification_loss", "val_mean_class_accuracy", "attention_inside"} <= set(history.columns)
    assert_in_tensorboard(folder, history)
    environment = json.loads((folder / "environment.json").read_text())
    assert "finetune 1/1" in trained.printed and f"\n{environment['weights']}\n" in trained.printed
    assert environment["weights"] == "Initial weights: random."


@pytest.mark.slow
@pytest.mark.both_generations
def test_a_finished_run_is_loaded_and_trains_nothing_again(trained, care, config):
    run = load_run(care)
    rows = read_training_rows(run.config).train
    again = predict_manifest(run, rows)
    assert again.probabilities.shape == (33, 4)
    assert np.isnan(again.attention_inside).tolist() == (~rows.has_boxes).tolist()

    modified = (care / "model.keras").stat().st_mtime_ns
    train_run(config("care", training__optimizer="AdamW"), show_progress=False)  # writes the same model again
    assert (care / "model.keras").stat().st_mtime_ns > modified
    assert pd.read_csv(care / "history.csv").equals(pd.read_csv(trained.folder / "history.csv"))

    before = {name: (care / name).read_bytes() for name in ("config.yaml", "environment.json", "model.keras")}
    for wrong in ({"seed": 3}, {"every_stage": {"augmentation": {"rotate": 3}}}, {"training__optimizer": "Adamant"}):
        with pytest.raises(InputError):
            train_run(config("care", **wrong), show_progress=False)
    assert before == {name: (care / name).read_bytes() for name in before}


@pytest.mark.slow
@pytest.mark.both_generations
@pytest.mark.skipif(KERAS_3, reason="the next test evaluates, and more")
def test_a_run_is_evaluated(care):
    assert "18 images" in evaluate_run(care, num_resamples=2, check_images=1)


@pytest.mark.slow
def test_a_run_is_calibrated_and_compared_in_a_report(care, config, tmp_path):
    # The first stage alone: to train another one after a stage that was taken over is what a comparison does.
    stages = {"pretrain": {"epochs": 1, "reuse": str(care)}}
    baseline = train_run(config("baseline", stages=stages, training__optimizer="AdamW"), show_progress=False)
    assert pd.read_csv(baseline / "history.csv")["loss"][0] == pd.read_csv(care / "history.csv")["loss"][0]

    chosen = calibrate_run(care, "sensitivity=.5")
    decision = json.loads((care / "decision.json").read_text())
    assert f"temperature {decision['temperature']:.3f}" in chosen and set(decision["thresholds"]) <= set(chosen.split())
    with pytest.raises(InputError, match="Received 33 of 33 that it was, such as"):
        calibrate_run(care, split="train")

    summary = evaluate_run(care, baseline=baseline, num_resamples=20)
    assert "recall of dermatofibroma" in summary and "18 images" in summary
    metrics = json.loads((care / "metrics.json").read_text())
    predictions = pd.read_csv(care / "predictions.csv")
    names = metrics_names = [entry["name"] for entry in metrics["scores"]["classes"]]
    guessed = predictions[names].to_numpy().argmax(1)
    recall = [np.mean(guessed[predictions["label"] == name] == i) for i, name in enumerate(metrics_names)]
    assert metrics["scores"]["mean_class_accuracy"]["value"] == pytest.approx(np.mean(recall))
    assert "recall/dermatofibroma" in metrics["differences"]
    calls = {entry["name"]: entry for entry in metrics["calls"]}
    logits = np.log(predictions[names].to_numpy(float)) / decision["temperature"]
    calibrated = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for index, name in enumerate(names):
        called = calibrated[:, index] >= decision["thresholds"][name]
        assert calls[name]["num_calls"] == called.sum()
        assert calls[name]["sensitivity"]["value"] == pytest.approx(called[predictions["label"] == name].mean())

    assert_checked_as_direct(care, predictions)
    assert metrics["differences"]["lesion_reliance/dermatofibroma"]["value"] is not None
    assert "lesion reliance of dermatofibroma" in check_run(care, num_resamples=20)
    assert "What is attended to outside the boxes" in (care / "check.html").read_text()
    evaluate_run(care, split="validation", output=tmp_path / "unchecked", num_resamples=2, check_images=0)
    assert "probability_lesion_hidden" not in pd.read_csv(tmp_path / "unchecked/predictions.csv")
    assert "chosen on 16 of these images" in (tmp_path / "unchecked/report.html").read_text()
    assert_evaluation_stays_until_the_next_is_written(care, tmp_path / "unchecked")

    report = (care / "report.html").read_text()
    assert "A class is called where its calibrated probability reaches the threshold" in report
    assert "http://" not in report.replace("http://www.w3.org", "") and "before stage 2" in report
    with pytest.raises(InputError, match="nowhere"):
        evaluate_run(care, split="nowhere")


def assert_evaluation_stays_until_the_next_is_written(run, folder):
    evaluated = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(evaluated) == ["metrics.json", "predictions.csv", "report.html"]
    again = {"output": folder, "num_resamples": 2, "check_images": 0}
    for name in ("write_predictions", "write_report", "write_json"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_evaluation, name, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                evaluate_run(run, **again)
        assert evaluated == {path.name: path.read_bytes() for path in folder.iterdir()}
    with sole_work(folder), pytest.raises(InputError, match="Another run is at work on .*unchecked"):
        evaluate_run(run, **again)


def assert_checked_as_direct(folder, predictions):
    """The images with boxes, and these alone, were predicted again; the last as by a slow filling and Keras alone."""
    is_checked = predictions["probability_lesion_hidden"].notna()
    assert is_checked.tolist() == predictions["attention_inside"].notna().tolist() and is_checked.any()
    run = load_run(folder)
    rows = selected_rows(run, "test", None, None, None, ())
    last = int(np.flatnonzero(is_checked)[-1])
    (image,), (mask,), (label,) = read_images(run, rows.subset([last]))
    changed = dict(zip(("lesion_hidden", "rest_hidden"), slowly_occluded(image, mask)[0], strict=True))
    for name, pixels in changed.items():
        direct = run.care_model.classifier(run.preprocess(tf.constant(pixels[np.newaxis], tf.float32)))
        probability = predictions[f"probability_{name}"][last]
        assert probability == pytest.approx(float(direct[0, label]), abs=2e-4)
    areas = predictions.loc[is_checked, ["insertion_area", "deletion_area"]].to_numpy()
    assert ((areas >= 0) & (areas <= 1)).all()


def assert_in_tensorboard(run, history):
    train, validation = events(run / "tensorboard"), events(run / "tensorboard", "validation")
    for name in history.columns.drop(["stage", "epoch"]):
        found = (validation if name.startswith("val_") else train)[name.removeprefix("val_")]
        written = history[name].dropna()
        assert [step for step, _ in found] == (written.index + 1).tolist()
        np.testing.assert_allclose([value for _, value in found], written, rtol=1e-6)
    assert [step for step, _ in train["attention"]] == [0, 1, 2]
    ((_, text),) = train["settings"]
    tables, _, yaml_text = text.decode().removesuffix("```").partition("```yaml\n")
    assert yaml_text == (run / "config.yaml").read_text()
    assert "| stage | pretrain | finetune |" in tables and "| alpha | `0.0` | `0.5` |" in tables.replace(
        "`alpha`", "alpha"
    )


def test_fingerprints_change_with_what_a_stage_depends_on(config):
    first = config()
    manifests = read_training_rows(first)
    of = stage_fingerprints(first, manifests)
    assert of[0] != of[1]

    def changed(index, **changes):
        other = config(**changes)
        return stage_fingerprints(other, read_training_rows(other))[index] != of[index]

    boxes = {"care": {"tau": 0.3}}
    assert not changed(0, **boxes) and changed(1, **boxes)
    assert not changed(1, care={"outside": "uniform"}) and changed(1, care={"outside": "distance"})
    assert not changed(1, care={"form": "care"}) and changed(1, care={"form": "energy"})
    for switch in ({"training__tensorboard": True}, {"training__largest_loss": None}):
        assert not changed(0, **switch) and not changed(1, **switch)
    assert not changed(0, output="elsewhere") and not changed(1, output="elsewhere")
    reused = {"stages": {"pretrain": {"epochs": 1, "reuse": "x"}, "finetune": {"epochs": 1, "alpha": 0.5}}}
    assert not changed(0, **reused) and not changed(1, **reused)
    watching = {"stages": {"pretrain": {"epochs": 1, "monitor": "attention_loss"}, "finetune": {"epochs": 1}}}
    both = [config(**watching, care={"tau": tau}) for tau in (0.7, 0.3)]
    assert len({stage_fingerprints(c, read_training_rows(c))[0] for c in both}) == 2
    same = {"stages": {"pretrain": {"epochs": 1, "embedding_weight": 3.0}, "finetune": {"epochs": 1, "alpha": 0.5}}}
    assert not changed(0, **same)
    for change in (
        {"seed": 1},
        {"training__batch_size": 8},
        {"every_stage": {}},
        {"data__image_size_px": 48},
        {"data__max_pixel_value": 4095},
        {"data__resize": "pad"},
    ):
        assert changed(0, **change) and changed(1, **change)


def test_weights_are_known_by_their_content_not_by_where_they_lie(config, tmp_path, monkeypatch):
    rows = read_training_rows(config())

    def fingerprint(weights):
        return stage_fingerprints(config(model__weights=str(weights)), rows)[0]

    monkeypatch.chdir(tmp_path)
    downloaded = fingerprint("imagenet")
    for name in ("weights.h5", "preset/model.weights.h5", "moved.h5", "moved/model.weights.h5", "imagenet/weights.h5"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"weights")
    assert fingerprint("imagenet") == downloaded  # the setting, whatever lies here
    file, folder = fingerprint("weights.h5"), fingerprint("preset")
    assert fingerprint("moved.h5") == file and fingerprint("moved") == folder != file
    Path("weights.h5").write_bytes(b"others")
    Path("preset/model.weights.h5").write_bytes(b"others")
    assert fingerprint("weights.h5") != file and fingerprint("preset") != folder


def test_a_backbone_that_is_a_folder_is_known_by_its_content(config, tmp_path, monkeypatch):
    rows = read_training_rows(config())

    def fingerprint(folder):
        return stage_fingerprints(config(model__backbone=f"keras_hub/{folder}"), rows)[0]

    monkeypatch.chdir(tmp_path)
    for name in ("preset", "moved"):
        Path(name).mkdir()
        Path(name, "model.weights.h5").write_bytes(b"weights")
    first = fingerprint("preset")
    assert fingerprint("moved") == first != fingerprint("a_name")
    Path("preset/model.weights.h5").write_bytes(b"others")
    assert fingerprint("preset") != first


def test_boxes_do_not_enter_the_first_stages_fingerprint(config):
    first, other = config(), config(data__mask_classes=["nevus"])
    both = [read_training_rows(c) for c in (first, other)]
    assert both[0].train.has_boxes.any() and not both[1].train.has_boxes.any()
    assert stage_fingerprints(first, both[0])[0] == stage_fingerprints(other, both[1])[0]
    assert stage_fingerprints(first, both[0])[1] != stage_fingerprints(other, both[1])[1]


def test_training_takes_its_boxes_from_another_manifest_and_evaluation_does_not(config, data, tmp_path):
    manifest = read_manifest(data)
    made = tuple(boxes if not len(boxes) else np.array([[1, 2, 3, 4]], np.float32) for boxes in manifest.boxes)
    write_manifest(dataclasses.replace(manifest, boxes=made, mask_paths=()), tmp_path / "made.csv")
    changed = config(data__train_boxes=str(tmp_path / "made.csv"))
    manifests = read_training_rows(changed)
    own = read_training_rows(config())
    with_boxes = np.flatnonzero(own.train.has_boxes)
    assert len(with_boxes)
    assert all(manifests.train.boxes[i].tolist() == [[1, 2, 3, 4]] for i in with_boxes)
    assert manifests.validation.fingerprint() == own.validation.fingerprint()
    assert stage_fingerprints(changed, manifests)[0] == stage_fingerprints(config(), own)[0]
    assert stage_fingerprints(changed, manifests)[1] != stage_fingerprints(config(), own)[1]


def test_who_drew_boxes_that_are_not_used_does_not_matter(config, data, tmp_path):
    manifest = read_manifest(data)
    rare = [manifest.class_names[label] == "dermatofibroma" for label in manifest.labels]
    sources = tuple(
        source if is_rare else "somebody" for source, is_rare in zip(manifest.box_sources, rare, strict=True)
    )
    write_manifest(dataclasses.replace(manifest, box_sources=sources), tmp_path / "other.csv")
    own = config(data__mask_classes=["dermatofibroma"])
    other = config(data__mask_classes=["dermatofibroma"], data__train_boxes=str(tmp_path / "other.csv"))
    both = [stage_fingerprints(c, read_training_rows(c))[1] for c in (own, other)]
    assert read_training_rows(own).train.has_boxes.any() and both[0] == both[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__mask_classes": ["nevus"]}, "alpha > 0 need boxes, but no training row .* for nevus"),
        ({"data__mask_classes": ["wart"]}, "data.mask_classes names classes .* wart"),
        ({"data__max_images_per_class": {"wart": 3}}, "data.max_images_per_class names classes"),
        ({"data__train": {"split": "test"}}, "data.train and data.test share 18 images"),
        ({"model__activation": "sigmoid"}, "sigmoid is one unit for two classes"),
        ({"model__backbone": "resnet51"}, "A backbone must be one of"),
        ({"every_stage__augmentation": {"rotate": 3}}, "augmentation has an unknown key, rotate.*rotation_degrees"),
        ({"training__optimizer": "Adamant"}, "training.optimizer='Adamant'"),
        ({"care__attention_layer": "nowhere"}, "attention_layer='nowhere' is not a layer"),
        ({"care__attention_layer": ["block4_relu", "block1_relu"]}, "Received 'block4_relu' before 'block1_relu'"),
        (
            {"care": {"attention_layer": ["block1_relu", "backbone"], "form": "perturbation"}},
            "no mean over attention layers. Received attention_layer=.'block1_relu', 'backbone'.",
        ),
    ],
)
def test_bad_runs_are_refused(config, changes, message):
    with pytest.raises(InputError, match=message):
        train_run(config(**changes), show_progress=False)


def test_a_run_stops_at_its_largest_loss_and_goes_on_with_another(config, eager):
    stages = {"pretrain": {"epochs": 1}}
    too_large = r"became \d.*at epoch 1, batch 1 \(classification_loss\), with the images .*jpg.*training.largest_loss"
    with pytest.raises(InputError, match=too_large):
        train_run(config(stages=stages, training__largest_loss=1e-3), show_progress=False)
    folder = train_run(config(stages=stages, training__largest_loss=None), show_progress=False)
    assert (folder / "model.keras").exists()
    with pytest.raises(InputError, match="training.largest_loss.*greater than 0"):
        config(training__largest_loss=0)


def test_a_run_that_another_process_trains_is_refused(config):
    settings = config()
    folder = Path(settings.output)
    with sole_training(folder), pytest.raises(InputError, match="Another run is at work on"):
        train_run(settings, show_progress=False)
    assert not (folder / "config.yaml").exists()


def test_a_model_with_code_in_it_is_refused_and_not_run(care, tmp_path):
    marker = tmp_path / "ran"
    layer = keras.layers.Lambda(eval(f"lambda x: [open({str(marker)!r}, 'w').close(), x][1]"), output_shape=(2,))
    keras.Sequential([keras.Input((2,)), layer]).save(care / "model.keras")
    marker.unlink(missing_ok=True)
    with pytest.raises(InputError, match="model.keras must hold a network of known layers.*Lambda"):
        load_run(care)
    assert not marker.exists()


def test_folders_that_are_no_runs_are_refused(config, tmp_path):
    with pytest.raises(InputError, match="is not a run folder"):
        load_run(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something that is not a run"):
        train_run(config("run"), show_progress=False)
    assert (tmp_path / "run" / "thesis.txt").exists()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.yaml").write_text(yaml.safe_dump({}))
    with pytest.raises(InputError, match="has not finished"):
        load_run(tmp_path / "half")
