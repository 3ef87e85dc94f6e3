"""The results page says what its figures allow, and is the one that its figures give."""

import dataclasses
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

import links  # noqa: E402
import results_page  # noqa: E402
import results_questions  # noqa: E402
import results_tables  # noqa: E402
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

HIGHER, LOWER, SAME = kept(0.05), kept(-0.05), kept(0.01)
SWAP, MASKED = "swapped surroundings", "CARE masked on both classes"


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        ({"swap": HIGHER}, "accuracy rises with swapped surroundings (+5.0)"),
        ({"swap": LOWER}, "accuracy falls with swapped surroundings (-5.0)"),
        ({"swap": SAME}, "no change in accuracy is shown"),
        ({"swap": HIGHER, "paint": kept(0.08)}, "accuracy rises with painting (+8.0) and swapped surroundings (+5.0)"),
        (
            {"swap": HIGHER, "paint": LOWER, "crop": SAME, "energy": SAME},
            "accuracy rises with swapped surroundings (+5.0), falls with painting (-5.0) and is not shown to change "
            "with the other 2",
        ),
        (dict.fromkeys(list(results_words.NAMES)[:5], HIGHER), "accuracy rises with all 5 methods"),
        (
            dict.fromkeys(list(results_words.NAMES)[:5], LOWER) | dict.fromkeys(list(results_words.NAMES)[5:11], SAME),
            "accuracy falls with 5 of 11 methods and is not shown to change with the other 6",
        ),
    ],
)
def test_what_rises_and_what_falls_is_said_of_one_of_many_and_of_none(differences, said):
    assert results_words.effects(results_words.NAMES, {"accuracy": {"": differences}}) == said


@pytest.mark.parametrize(
    ("accuracy", "recall", "said"),
    [
        (HIGHER, HIGHER, "accuracy and recall rise with energy (+5.0)"),
        (LOWER, LOWER, "accuracy and recall fall with energy (-5.0)"),
        (SAME, SAME, "no change in accuracy or recall is shown"),
        (SAME, LOWER, "no change in accuracy is shown; recall falls with energy (-5.0)"),
    ],
)
def test_figures_of_which_the_same_is_said_are_said_together(accuracy, recall, said):
    found = {"accuracy": {"": {"energy": accuracy}}, "recall": {"": {"energy": recall}}}
    assert results_words.effects(results_words.NAMES, found) == said


def test_methods_without_a_change_are_said_of_each_figure():
    found = {figure: {"": {"energy": one, "swap": SAME}} for figure, one in (("accuracy", HIGHER), ("recall", SAME))}
    said = "accuracy rises with energy (+5.0) and is not shown to change with the other; no change in recall is shown"
    assert results_words.effects(results_words.NAMES, found) == said
    found = {"accuracy": {"50 %": {"energy": HIGHER, "swap": SAME}, "90 %": {"energy": SAME, "swap": SAME}}}
    said = f"no change in accuracy is shown with {SWAP}; accuracy rises with energy (at 50 %)"
    assert results_words.effects(results_words.NAMES, found) == said


def test_a_change_of_which_the_models_disagree_is_not_shown():
    mixed = dataclasses.replace(HIGHER, minimum=-0.01)
    agreeing, alone = dataclasses.replace(HIGHER, minimum=0.01), dataclasses.replace(mixed, num_models=1)
    rises = "accuracy rises with energy (+5.0)"
    for difference, said in ((mixed, "no change in accuracy is shown"), (agreeing, rises), (alone, rises)):
        found = {"accuracy": {"": {"energy": difference}}}
        assert results_words.effects(results_words.NAMES, found) == said
    study = extract({"energy": 0.05, "swap": 0.05})
    for figure in FIGURES:
        study.differences["energy", "csl", figure] = mixed
    said = section(results_page.page({"frame_100": study}), "Which method helps most where the cue always")
    assert "| energy | +5.0 [+3.0, +7.0] | +5.0 [+3.0, +7.0] |" in said
    assert "| swapped surroundings | **+5.0 [+3.0, +7.0]** | **+5.0 [+3.0, +7.0]** |" in said


def test_the_shares_at_which_a_figure_changes_are_said():
    shares = {"50 %": {"swap": HIGHER, "paint": LOWER}, "90 %": {"swap": HIGHER, "paint": SAME, "energy": HIGHER}}
    assert results_words.effects(results_words.NAMES, {"accuracy": shares}) == (
        f"accuracy rises with energy (at 90 %) and {SWAP} (at every share) and falls with painting (at 50 %)"
    )
    alone = {"90 %": {"swap": HIGHER}}
    assert results_words.effects(results_words.NAMES, {"accuracy": alone}) == f"accuracy rises with {SWAP} (at 90 %)"


def test_shown_is_said_where_the_interval_excludes_0_and_nowhere_else():
    said = section(results_page.page({"frame_100": extract(TRAP)}), "Which method helps most")
    assert (
        f"**Compared with CSL, mean class accuracy and the lowest recall rise with {MASKED} (+5.0) and painting "
        "(+3.0), fall with cropping (-5.0) and perturbation (-4.0) and are not shown to change with the other.**"
    ) in said
    assert "| energy | +1.0 [-1.0, +3.0] |" in said
    assert "| perturbation | **-4.0 [-6.0, -2.0]** |" in said


def test_every_question_is_answered_on_top_as_in_its_section():
    studies = {"frame_90": extract(TRAP), "frame_100": extract(TRAP), "decoy_90": extract(TRAP, 0.9, seeds=2)}
    page = results_page.page(studies)
    short = section(page, "In short")
    # no rival is compared with anything here
    answered = re.findall(r"\| \[(.*?)\]\(#(.*?)\) \| (.*?) \| (.*?) \|", short)
    assert [question for question, *_ in answered] == re.findall(r"\n## (.*\?)\n", page)
    assert len(answered) == 7
    for question, anchor, sentence, sure in answered:
        assert anchor in links.anchors(page) and f"\n**{sentence}**\n" in section(page, question)
        assert f"*How sure.* {sure}" in section(page, question)
    assert [sure for *_, sure in answered][-2:] == [
        "2 seeds, 118 lesions of all classes",
        "2 to 3 seeds, 118 lesions of all classes",
    ]


def test_no_gain_at_all_is_said():
    page = results_page.page({"frame_100": extract({"energy": 0.0, "paint": -0.01})})
    assert "no change in mean class accuracy or the lowest recall is shown.**" in section(page, "Which method")
    assert "**No gain in mean class accuracy or the lowest recall is shown with energy and painting.**" in page
    assert "| beside its baseline | neither shown |" in page and "| energy | dark frames, 100 % |" in page
    all_gain = results_page.page({"frame_100": extract({"energy": 0.05})})
    assert "**Every method and simple rival has a gain in some comparison.**" in section(all_gain, "What did not help")


def test_what_was_not_run_is_said_once_and_never_filled():
    page = results_page.page({"frame_100": extract(TRAP)})
    assert (
        "| Not run yet | Which method helps most where the cue misleads in nine of ten images? Do simple rivals do "
        "as well? Do simple rivals do as well in nine of ten images? Does the exact place of the boxes matter? Do "
        "the answers follow the map? Is it the same with a drawn cue? Which method helps most with a drawn cue? Do "
        "simple rivals do as well with a drawn cue? Are boxes made by a program good enough? Can the network learn "
        "the boxes that are missing? Does it help where nothing misleads? Does the exact place of the boxes matter "
        "there? Is it the same with another network? Comparisons: dark frames, 50 %; dark frames, 70 %; dark "
        "frames, 90 %; drawn square, 90 %; drawn square, 100 %. |"
    ) in page
    assert page.count("Is it the same with a drawn cue?") == 1
    nothing = results_page.page({})
    assert all(question in section(nothing, "In short") for question in results_questions.QUESTIONS)
    assert "**shown**" in nothing and "How sure" not in nothing


def test_a_study_without_what_a_question_asks_for_does_not_answer_it():
    drawn = extract({"energy@train_boxes=null": 0.05})
    few = extract({"care_csl_masked@train_box_share=.1": 0.05, "care_csl_masked": 0.1})
    few.differences["care_csl_masked@train_box_share=.1", "care_csl_masked", "mean_class_accuracy"] = kept(-0.05)
    page = results_page.page({"frame_90_boxes": drawn, "isic_learned_boxes": few})
    assert "Are boxes made by a program good enough? Can the network learn" in section(page, "In short")


@pytest.mark.parametrize(
    ("beside", "better", "worse", "header", "cell"),
    [
        (0.05, MASKED, "no method", "worse", "1 better, 0 worse, of 1"),
        (0.01, "no method", "no method", "no difference shown", "0 better, 0 worse, of 1"),
        (-0.05, "no method", MASKED, "simple rivals: better", "0 better, 1 worse, of 1"),
    ],
)
def test_a_rival_that_does_as_well_is_named(beside, better, worse, header, cell):
    gains = {"care_masked_both": 0.05, "paint": 0.03}
    page = results_page.page({"frame_100": extract(gains, rivals={"paint": {"care_masked_both": beside}})})
    swept = section(page, "Does supervision")
    assert f"| at 100 % | best supervised | {header} | not compared |" in swept
    for figure in ("mean class accuracy", "lowest recall"):
        assert f"| {figure} | {MASKED} | painting | random boxes, cropping |" in swept
    rivals = section(page, "Do simple rivals")
    both = "{0} in mean class accuracy and {0} in the lowest recall"
    assert f"**Better than every simple rival compared: {both.format(better)}; worse than" in rivals
    assert f"; worse than at least one: {both.format(worse)}.**" in rivals
    assert f"| cropping | not run | not run |\n| painting | {cell} | {cell} |" in rivals


def test_a_rival_without_a_difference_is_not_said_to_be_beaten():
    methods = {"energy": 0.05, "swap": 0.05}
    gains = methods | dict.fromkeys(results_words.RIVALS, 0.03)
    study = extract(gains, rivals=dict.fromkeys(results_words.RIVALS, methods))
    assert f"**Better than every simple rival: energy and {SWAP} in mean" in results_page.page({"frame_100": study})
    del study.differences["energy", "crop", "mean_class_accuracy"]  # run, but without a difference
    page = results_page.page({"frame_100": study})
    assert f"every simple rival: {SWAP} in mean class accuracy and energy and {SWAP} in the lowest recall;" in page
    assert "| mean class accuracy | energy | random boxes, painting | cropping |" in section(page, "Does supervision")


def test_a_rival_that_wins_in_one_figure_is_said_to():
    study = extract({"energy": 0.05, "paint": 0.05}, rivals={"paint": {"energy": 0.05}})
    study.differences["energy", "paint", "worst_group_recall"] = kept(-0.2)
    page = results_page.page({"frame_100": study})
    assert "| at 100 % | best supervised | simple rivals: better | worse | not compared |" in page
    assert "| mean class accuracy | energy |  | painting | random boxes, cropping |" in page
    assert "| lowest recall | energy | painting |  | random boxes, cropping |" in page


def test_a_rival_is_no_method_that_may_be_best():
    page = results_page.page({"frame_100": extract({"energy": 0.01, "paint": 0.3}, rivals={"paint": {"energy": -0.3}})})
    assert "| mean class accuracy | energy | painting | random boxes, cropping |" in page
    assert "**-30.0 [-32.0, -28.0]**" in section(page, "Does supervision")


@pytest.mark.parametrize(
    ("recall", "left", "said"),
    [
        (0.0, 0.05, "no method."),
        (0.05, 0.0, "energy; at equal calls: no method."),
        (0.05, 0.05, "energy; at equal calls: energy."),
    ],
)
def test_a_recall_by_more_calls_is_told_from_a_gain(recall, left, said):
    study = extract({"energy": 0.05, "paint": 0.03}, rivals={"paint": {"energy": 0.0}})
    for figure, gain in (("recall/MEL", recall), ("recall_at_equal_calls/MEL", left)):
        study.differences["energy", "csl", figure] = kept(gain)
    rivals = section(results_page.page({"frame_100": study}), "Do simple rivals")
    assert f"\nRecall of MEL above the baseline's: {said}\n" in rivals


def test_gains_over_csl_are_those_over_csl_each_of_those_known():
    study = extract({"care_masked_both": 0.05, "paint": 0.04, "swap": 0.0})
    study.baselines["paint"] = "plain"  # beside which it loses
    study.titles["plain"] = "title of plain"
    study.differences["paint", "plain", "mean_class_accuracy"] = kept(-0.3)
    said = section(results_page.page({"frame_100": study}), "Which method")
    assert f"lowest recall rise with {MASKED} (+5.0) and are not shown to change with the other.**" in said
    assert "| painting | cross entropy | **-30.0 [-32.0, -28.0]** |" in said
    del study.differences["swap", "csl", "worst_group_recall"]
    said = section(results_page.page({"frame_100": study}), "Which method")
    assert "mean class accuracy rises with" in said and "the lowest recall rises with" in said
    assert f"| {SWAP} | 0.0 [-2.0, +2.0] |  |" in said


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
    for share in ("50 %", "100 %"):
        for name, gain in (("CARE", "+5.0"), ("CARE + CSL", "-5.0"), ("same title", "+7.0"), ("same title", "-7.0")):
            assert said.count(f"| {name} | dark frames, {share} | **{gain} ") == 1
    both = "dark frames, 50 % (accuracy and recall); dark frames, 100 % (accuracy and recall)"
    assert f"| same title | {both} |  |\n| same title |  | {both} |" in said
    assert "| CARE | title of care |\n| CARE + CSL | title of care_csl |\n" in page


def test_a_title_that_differs_between_comparisons_is_said_twice():
    study = extract({"energy": 0.05})
    other = dataclasses.replace(study, titles=study.titles | {"energy": "another"})
    methods = section(results_page.page({"frame_50": study, "frame_100": other}), "Studies and methods")
    assert "| energy | title of energy |" in methods and "| energy | another |" in methods


def test_baselines_with_made_boxes_are_no_methods():
    said = section(
        results_page.page({"frame_100": extract({"energy": 0.05, "csl@train_boxes=boxes_dsr": 0.0})}), "What did not"
    )
    assert "**Every method and simple rival has a gain in some comparison.**" in said
    assert "CSL with" not in said


def test_areas_are_said_to_be_fractions():
    study = extract({"energy": 0.05})
    study.differences["energy", "csl", "macro_auc"] = kept(0.05)
    page = results_page.page({"frame_100": study})
    assert "Differences are in points, those of areas (macro AUC, average precision) in fractions." in page
    assert "+5.0 [+3.0, +7.0]" in page and "+0.050 [+0.030, +0.070]" in page


def test_answers_that_do_not_follow_the_map_are_said():
    study = extract({"energy": 0.1, "swap": 0.1}, lesion_reliance=0.0)
    study.differences["swap", "csl", "lesion_reliance/MEL"] = kept(0.5)
    assert (
        "attention inside the boxes of MEL rises with energy (+10.0) and swapped surroundings (+10.0); lesion reliance "
        "of MEL rises with swapped surroundings (+50.0) and is not shown to change with the other.**"
    ) in section(results_page.page({"frame_90": study}), "Do the answers follow")


def test_made_boxes_are_judged_beside_drawn_ones():
    names = {f"energy@train_boxes={boxes}": 0.05 for boxes in ("null", "boxes_dsr", "boxes_bms")}
    drawn, *made = names
    study = extract(names, rivals={drawn: dict(zip(made, (0.0, -0.05), strict=True))})
    said = section(results_page.page({"frame_90_boxes": study}), "Are boxes made")
    assert (
        "**Compared with the same method with drawn boxes, mean class accuracy and the lowest recall fall with energy "
        "with BMS boxes (-5.0) and are not shown to change with the other.**"
    ) in said
    assert "| method minus energy with drawn boxes | mean class accuracy | lowest recall |" in said
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
    few = "learned masks with 1 % of the boxes drawn"
    assert (
        f"**Compared with the same drawn boxes alone, attention inside the boxes of MEL rises with {few} (+5.0) and is "
        f"not shown to change with the other; mean class accuracy falls with {few} (-5.0) and is not shown to change "
        "with the other.**"
    ) in said
    assert f"| {few} | CARE + CSL masked with 1 % of the boxes drawn | **+5.0 [+3.0, +7.0]** | **-5.0" in said
    assert results_questions.rivals_of(learned[0], alone + learned) == [alone[0]]
    assert results_questions.rivals_of(learned[0], learned) == []


def test_where_nothing_misleads_methods_are_judged_beside_the_same_training():
    study = extract({"energy": -0.05, "paint": 0.3})
    for key in [key for key in study.differences if key[2] == "worst_group_recall"]:  # without a cue, no groups
        del study.differences[key]
    said = section(results_page.page({"isic_full": study}), "Does it help where nothing misleads?")
    than = "the same training without attention"
    assert f"**Compared with {than}, mean class accuracy falls with energy (-5.0).**" in said
    assert "| method minus CSL | mean class accuracy |\n|---|---|\n| energy | **-5.0 [-7.0, -3.0]** |\n" in said


def test_how_sure_counts_what_is_shown():
    page = results_page.page({"frame_100": extract({"energy": 0.05}, seeds=1)})
    said = section(page, "Which method")
    assert (
        "*How sure.* 1 seed, 118 lesions of all classes (fewer than three seeds say little of training). 6 of 6 "
        "differences are shown.\n"
    ) in said
    assert "Training, everywhere: squeezenet1_1" in page
    assert "| 87 of MEL, 175 of NV | 236 of 118 lesions | 1 | 1 |" in page


def test_settings_that_differ_are_said_of_each_comparison():
    other = dataclasses.replace(extract(TRAP), setting="resnet18")
    page = results_page.page({"frame_50": extract(TRAP), "frame_100": other})
    assert "everywhere" not in page and "| 3 | 1 | resnet18 |" in page


def test_no_recall_stands_without_precision_and_equal_calls():
    page = results_page.page({name: extract(TRAP, share) for name, share in (("frame_70", 0.7), ("frame_100", 1.0))})
    headers = [line for line in page.splitlines() if line.startswith("| method") and "recall of MEL" in line]
    assert len(headers) > 2
    for header in headers:
        assert "precision of MEL" in header and ("equal calls" in header or "minus" not in header)


def test_a_method_is_compared_with_its_own_training_on_random_boxes():
    study = extract({"care_masked": 0.05, "swap": 0.05, "random_boxes": 0.0, "swap_random_boxes": 0.0, "energy": 0.05})
    for method, control, gain in (("care_masked", "random_boxes", 0.0), ("swap", "swap_random_boxes", 0.04)):
        assert control in results_questions.rivals_of(method, list(study.titles))
        for figure in FIGURES:
            study.differences[method, control, figure] = kept(gain)
    assert results_questions.rivals_of("swap_random_boxes", list(study.titles)) == []
    said = section(results_page.page({"frame_90": study}), "Does the exact place of the boxes matter?")
    assert (
        "**Compared with the same training with boxes at random places, mean class accuracy and the lowest recall rise "
        "with swapped surroundings (+4.0) and are not shown to change with the other.**"
    ) in said
    assert "swap_random_boxes" not in results_words.supervised(study)
    assert "energy" not in dict(results_words.control_pairs(study))


def test_one_training_under_two_names_is_counted_once():
    study = extract({"care_masked": 0.05, "care_masked_both": 0.05, "energy": 0.05})
    more = {(m, f"recall/{i}"): kept(0.1 * i + 0.01 * (m == "energy")) for m in study.titles for i in range(9)}
    study = dataclasses.replace(study, figures=study.figures | more)
    study.figures["csl", "recall/1"] = kept(0.2)
    assert results_words.twins_of(study) == {"care_masked": "care_masked_both"}
    page = results_page.page({"frame_100": study})
    assert "rise with CARE masked on both classes (+5.0) and energy (+5.0).**" in page
    assert "In dark frames, 100 % the methods care_masked and care_masked_both are one training" in page


def test_reliance_with_the_earlier_filling_is_said_to_be():
    first, last = results_questions.EARLIER_FILLING[0], "isic_controls"
    assert set(results_questions.EARLIER_FILLING) <= set(results_questions.STUDIES)
    assert "earlier filling" in results_page.page({first: extract(TRAP, 0.5)})
    assert "earlier filling" not in results_page.page({last: extract(TRAP)})


def test_every_cell_of_the_readmes_table_is_its_own_figure():
    rows = {
        **{"a colored square, 9 of 10": "decoy_90", "a colored square, all": "decoy_100"},
        **{"dark frames, 9 of 10": "frame_90", "dark frames, all": "frame_100"},
        "dark frames, 5 of 10: no cue": "frame_50",
    }
    columns = ("care_masked_both", "swap", "paint", "crop")
    studies, found = results_page.read_studies(results_page.DOCS), []
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines():
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if name not in rows:
            continue
        study = studies[rows[name]]
        pairs = [(method, "csl") for method in columns]
        figures = [results_tables.difference_cell(study, pair, results_tables.ACCURACY) for pair in pairs]
        assert cells == [str(len(study.seeds)), *(each or "not run" for each in figures)]
        found.append(name)
    assert found == list(rows)


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
