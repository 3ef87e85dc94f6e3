"""Figures in groups of images, as metrics.json and as text; a run's network is not needed for it."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from care_tf.data import Manifest
from care_tf.errors import InputError
from care_tf.runs._run_evaluation import evaluate_run
from care_tf.runs._run_groups import GroupColumns, GroupFigures, group_figures


def looked_at(calls, name="care"):
    """A run that calls six images, of MEL, NV, with and without a frame; the first four are two pairs."""
    rows = Manifest(
        tuple(f"/{i}.jpg" for i in range(6)),
        [0, 0, 1, 1, 0, 1],
        ("MEL", "NV"),
        groups=("a", "a", "b", "b", "c", "d"),
        inputs={"cue": ("frame", "none") * 3, "pair": ("a", "a", "b", "b", "", "")},
    )
    predictions = SimpleNamespace(probabilities=np.eye(2)[calls])
    return SimpleNamespace(run=SimpleNamespace(folder=Path("runs", name)), rows=rows, predictions=predictions)


def test_figures_and_text_of_two_runs():
    run, baseline = looked_at([0, 1, 1, 1, 0, 1]), looked_at([0, 0, 1, 1, 0, 1], "plain")
    found = group_figures(run, baseline, GroupColumns("cue", "pair"), 50)
    scores = json.loads(json.dumps(found.own))["scores"]
    recalls = {(cell["class_name"], cell["group"]): cell["recall"]["value"] for cell in scores["cells"]}
    assert recalls == {("MEL", "frame"): 1, ("MEL", "none"): 0, ("NV", "frame"): 1, ("NV", "none"): 1}
    assert [each["flip_rate"]["value"] for each in (found.own, found.baseline)] == [0.5, 0]
    assert [each["scores"]["worst"]["value"] for each in (found.own, found.baseline)] == [0, 1]
    assert {name: each.value for name, each in found.differences.items() if each.value} == {
        **{"group_recall/MEL/none": -1, "group_mean_class_accuracy/none": -0.5},
        **{"worst_group_recall": -1, "flip_rate": 0.5},
    }
    lines = [" ".join(line.split()) for line in found.text.splitlines()]
    assert lines[0] == "care, by cue care plain difference"
    mel_none = "recall of MEL, none 0.000 [0.000, 0.000] 1.000 [1.000, 1.000] -1.000 [-1.000, -1.000] 0 and 1 of 1"
    assert mel_none in lines
    assert any(line.startswith("lowest recall of a class in a group 0.000") for line in lines)
    assert any(line.startswith("pairs whose call changes 0.500") for line in lines)
    few = "fewer than 20 images, so that one changes the recall by more than 5 points: MEL, frame; NV, frame;"
    assert lines[-1].startswith(few)


def test_without_a_group_there_is_nothing_and_without_pairs_or_a_baseline_none_of_theirs():
    assert group_figures(looked_at([0] * 6), None, GroupColumns(), 5) == GroupFigures()
    found = group_figures(looked_at([0] * 6), None, GroupColumns("cue"), 5)
    assert found.baseline is None and not found.differences
    assert "flip_rate" not in found.own and "pairs" not in found.text and "difference" not in found.text
    assert "  recall of MEL, none" in found.text and "1 of 1" in found.text


def test_without_lesions_recalls_are_drawn_in_pairs_as_their_differences_are():
    rng = np.random.default_rng(0)
    pairs = tuple(f"{i // 2}" if i < 30 else "" for i in range(40))

    def scores(groups, columns):
        inputs = {"cue": ("frame", "none") * 20, "pair": pairs}
        rows = Manifest(tuple(f"/{i}.jpg" for i in range(40)), labels, ("MEL", "NV"), groups=groups, inputs=inputs)
        run = SimpleNamespace(rows=rows, predictions=predictions, run=SimpleNamespace(folder=Path("runs/care")))
        return group_figures(run, None, columns, 100).own["scores"]

    labels, predictions = np.repeat(rng.integers(0, 2, 20), 2), SimpleNamespace(probabilities=rng.dirichlet([1, 1], 40))
    units = tuple(f"pair {pair}" if pair else f"image {i}" for i, pair in enumerate(pairs))
    paired = GroupColumns("cue", "pair")
    assert scores(("",) * 40, paired) == scores(units, paired) != scores(("",) * 40, GroupColumns("cue"))


def test_pairs_without_a_group_and_columns_with_another_meaning_are_refused():
    with pytest.raises(InputError, match="Received the pairs pair and no group"):
        evaluate_run("nowhere", pairs="pair")
    with pytest.raises(InputError, match="one that says more than .* Received split"):
        evaluate_run("nowhere", group="split")
