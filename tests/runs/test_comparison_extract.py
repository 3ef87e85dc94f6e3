"""What is kept of a comparison's folder, beside slow loops over what its runs predicted."""

import dataclasses

import numpy as np
import pytest
import yaml
from PIL import Image

from care_tf import run_files
from care_tf.data import Manifest, read_manifest, write_manifest
from care_tf.errors import InputError
from care_tf.runs import comparison_plan
from care_tf.runs._folder import write_config
from care_tf.runs._run_predictions import Predictions, write_predictions
from care_tf.runs.comparison_extract import extract_comparison, read_extract, write_extract

CLASSES = ("MEL", "NV")
SAID = {"plain": [0, 1, 0, 1], "care": [0, 0, 0, 1], "rival": [1, 0, 1, 0]}  # of the tests' four kinds of image


@pytest.fixture
def folder(tmp_path):
    """Three methods with two seeds, finished: plain, care beside it, and a rival beside nothing."""
    write_trap(tmp_path)
    base = {
        "data": {
            "manifest": str(tmp_path / "manifest.csv"), "train": {"split": "train"}, "test": {"split": "test"},
            "image_size_px": [32, 40],
        },
        "model": {"backbone": "small_cnn"},
        "stages": {"pretrain": {"epochs": 2}, "finetune": {"epochs": 1}},
        "every_stage": {"learning_rate": 0.1},
    }  # fmt: skip
    care = {"extends": "plain.yaml", "title": "CARE", "baseline": "plain", "stages": {"finetune": {"alpha": 0.5}}}
    rival = {"extends": "plain.yaml", "stages": {"finetune": {"class_weight": "balanced"}}}
    for name, content in {"plain": base, "care": care, "rival": rival}.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    methods = comparison_plan.read_methods([tmp_path / f"{name}.yaml" for name in SAID])
    for cell in comparison_plan.plan_cells(methods, None, [0, 3], tmp_path / "out"):
        write_config(cell.folder, cell.config)
        (cell.folder / run_files.CELL_RECORD).write_text(cell.prediction_fingerprint)
        rows = read_manifest(tmp_path / "manifest.csv").select(split="test")
        unknown = np.full(len(rows), np.nan)
        said = Predictions(probabilities(cell.method, cell.config.seed), unknown, np.zeros(len(rows), bool))
        write_predictions(cell.folder, rows, said)
    return tmp_path / "out"


def write_trap(folder):
    """Eight images to train on, of which seven have the cue of their class, and eight to test, of four kinds, twice."""
    paths = [str(folder / f"{number}.png") for number in range(16)]
    for number, path in enumerate(paths):
        Image.fromarray(np.full((40, 32, 3), number, np.uint8)).save(path)
    cues = ["frame"] * 3 + ["none"] + ["none"] * 4 + ["frame", "none", "none", "frame"] * 2
    labels = [0] * 4 + [1] * 4 + [0, 0, 1, 1] * 2
    rows = Manifest(
        tuple(paths),
        np.array(labels),
        CLASSES,
        boxes=[np.array([[2, 2, 20, 20]])] * 16,
        groups=tuple(f"lesion {number // 2}" for number in range(16)),
        splits=("train",) * 8 + ("test",) * 8,
        inputs={
            "cue": tuple(cues),
            "pair": ("",) * 8 + tuple(f"p{number // 2}" for number in range(8)),
        },
    )
    write_manifest(rows, folder / "manifest.csv")


def probabilities(method, seed):
    """(8, 2): the calls of a method; with seed 3 its first image is called rightly."""
    calls = np.array(SAID[method] * 2)
    calls[0] = calls[0] if seed == 0 else 0
    return np.where(calls[:, None] == [0, 1], 0.8, 0.2)


def accuracy(method, seed):
    right = {name: [] for name in CLASSES}
    for row, label in enumerate([0, 0, 1, 1] * 2):
        right[CLASSES[label]].append(probabilities(method, seed)[row].argmax() == label)
    return np.mean([np.mean(each) for each in right.values()])


def beside_rival(method, methods):
    return ["rival"] if method == "care" and "rival" in methods else []


def test_figures_and_differences_are_those_of_the_predictions(folder):
    extract = extract_comparison(folder, beside_rival, "cue", "pair", num_resamples=50)
    expected = {method: [accuracy(method, seed) for seed in (0, 3)] for method in SAID}
    for method, each in expected.items():
        kept = extract.figures[method, "mean_class_accuracy"]
        assert kept.estimate.value == pytest.approx(np.mean(each), abs=1e-6)
        assert (kept.minimum, kept.maximum, kept.num_models) == (min(each), max(each), 2)
    for other in ("plain", "rival"):
        kept = extract.differences["care", other, "mean_class_accuracy"]
        gains = np.subtract(expected["care"], expected[other])
        assert kept.estimate.value == pytest.approx(gains.mean(), abs=1e-6) and kept.minimum == gains.min()
        assert kept.estimate.low <= kept.estimate.value <= kept.estimate.high
    assert {(method, other) for method, other, _ in extract.differences} == {("care", "plain"), ("care", "rival")}
    assert {"worst_group_recall", "flip_rate", "recall_at_equal_calls/MEL"} <= {
        name for *_, name in extract.differences
    }


def test_what_else_is_known_of_the_comparison_is_kept(folder):
    extract = extract_comparison(folder, group="cue", num_resamples=2)
    assert extract.titles == {"plain": "plain", "care": "CARE", "rival": "rival"}
    assert extract.baselines == {"care": "plain"}
    assert extract.cue_share == 7 / 8 and extract.training_images == {"MEL": 4, "NV": 4}
    assert (extract.seeds, extract.folds, extract.num_planned) == ((0, 3), {"test": (8, 4)}, 2)
    assert extract.setting == "small_cnn from random weights, 32 x 40 px, 2 + 1 epochs, all layers trained"
    assert extract_comparison(folder, num_resamples=2).cue_share is None
    assert extract_comparison(folder, group="pair", num_resamples=2).cue_share is None  # one in training: ""


def test_it_is_the_same_when_read_again(folder, tmp_path):
    extract = extract_comparison(folder, beside_rival, "cue", num_resamples=20)
    write_extract(tmp_path / "kept.json", extract)
    assert read_extract(tmp_path / "kept.json") == extract
    assert str(tmp_path) not in (tmp_path / "kept.json").read_text()
    (tmp_path / "kept.json").write_text('{"figures": []}')
    with pytest.raises(InputError, match=r"kept.json is damaged.*KeyError: 'differences'"):
        read_extract(tmp_path / "kept.json")


def test_paths_are_refused(folder, tmp_path):
    extract = extract_comparison(folder, num_resamples=2)
    for text in (
        "/home/me/boxes.csv",
        "boxes\\dsr.csv",
        "(~/boxes)",
        "~me/a",
        "../boxes",
        "C:/a",
        "file:///a",
        "s3://a",
    ):
        with pytest.raises(InputError, match="holds no paths, which are of one machine. Received "):
            dataclasses.replace(extract, titles={"care": f"CARE, {text}"})
    write_extract(tmp_path / "kept.json", extract)
    text = (tmp_path / "kept.json").read_text()
    (tmp_path / "kept.json").write_text(text.replace('"CARE"', '"CARE of /mnt"'))
    with pytest.raises(InputError, match="Received 'CARE of /mnt' among its titles"):
        read_extract(tmp_path / "kept.json")


def test_slashes_that_are_no_paths_are_kept(folder, tmp_path):
    names = {"No Lung Opacity / Not Normal": 3, "MEL/NV": 4}
    extract = dataclasses.replace(extract_comparison(folder, num_resamples=2), training_images=names)
    write_extract(tmp_path / "kept.json", extract)
    assert read_extract(tmp_path / "kept.json").training_images == names


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="must hold a finished run. Received .*nothing"):
        extract_comparison(tmp_path / "nothing")


def test_data_that_have_changed_are_refused(folder, tmp_path):
    rows = read_manifest(tmp_path / "manifest.csv", inputs=["cue", "pair"])
    write_manifest(rows.subset(range(1, 16)), tmp_path / "manifest.csv")
    with pytest.raises(InputError, match="Received another manifest, boxes or weights"):
        extract_comparison(folder)
