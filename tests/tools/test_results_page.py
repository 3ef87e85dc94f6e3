"""The results page says what its figures allow, and is the one that its figures give."""

import dataclasses
import itertools
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from care_tf.errors import InputError
from care_tf.evaluation import Estimate
from care_tf.runs.comparison_extract import ComparisonExtract, KeptFigure, write_extract

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "docs"))

import results_page  # noqa: E402
import results_questions  # noqa: E402
import results_words  # noqa: E402

FIGURES = ("mean_class_accuracy", "worst_group_recall", "flip_rate", "recall/MEL", "recall_at_equal_calls/MEL")
FIGURES += ("precision/MEL", "attention_inside/MEL", "lesion_reliance/MEL")


def kept(value, half=0.02, seeds=3):
    """A figure whose interval and models lie around its value."""
    return KeptFigure(Estimate(value, value - half, value + half), value - 0.001, value + 0.001, seeds)


def extract(gains, share=1.0, seeds=3, rivals=None, **figures):
    """A comparison of methods with gains over CSL in all figures, or in `figures`, and less or more than rivals."""
    differences = {
        (m, "csl", f): kept(figures.get(f.partition("/")[0], gain), seeds=seeds)
        for m, gain in gains.items()
        for f in FIGURES
    }
    for rival, beside in (rivals or {}).items():
        differences |= {(m, rival, f): kept(gain) for m, gain in beside.items() for f in FIGURES[:2]}
    methods = ("csl", *gains)
    return ComparisonExtract(
        titles={method: f"title of {method}" for method in methods},
        baselines=dict.fromkeys(gains, "csl"),
        focus=("MEL", "NV"),
        seeds=tuple(range(seeds)),
        folds={"test": (236, 118)},
        num_resamples=1000,
        training_images={"MEL": 87, "NV": 175},
        cue_share=share,
        setting="squeezenet1_1 from imagenet, 128 x 128 px, 5 + 3 epochs, all layers trained",
        figures={(m, f): kept(0.5) for m in methods for f in FIGURES if not f.startswith("recall_at")},
        differences=differences,
    )


def section(page, question):
    """What the page says below a question."""
    (found,) = [part for part in page.split("\n## ") if part.startswith(question)]
    return found


TRAP = {"care_masked_both": 0.05, "energy": 0.01, "perturbation": -0.04, "paint": 0.03, "crop": -0.05}


# sentences


def test_shown_is_said_where_the_interval_excludes_0_and_nowhere_else():
    said = section(results_page.page({"frame_100": extract(TRAP)}), "Which method helps most")
    shown = (
        "shown to be higher for 2 of 5 (CARE masked on both classes +5.0 [+3.0, +7.0]; painting +3.0 [+1.0, +5.0]) "
        "and lower for 2 (perturbation -4.0 [-6.0, -2.0]; cropping -5.0 [-7.0, -3.0]); no difference is shown for 1 "
        "(energy)"
    )
    assert f"**Beside CSL, mean class accuracy is {shown}, and the lowest recall of a class is {shown}.**" in said
    assert "| energy | CSL | +1.0 [-1.0, +3.0] † |" in said
    assert "| perturbation | CSL | **-4.0 [-6.0, -2.0]** † |" in said


def test_no_gain_at_all_is_said():
    said = results_page.page({"frame_100": extract({"energy": 0.0, "paint": -0.01})})
    assert (
        "is shown to be higher for none of 2 and lower for none; no difference is shown for 2 (energy, painting).**"
    ) in said
    assert "in the lowest recall of a class for 2 of 2 methods and simple rivals (energy and painting).**" in said


def test_what_was_not_run_is_said_and_never_filled():
    page = results_page.page({"frame_100": extract(TRAP)})
    assert (
        "Not run yet: frame_50, frame_70, frame_90, decoy_90, decoy_100, frame_90_boxes, isic_learned_boxes, isic_full."
        in page
    )
    assert "**Not run: decoy_90, decoy_100.**" in section(page, "Is it the same with a drawn cue?")
    assert "are shown for 2 of 2 and 2 of 2 methods at a share of 1; not run: frame_50, frame_70, frame_90.**" in page
    assert "not run: random_boxes.**" in section(page, "Do simple rivals do as well?")
    assert results_page.page({}).count("**Not run: ") == len(results_questions.QUESTIONS)


BOTH = "CARE masked on both classes"
ALONE = "no simple rival compared does as well; not compared: random boxes and cropping."


@pytest.mark.parametrize(
    ("beside", "said", "counted"),
    [
        (0.05, "no simple rival compared does as well; ", f"1 of 1 methods ({BOTH})"),
        (0.01, "**as well** painting (+1.0 [-1.0, +3.0]); ", "none of 1 methods"),
        (-0.05, "**better** painting (-5.0 [-7.0, -3.0]); ", "none of 1 methods"),
    ],
)
def test_a_rival_that_does_as_well_is_named(beside, said, counted):
    gains = {"care_masked_both": 0.05, "paint": 0.03}
    page = results_page.page({"frame_100": extract(gains, rivals={"paint": {"care_masked_both": beside}})})
    questions, figures = ("Does supervision", "Which method"), ("Mean class accuracy", "Lowest recall")
    for question, figure in itertools.product(questions, figures):
        line = f"- {figure}, beside {BOTH}, the best at a share of 1: {said}"
        assert f"{line}not compared: random boxes and cropping." in section(page, question)
    rivals = section(page, "Do simple rivals")
    assert (
        f"**Mean class accuracy is shown to be above every simple rival's (painting) for {counted}, and the lowest "
        f"recall for {counted}; not run: random_boxes, crop.**"
    ) in rivals


def test_no_rival_is_said_to_lose_only_where_all_are_compared():
    gains = {"energy": 0.05, **dict.fromkeys(results_words.RIVALS, 0.03)}
    study = extract(gains, rivals={rival: {"energy": 0.05} for rival in results_words.RIVALS})
    all_said = "- Mean class accuracy, beside energy, the best at a share of 1: no simple rival does as well.\n"
    assert all_said in section(results_page.page({"frame_100": study}), "Which method")
    for rival in results_words.RIVALS:  # run, but without a difference
        del study.differences["energy", rival, "mean_class_accuracy"]
    said = section(results_page.page({"frame_100": study}), "Which method")
    assert "- Mean class accuracy, beside" not in said and "- Lowest recall, beside energy" in said


def test_without_rivals_nothing_is_said_of_them():
    said = section(results_page.page({"frame_100": extract({"energy": 0.05})}), "Do simple rivals")
    assert "**Not run: random_boxes, crop, paint.**\n\n- A higher recall of MEL" in said
    assert "above" not in said and "| method" not in said and "intervals" not in said


def test_a_rival_that_wins_in_one_figure_is_said_to():
    study = extract({"energy": 0.05, "paint": 0.05}, rivals={"paint": {"energy": 0.05}})
    study.differences["energy", "paint", "worst_group_recall"] = kept(-0.2)
    said = section(results_page.page({"frame_100": study}), "Does supervision")
    assert "- Mean class accuracy, beside energy, the best at a share of 1: " + ALONE in said
    assert (
        "- Lowest recall, beside energy, the best at a share of 1: **better** painting (-20.0 [-22.0, -18.0]); " in said
    )


def test_a_rival_is_no_method_that_may_be_best():
    page = results_page.page({"frame_100": extract({"energy": 0.01, "paint": 0.3}, rivals={"paint": {"energy": -0.3}})})
    assert "beside energy, the best at a share of 1: **better** painting (-30.0 [-32.0, -28.0]); " in page


@pytest.mark.parametrize(("left", "counted"), [(0.0, "none of 1 methods."), (0.05, "1 of 1 methods (energy).")])
def test_a_recall_by_more_calls_is_told_from_a_gain(left, counted):
    page = results_page.page({"frame_100": extract({"energy": 0.05}, recall_at_equal_calls=left)})
    assert (
        "- A higher recall of MEL than the baseline's is shown for 1 of 1 methods (energy); where the baseline calls "
        f"MEL as often, a gain is left for {counted}\n"
    ) in page


def test_gains_over_csl_are_those_over_csl_each_of_those_known():
    study = extract({"care_masked_both": 0.05, "paint": 0.05, "swap": 0.0})
    study.baselines["paint"] = "plain"  # beside which it loses
    study.titles["plain"] = "title of plain"
    study.differences["paint", "plain", "mean_class_accuracy"] = kept(-0.3)
    del study.differences["swap", "csl", "worst_group_recall"]
    del study.baselines["swap"]
    said = section(results_page.page({"frame_100": study}), "Does supervision")
    assert "are shown for 2 of 2 and 2 of 2 methods at a share of 1;" in said
    study.baselines["swap"] = "csl"
    said = section(results_page.page({"frame_100": study}), "Does supervision")
    assert "are shown for 2 of 3 and 2 of 2 methods at a share of 1;" in said


@pytest.mark.parametrize(
    ("low", "high", "higher", "lower"),
    [(0.1, 0.2, 1, 0), (-0.2, -0.1, 0, 1), (-0.1, 0.1, 0, 0), (0.0, 0.1, 0, 0), (0.1, None, 0, 0), (None, -0.1, 0, 0)],
)
def test_what_is_shown_lies_on_one_side_of_0(low, high, higher, lower):
    difference = KeptFigure(Estimate(0.05, low, high), None, None, 1)
    assert (results_words.is_higher(difference), results_words.is_lower(difference)) == (bool(higher), bool(lower))


def test_no_method_hides_another():
    assert len(set(results_words.NAMES.values())) == len(results_words.NAMES)
    study = extract({"care": 0.05, "care_csl": -0.05, "mine": 0.07, "yours": -0.07})
    study = dataclasses.replace(study, titles=study.titles | {"mine": "same title", "yours": "same title"})
    page = results_page.page({"frame_50": study, "frame_100": study})
    said = section(page, "What did not help")
    assert said.count("| CARE | **higher** +5.0") == said.count("| CARE + CSL | **lower** -5.0") == 2
    assert said.count("| same title | **higher** +7.0") == said.count("| same title | **lower** -7.0") == 2
    assert "| CARE | title of care |\n| CARE + CSL | title of care_csl |\n" in page


def test_a_title_that_differs_between_comparisons_is_said_twice():
    study = extract({"energy": 0.05})
    other = dataclasses.replace(study, titles=study.titles | {"energy": "another"})
    methods = section(results_page.page({"frame_50": study, "frame_100": other}), "Methods and figures")
    assert "| energy | title of energy |" in methods and "| energy | another |" in methods


def test_baselines_with_made_boxes_are_no_methods():
    said = section(
        results_page.page({"frame_100": extract({"energy": 0.05, "csl@train_boxes=boxes_dsr": 0.0})}), "What did not"
    )
    assert "**For each of 1 methods and simple rivals, some comparison shows a gain in one of the two.**" in said
    assert "CSL with" not in said


def test_areas_are_said_to_be_fractions():
    study = extract({"energy": 0.05})
    study.differences["energy", "csl", "macro_auc"] = kept(0.05)
    page = results_page.page({"frame_100": study})
    assert "Differences are in points, those of areas (macro AUC, average precision) in fractions." in page
    assert "+5.0 [+3.0, +7.0]" in page and "+0.050 [+0.030, +0.070]" in page


def test_answers_that_do_not_follow_the_map_are_counted():
    page = results_page.page({"frame_100": extract({"energy": 0.1}, lesion_reliance=0.0, mean_class_accuracy=-0.1)})
    assert (
        "is shown for 1 of 1 methods; of these 1, outputs that go more by the lesion are shown for 0, and a higher "
        "mean class accuracy for 0.**"
    ) in section(page, "Do the answers follow")


def test_made_boxes_are_judged_beside_drawn_ones():
    names = {f"energy@train_boxes={boxes}": 0.05 for boxes in ("null", "boxes_dsr", "boxes_bms")}
    drawn, *made = names
    study = extract(names, rivals={drawn: dict(zip(made, (0.0, -0.05), strict=True))})
    said = section(results_page.page({"frame_90_boxes": study}), "Are boxes made")
    assert (
        "is shown to be higher for none of 2 and lower for 1 (energy with BMS boxes -5.0 [-7.0, -3.0]); no difference "
        "is shown for 1 (energy with DSR boxes).**"
    ) in said
    assert results_questions.rivals_of(made[0], list(names)) == [drawn]
    assert results_questions.rivals_of(drawn, list(names)) == []


def test_learned_masks_are_judged_beside_as_many_drawn_boxes_alone():
    shares = ("train_box_share=.01", "train_box_share=.25")
    alone, learned = ([f"{name}@{share}" for share in shares] for name in ("care_csl_masked", "care_learned_boxes"))
    study = extract(dict.fromkeys([*alone, *learned], 0.05))
    for share, gain in zip(range(2), (0.05, 0.0), strict=True):
        for figure in ("attention_inside/MEL", "mean_class_accuracy"):
            study.differences[learned[share], alone[share], figure] = kept(gain if "inside" in figure else -gain)
    said = section(results_page.page({"isic_learned_boxes": study}), "Can the network learn")
    few, some = (f"CARE + CSL masked, others' masks learned, {share} % of the boxes drawn" for share in (1, 25))
    assert (
        f"attention inside the boxes of MEL is shown to be higher for 1 of 2 ({few} +5.0 [+3.0, +7.0]) and lower for "
        f"none; no difference is shown for 1 ({some}), and mean class accuracy is shown to be higher for none of 2 and "
        f"lower for 1 ({few} -5.0 [-7.0, -3.0]);"
    ) in said
    assert f"| {few} | CARE + CSL masked, 1 % of the boxes drawn | **-5.0 [-7.0, -3.0]**" in said
    assert "Of 4 intervals, 2 exclude 0" in said
    assert results_questions.rivals_of(learned[0], alone + learned) == [alone[0]]
    assert results_questions.rivals_of(learned[0], learned) == []


def test_how_sure_counts_what_chance_would_give():
    said = section(results_page.page({"frame_100": extract({"energy": 0.05}, seeds=1)}), "Which method")
    assert "1 seed, 236 images of 118 lesions tested, trained on 87 of MEL, 175 of NV; squeezenet1_1" in said
    assert "Of 5 intervals, 5 exclude 0, and about 0.2 would by chance." in said
    assert "Fewer than three seeds say little of training." in said and "†" not in said.split("*How sure.*")[0]


def test_no_recall_stands_without_precision_and_equal_calls():
    page = results_page.page({name: extract(TRAP, share) for name, share in (("frame_70", 0.7), ("frame_100", 1.0))})
    headers = [line for line in page.splitlines() if line.startswith("| method") and "recall of MEL" in line]
    assert len(headers) > 2
    for header in headers:
        assert "precision of MEL" in header and ("equal calls" in header or "minus" not in header)


def test_the_readmes_figures_are_those_of_the_pages():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    said = text[text.index("**When it helps.**") : text.index("## Start here")]
    figures = re.findall(r"[-+]?[0-9.]+ \[[-+]?[0-9.]+, [-+]?[0-9.]+\]", said)
    pages = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("results.md", "earlier_results.md")]
    assert len(figures) > 9
    assert [figure for figure in figures if not any(f" {figure}" in page.replace("**", " ") for page in pages)] == []


# files


def test_the_page_and_its_plots_are_the_same_again(tmp_path):
    for name, share in (("frame_50", 0.5), ("frame_100", 1.0), ("decoy_90", 0.9)):
        write_extract(tmp_path / "results" / f"{name}.json", extract(TRAP, share))
    written = []
    for _ in range(2):
        assert results_page.main([], tmp_path) == 0
        written.append({path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()})
    assert written[0] == written[1]
    assert {"results.md", "results_frame.png", "results_decoy.png"} <= set(written[0])
    with Image.open(tmp_path / "images" / "results_frame.png") as image:
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 5
    assert len(written[0]["results_frame.png"]) < 150_000


def test_the_committed_page_is_that_of_the_committed_figures():
    studies = results_page.read_studies(results_page.DOCS)
    assert (results_page.DOCS / "results.md").read_text(encoding="utf-8") == results_page.page(studies), (
        "Write it again: python tools/docs/results_page.py"
    )
    drawn = {path.name for path in (results_page.DOCS / "images").glob("results_*.png")}
    assert drawn == {f"results_{kind}.png" for kind in ("frame", "decoy") if any(kind in name for name in studies)}


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("frame_90", {"cue_share": 0.7}, "Received frame_90 with a share of 0.7"),
        ("frame_90", {"cue_share": None}, "Received frame_90 with a share of None"),
        ("frame_33", {}, r"Received frame_33\. Rename docs/results/frame_33\.json, or move it"),
    ],
)
def test_a_comparison_that_is_not_what_its_name_says_is_refused(name, changes, message, tmp_path, capsys):
    study = dataclasses.replace(extract(TRAP), **changes)
    with pytest.raises(InputError, match=message):
        results_questions.check_studies({name: study})
    write_extract(tmp_path / "results" / f"{name}.json", study)
    assert results_page.main([], tmp_path) == 2 and "error: " in capsys.readouterr().err
    assert not (tmp_path / "results.md").exists()


def test_a_folder_without_comparisons_is_refused(tmp_path, capsys):
    assert results_page.main([str(tmp_path)], tmp_path) == 2
    assert "must hold one of frame_50" in capsys.readouterr().err


def test_every_known_comparison_of_a_folder_is_kept(tmp_path, monkeypatch):
    asked = []

    def extracted(folder, rivals, group, pairs):
        asked.append((folder.name, rivals("energy", ["csl", "energy", "paint"]), group, pairs))
        return extract(TRAP)

    monkeypatch.setattr(results_page, "extract_comparison", extracted)
    for name in ("frame_100", "isic_full", "cells"):
        (tmp_path / "studies" / name).mkdir(parents=True)
    assert results_page.main([str(tmp_path / "studies")], tmp_path / "docs") == 0
    assert asked == [("frame_100", ["paint"], "cue", "pair"), ("isic_full", ["paint"], None, None)]
    assert {path.name for path in (tmp_path / "docs" / "results").iterdir()} == {"frame_100.json", "isic_full.json"}
    assert "(results/frame_100.json)" in (tmp_path / "docs" / "results.md").read_text()


def test_methods_are_called_by_the_page_s_names_and_others_by_their_titles():
    study = extract({"energy": 0.0, "my_method": 0.0})
    assert results_words.in_order(["my_method", "paint", "csl", "energy"]) == ["csl", "energy", "paint", "my_method"]
    assert [results_words.name_of(study, name) for name in ("energy", "my_method")] == ["energy", "title of my_method"]
