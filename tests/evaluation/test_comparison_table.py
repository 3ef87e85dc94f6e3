import csv

import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.evaluation._comparison_cells import CellKey, CellPredictions, MethodSpec
from care_tf.evaluation._comparison_table import (
    comparison_markdown,
    comparison_rows,
    write_cells_csv,
    write_comparison_csv,
)
from care_tf.evaluation._method_comparison import CellMean, Comparison, FoldSize, MethodScores, compare_methods
from care_tf.evaluation.scores import Estimate

KEYS = (CellKey("0", 0), CellKey("1", 0))
NOTHING = CellMean(Estimate(None, None, None), {})


def _mean(value, low, high, *cells):
    return CellMean(Estimate(value, low, high), dict(zip(KEYS, cells, strict=False)))


def _comparison(num_groups=900, care_cells=KEYS, difference=None, title="CARE"):
    """A method and its baseline by hand: two folds, one seed, attention measured for DF alone."""
    figures = {
        "mean_class_accuracy": _mean(0.5474, 0.52, 0.5751, 0.5, 0.5948),
        "macro_auc": _mean(1.0, 1.0, 1.0, 1.0, 1.0),
        "attention_inside": NOTHING,
        "recall/DF": _mean(0.25, 0.0, 0.5, 0.25),
        "auc/DF": _mean(0.9, 0.85, 0.95, 0.88, 0.92),
        "attention_inside/DF": NOTHING,
        **dict.fromkeys(("precision/DF", "f1/DF", "average_precision/DF", "recall_at_equal_calls/DF"), NOTHING),
    }
    differences = {
        name: NOTHING for name in figures
    } | {
        "mean_class_accuracy": difference or _mean(0.04, 0.01, 0.072, -0.003, 0.08),
        "macro_auc": _mean(-0.0004, -0.012, 0.01, -0.02, 0.0),
    }  # fmt: skip
    empty = dict.fromkeys(figures, NOTHING)
    return Comparison(
        ("DF",), 1000, 0, (FoldSize("0", 500, num_groups // 2), FoldSize("1", 500, num_groups // 2)), KEYS,
        (
            MethodScores(MethodSpec("ce", "Cross entropy"), KEYS, (), figures, {}),
            MethodScores(
                MethodSpec("care", title, "ce"), care_cells, care_cells, figures if care_cells else empty,
                differences if care_cells else empty,
            ),
        ),
    )  # fmt: skip


def _table_rows(text, number):
    """The cells of one of the Markdown's tables, header first, without the rule."""
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    lines = tables[number]
    assert set(lines[1]) == set("|-") and len({len(line) for line in lines}) == 1
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in (lines[0], *lines[2:])]


def _read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# oracle


def test_rows_hold_every_number_of_a_figure():
    rows = comparison_rows(_comparison())
    assert len(rows) == 2 * 10
    assert rows[0] == {
        "method": "ce", "figure": "mean_class_accuracy", "value": 0.5474, "low": 0.52, "high": 0.5751, "min": 0.5,
        "max": 0.5948, "num_cells": 2, "baseline": None, "difference": None, "difference_low": None,
        "difference_high": None, "difference_min": None, "difference_max": None, "difference_num_cells": None,
    }  # fmt: skip
    assert {k: v for k, v in rows[10].items() if k.startswith(("base", "diff"))} == {
        "baseline": "ce", "difference": 0.04, "difference_low": 0.01, "difference_high": 0.072,
        "difference_min": -0.003, "difference_max": 0.08, "difference_num_cells": 2,
    }  # fmt: skip
    assert rows[3]["num_cells"] == 1 and rows[2]["num_cells"] == rows[12]["difference_num_cells"] == 0


def test_figures_table_shows_value_interval_and_range():
    rows = _table_rows(comparison_markdown(_comparison(), ["DF"]), 0)
    assert rows[0] == ["method", "models", "Mean class accuracy", "Macro AUC", "DF recall", "DF AUC"]
    assert rows[1] == [
        "Cross entropy", "2 of 2", ".547 [.520, .575]<br>.500 to .595", "1.000 [1.000, 1.000]<br>1.000 to 1.000",
        ".250 [.000, .500] (1 of 2)<br>.250 to .250", ".900 [.850, .950]<br>.880 to .920",
    ]  # fmt: skip


def test_differences_table_is_bold_where_the_interval_excludes_zero():
    rows = _table_rows(comparison_markdown(_comparison(), ["DF"], has_ranges=False), 1)
    assert rows[1:] == [
        ["CARE", "Cross entropy", "2 of 2", "**+.040 [+.010, +.072]**", ".000 [\u2212.012, +.010]", "n/a", "n/a"]
    ]


def test_notes_count_the_comparisons():
    text = comparison_markdown(_comparison(), ["DF"])
    assert "Bold: the interval excludes 0, as 1 of 2 in the table do. In 1 of these the trained models lie" in text
    assert "1,000 resamples of the groups (patients or lesions) within each fold (2 folds, 1,000 images in 900" in text
    assert "or they were predicted before there was such a figure." in text
    assert "(k of n): over the k of n models" in text and "(k of n)" not in comparison_markdown(_comparison(), [])
    assert "Unfinished" not in text and "Not every method" not in text


# identities


def test_csv_files_hold_the_comparison(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(20) % 2
    cells = [
        CellPredictions(m, f, 0, tuple(f"{f}{i}" for i in range(20)), labels, rng.dirichlet([1, 1], 20))
        for m in ("ce", "care") for f in "01"
    ]  # fmt: skip
    methods = [MethodSpec("ce", "Cross entropy"), MethodSpec("care", "CARE", "ce")]
    comparison = compare_methods(methods, cells, ["NV", "DF, rare"], num_resamples=10)
    write_comparison_csv(tmp_path / "comparison.csv", comparison)
    write_cells_csv(tmp_path / "new" / "cells.csv", comparison)
    rows = _read(tmp_path / "comparison.csv")
    expected = comparison_rows(comparison)
    assert rows == [{k: "" if v is None else str(v) for k, v in row.items()} for row in expected]
    place = next(place for place, row in enumerate(expected) if row["figure"] == "auc/NV")
    assert float(rows[place]["low"]) == expected[place]["low"]
    of_cells = _read(tmp_path / "new" / "cells.csv")
    assert list(of_cells[0]) == ["method", "fold", "seed", "figure", "value"]
    assert len(of_cells) == 2 * 2 * 17  # all figures but the three of attention and recall at equal calls
    for method in comparison.methods:
        values = [
            float(row["value"]) for row in of_cells if (row["method"], row["figure"]) == (method.spec.name, "macro_auc")
        ]
        assert np.mean(values) == pytest.approx(method.figures["macro_auc"].mean.value)


def test_rows_in_focus_are_those_of_all_rows():
    comparison = _comparison()
    names = {"mean_class_accuracy", "macro_auc", "recall/DF", "auc/DF"}
    assert comparison_rows(comparison, ["DF"]) == [r for r in comparison_rows(comparison) if r["figure"] in names]


# edges


def test_method_without_a_model_is_listed_as_unfinished():
    text = comparison_markdown(_comparison(care_cells=()), ["DF"])
    assert _table_rows(text, 0)[2] == ["CARE", "0 of 2", "n/a", "n/a", "n/a", "n/a"]
    assert _table_rows(text, 1)[1] == ["CARE", "Cross entropy", "0 of 2", "n/a", "n/a", "n/a", "n/a"]
    assert "Unfinished, without any trained model yet: CARE." in text
    assert "differences, each at 95 %" not in text


def test_methods_with_fewer_models_are_pointed_out():
    assert "Not every method has all models" in comparison_markdown(_comparison(care_cells=KEYS[:1]), ["DF"])


def test_without_baselines_there_is_one_table():
    comparison = _comparison()
    alone = Comparison(**{**vars(comparison), "methods": comparison.methods[:1]})
    text = comparison_markdown(alone, [])
    assert len([part for part in text.split("\n\n") if part.startswith("|")]) == 1 and "baseline" not in text
    assert [row[1] for row in _table_rows(text, 0)] == ["models", "2 of 2"]


def test_images_without_groups_are_called_images():
    assert "resamples of the images within each fold (2 folds, 1,000 images)" in comparison_markdown(
        _comparison(num_groups=1000), []
    )


def test_bars_in_titles_do_not_break_the_table():
    assert "| CARE \\| DF " in comparison_markdown(_comparison(title="CARE | DF"), [])


# errors


def test_unknown_class_in_focus_is_refused():
    for function in (comparison_rows, comparison_markdown):
        with pytest.raises(InputError, match=r"Classes in focus must be among \['DF'\]. Received: \['NV'\]"):
            function(_comparison(), ["NV"])


def test_figures_in_groups_of_few_images_say_so():
    labels = np.array([0] * 50 + [1] * 50)
    probabilities = np.eye(2)[np.random.default_rng(0).integers(0, 2, 100)]
    groups = ["frame"] * 10 + ["none"] * 40 + ["frame"] * 25 + ["none"] * 25
    names = tuple(map(str, range(100)))
    cell = CellPredictions("ce", "3", 0, names, labels, probabilities, image_groups=groups)
    comparison = compare_methods([MethodSpec("ce", "Cross entropy")], [cell], ["MEL", "NV"], 20)
    text = comparison_markdown(comparison, ["MEL"])
    header = _table_rows(text, 0)[0]
    assert "Lowest recall of a class in a group" in header and "NV recall, frame" in header
    assert "Pairs whose call changes" not in header
    assert "more than 5 points, and without any there is no recall: MEL, frame: 10 in fold 3." in text
    assert any(row["figure"] == "group_recall/NV/none" for row in comparison_rows(comparison))
