"""The paper's tables as comparisons: every row is a method of its comparison, and stands beside its own figures."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from care_tf.errors import InputError
from care_tf.runs import reproduced_figures
from care_tf.runs._folder import write_config
from care_tf.runs._paper_differences import differences_from_paper
from care_tf.runs.comparison_plan import read_methods
from care_tf.runs.config import load_config
from care_tf.runs.named_configs import packaged_folder
from care_tf.runs.reproduced_figures import FIGURES, table_of
from care_tf.runs.reproduced_summary import attention_summary, summary_of_folder
from care_tf.runs.reproduced_tables import beside_paper
from care_tf.runs.reproduction import TABLES, PaperTable

OWN = [key for key, figure in FIGURES.items() if isinstance(figure.table, PaperTable)]


# Zhuang et al. 2023, as printed: MCA, recall of the rarest class, AUC.
SKIN = {
    "table2": """
        baseline 74.1 52.2 0.962          care 78.2 73.9 0.973
        csl 77.2 56.5 0.981               care_csl 81.0 65.2 0.986
        focal 71.5 52.2 0.918             care_focal 73.9 60.9 0.933
        augmentation 54.4 56.6 0.862      care_augmentation 56.2 60.3 0.885
    """,
    "table3": "siamese 56.9 21.7 - siamese_care 68.9 65.2 - decouple 73.9 65.2 - decouple_care 78.3 73.9 -",
    "table4": """
        csl@backbone=resnet18 74.1 60.9 0.990     care_csl@backbone=resnet18 76.2 73.9 0.969
        csl@backbone=resnet50 77.7 56.5 0.953     care_csl@backbone=resnet50 81.0 65.2 0.986
        csl@backbone=resnet152 80.5 61.9 0.914    care_csl@backbone=resnet152 81.9 72.2 0.966
        csl@backbone=vgg19 70.2 47.8 0.881        care_csl@backbone=vgg19 72.8 56.5 0.933
    """,
    "table5": """
        care_csl@alpha=0 77.7 56.5 -      care_csl@alpha=.1 78.8 55.2 -     care_csl@alpha=.3 79.9 65.2 -
        care_csl@alpha=.5 80.3 65.2 -     care_csl@alpha=.7 80.2 65.2 -     care_csl@alpha=.9 80.2 65.1 -
    """,
    "table6": """
        csl 77.7 56.5 -                   care_csl@tau=.2 79.1 73.9 -       care_csl@tau=.4 78.8 69.6 -
        care_csl@tau=.5 81.0 65.2 -       care_csl@tau=.7 80.2 65.2 -       care_csl@tau=1 79.6 78.3 -
    """,
    "table7": """
        csl 75.9 56.5 -  care_csl@lam=.7 79.95 60.8 -  care_csl@lam=1 80.6 86.9 -  care_csl@lam=1.3 79.94 69.5 -
    """,
    "table8": """
        baseline 74.13 52.17 -            care 78.17 73.91 -
        care_boxes_dsr 77.02 65.22 -      care_boxes_segmentation 75.61 60.87 -
    """,
    "table9": """
        csl 77.7 56.5 -                   focal 72.0 52.2 -
        care_csl@train_boxes=boxes_dsr 80.2 78.3 -      care_csl@train_boxes=boxes_segmentation 81.4 86.7 -
        care_focal@train_boxes=boxes_dsr 72.3 60.9 -    care_focal@train_boxes=boxes_segmentation 74.6 82.6 -
    """,
    "table10": """
        csl 77.69 56.52 -                 care_csl 81.35 86.96 -
        masks_df_vasc 80.51 82.61 -       masks_df_vasc_akiec 80.28 69.57 -
    """,
}
XRAY = {
    "table2": """
        baseline 56.8 7.4 0.663           care 63.3 31.1 0.741
        csl 57.9 11.1 0.704               care_csl 65.2 45.0 0.769
        focal 58.4 11.1 0.758             care_focal 66.7 49.4 0.769
        augmentation 59.6 20.1 0.805      care_augmentation 66.0 45.2 0.796
    """,
    "table4": """
        csl@backbone=resnet18 57.8 15.2 0.581     care_csl@backbone=resnet18 58.8 25.5 0.710
        csl@backbone=resnet50 57.9 11.1 0.704     care_csl@backbone=resnet50 65.2 45.0 0.769
        csl@backbone=resnet152 59.1 11.4 0.747    care_csl@backbone=resnet152 63.8 31.3 0.749
        csl@backbone=vgg19 61.7 25.8 0.873        care_csl@backbone=vgg19 64.3 41.2 0.871
    """,
    "table5": """
        care_csl@alpha=0 57.9 11.1 -      care_csl@alpha=.1 63.8 28.8 -     care_csl@alpha=.3 64.4 38.3 -
        care_csl@alpha=.5 65.2 45.0 -     care_csl@alpha=.7 64.3 42.6 -     care_csl@alpha=.9 65.2 50.7 -
    """,
    "table6": """
        csl 57.9 11.1 -                   care_csl@tau=.2 64.9 33.3 -       care_csl@tau=.4 68.9 51.8 -
        care_csl@tau=.5 65.2 45.0 -       care_csl@tau=.7 67.4 51.9 -       care_csl@tau=1 64.0 37.0 -
    """,
}


def test_every_published_row_is_there_as_printed():
    printed = {}
    for dataset, tables in {"isic2018": SKIN, "rsna": XRAY}.items():
        for name, text in tables.items():
            words = text.split()
            printed[name, dataset] = {
                words[start]: tuple(None if word == "-" else float(word) for word in words[start + 1 : start + 4])
                for start in range(0, len(words), 4)
            }
    assert {key: dict(table.rows) for key, table in TABLES.items()} == printed


def config(name="isic2018/care_csl", *changes):
    return load_config(name, changes)


def cell(method, fold, is_finished, seed=0):
    config = SimpleNamespace(seed=seed, title=None)
    return SimpleNamespace(
        method=method, fold=fold, is_finished=is_finished, config=config, folder=f"{method}/{fold}_{seed}"
    )


def test_maps_are_of_the_fold_and_seed_asked_for_or_of_earlier_ones(monkeypatch):
    drawn = []
    monkeypatch.setattr(reproduced_figures, "write_run_maps", lambda folders, output, titles: drawn.append(folders))
    draw = table_of("fig10", "isic2018")[1].draw
    cells = [cell("baseline", "2", True), cell("care", "2", False), cell("baseline", "1", True)]
    with pytest.raises(InputError, match="Received no run of care. Leave out --table-only"):
        draw(cells, [], Path("fig10.png"))
    earlier = [cell("care", "1", True, seed=1), cell("care", "1", True)]
    assert draw([*cells, *earlier], [], Path("fig10.png")) == "fold 1, seed 0"
    assert draw([*cells, *earlier, cell("care", "2", True)], [], Path("fig10.png")) == "fold 2, seed 0"
    assert drawn == [["baseline/1_0", "care/1_0"], ["baseline/2_0", "care/2_0"]]


@pytest.mark.parametrize("name", ["fig8", "fig9"])
def test_no_figure_is_drawn_of_unfinished_runs(name, tmp_path):
    draw = table_of(name, "isic2018")[1].draw
    with pytest.raises(InputError, match="Received no run of care"):
        draw([cell("baseline", "1", True), cell("care", "1", False)], [], tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "dataset"), [*TABLES, *OWN])
def test_every_row_of_a_table_is_a_method_of_its_comparison(name, dataset):
    table, _ = table_of(name, dataset)
    paths = [packaged_folder() / dataset / f"{config}.yaml" for config in table.configs]
    methods = read_methods(paths, varied=table.varied)
    assert set(table.rows) <= set(methods)
    assert not any(name.startswith("csl@alpha") for name in methods)  # that would be CARE
    # Every CARE is compared with its own method without, but where the figure shows a single run.
    alone = {method for method, config in methods.items() if config.baseline not in {None, *methods}}
    with_attention = {method for method in alone if any(stage.alpha > 0 for stage in methods[method].stages)}
    assert with_attention == ({"care_validated"} if name == "fig9" else set())
    assert {methods[method].baseline for method in alone - with_attention} <= {"baseline"}


def test_the_papers_figures_stand_beside_ours():
    csl, care = "csl", "care_csl@tau=.5"
    rows = [
        {"method": csl, "figure": "mean_class_accuracy", "value": 0.75, "low": 0.7, "high": 0.8},
        {"method": care, "figure": "mean_class_accuracy", "value": 0.8, "low": 0.75, "high": 0.85,
         "difference": 0.05, "difference_low": -0.01, "difference_high": 0.11},
        {"method": care, "figure": "recall/DF", "value": 0.4, "difference": 0.07},
        {"method": care, "figure": "recall_at_equal_calls/DF", "difference": -0.02,
         "difference_low": -0.05, "difference_high": 0.01},
        {"method": care, "figure": "precision/DF", "value": 0.3},
        {"method": care, "figure": "average_precision/DF", "value": 0.21},
        {"method": care, "figure": "attention_inside/DF", "value": 0.5, "difference": 0.1},
    ]  # fmt: skip
    text = beside_paper(TABLES["table6", "isic2018"], rows, "DF", {"csl": config("isic2018/csl")})
    row, rare = (line for line in text.splitlines() if line.startswith("| care_csl@tau=.5 "))
    assert row == "| care_csl@tau=.5 | 81 | 80.0 [75.0, 85.0] | +5.0 [-1.0, +11.0] |"
    assert rare == "| care_csl@tau=.5 | 65.2 | 40.0 | +7.0 | -2.0 [-5.0, +1.0] | 30.0 | 0.210 | 50.0 | +10.0 |"
    assert text.splitlines()[-1].startswith("What differs from the paper: ")


def test_the_papers_auc_is_the_mean_over_the_classes():
    rows = [
        {"method": "care", "figure": "macro_auc", "value": 0.91, "difference": 0.02},
        {"method": "care", "figure": "auc/DF", "value": 0.77, "difference": 0.5},
    ]
    lines = beside_paper(TABLES["table2", "isic2018"], rows, "DF", {}).splitlines()
    assert lines[0].endswith("| paper's AUC, mean of classes | ours | difference |")
    assert "| care | 78.2 |  |  | 0.973 | 0.910 | +0.020 |" in lines


def test_figures_that_not_all_models_have_say_so():
    rows = [
        {"method": "csl", "figure": "mean_class_accuracy", "value": 0.7, "num_cells": 2.0, "difference_num_cells": 2.0},
        {"method": "csl", "figure": "precision/DF", "value": 0.5, "num_cells": 1.0},
        {"method": "csl", "figure": "recall/DF", "value": 0.2, "num_cells": 2.0},
        {"method": "csl", "figure": "recall_at_equal_calls/DF", "difference": 0.1, "difference_num_cells": 1.0},
    ]
    text = beside_paper(TABLES["table6", "isic2018"], rows, "DF", {})
    assert "| csl | 56.5 | 20.0 |  | +10.0 (1 of 2) | 50.0 (1 of 2) |  |  |  |" in text.splitlines()
    assert text.endswith("or they were predicted before there was such a figure.")
    assert "(k of n)" not in beside_paper(TABLES["table6", "isic2018"], rows[:1], "DF", {})


def test_a_tables_lines_have_as_many_cells_as_its_header():
    for table in TABLES.values():
        for block in beside_paper(table, [], "DF", {}).split("\n\n")[:2]:
            assert len({line.count("|") for line in block.splitlines()}) == 1


def test_figures_without_numbers_of_the_paper_show_ours():
    table, figure = table_of("fig11", "isic2018")
    rows = [{"method": "care@train_box_scale=.7", "figure": "mean_class_accuracy", "value": 0.5, "difference": -0.01}]
    assert figure.draw is None
    assert "| care@train_box_scale=.7 |  | 50.0 | -1.0 |" in beside_paper(table, rows, "DF", {}).splitlines()


FOLDS = "Tested on folds, which `care prepare` groups by lesion or patient; the paper splits images 80/20."


def test_what_differs_is_read_from_the_configurations():
    def differs(name, dataset="isic2018", **configs):
        return differences_from_paper(TABLES[name, dataset], configs)

    assert differs("table7", care_csl=config()) == [FOLDS]
    small = config("isic2018/care_csl", "with=hardware/squeezenet_two_cores", "data.test={split: test}")
    assert differs("table7", care_csl=small) == [
        "Backbone squeezenet1_1; the paper's: resnet50.",
        "Images of 128 x 128 px; the paper's: 224 x 224.",
        "Weights at the start: squeezenet1_1_imagenet_notop.h5; the paper's: imagenet.",
        "Tested on the manifest's split test.",
    ]
    random = config("isic2018/csl", "model.weights=null", "model.backbone=vgg19")
    assert differs("table4", csl=random) == ["Weights at the start: random; the paper's: imagenet.", FOLDS]


def test_settings_of_the_attention_that_differ_are_told():
    def differs(name, dataset="isic2018", **configs):
        return [text for text in differences_from_paper(TABLES[name, dataset], configs) if text != FOLDS]

    other = config("isic2018/care", "care.lam=.5", "stages.finetune.alpha=.3")
    assert differs("table2", care_csl=config(), care=other, csl=config("isic2018/csl", "care.tau=.1")) == [
        "care_csl: tau 0.7; the paper's: 0.5.",
        "care: lam 0.5; the paper's: 1.",
        "care: alpha 0.3; the paper's: 0.5.",
    ]
    assert differs("table6", care_csl=config()) == []  # tau is its row
    assert differs("table2", "rsna", care_csl=config("rsna/care_csl")) == []


def test_what_is_not_there_for_a_data_set_is_refused():
    with pytest.raises(InputError, match="figure must be one of table2.*Received 'tabel2'. Did you mean 'table2'"):
        table_of("tabel2", "isic2018")
    message = (
        "Of rsna there are table2, table4, table5, table6, fig8, fig10. Received table7, which is of isic2018 only"
    )
    with pytest.raises(InputError, match=message):
        table_of("table7", "rsna")


def setting(**figures):
    """Figure -> its difference, low and high."""
    return {
        name.replace("__", "/"): dict(
            zip(("difference", "difference_low", "difference_high"), values, strict=True), value=0.5
        )
        for name, values in figures.items()
    }


def test_the_summary_has_the_range_of_every_difference_and_the_intervals_without_0():
    first = setting(attention_inside__DF=(0.02, 0.01, 0.03), mean_class_accuracy=(-0.02, -0.04, -0.001))
    second = setting(attention_inside__DF=(0.1, 0.0, 0.2), average_precision__DF=(0.004, -0.01, 0.02))
    lines = attention_summary([first, second], 4, 3, "DF").splitlines()
    assert lines[0].startswith("Over the 2 different settings with attention (alpha above 0)")
    assert "4 runs, which stand in 3 lines" in lines[0]
    assert lines[4:8] == [
        "| attention inside the boxes of DF, points | +2.0 | +10.0 | 1 of 2 | 0 of 2 |",
        "| mean class accuracy, points | -2.0 | -2.0 | 0 of 1 | 1 of 1 |",
        "| recall of DF at equal calls, points |  |  | 0 of 0 | 0 of 0 |",
        "| average precision of DF | +0.004 | +0.004 | 0 of 1 | 0 of 1 |",
    ]
    assert attention_summary([], 0, 0, "DF") == ""


def test_a_setting_that_stands_in_two_tables_counts_once(tmp_path):
    runs = {  # table -> method -> what its runs depend on
        "table6": {"csl": ["a"], "care_csl@tau=.7": ["b", "c"], "care_csl@tau=1": ["d", "e"]},
        "table7": {"care_csl@lam=1": ["b"], "care_csl@lam=2": ["f", "g"], "gone": []},
    }
    for table, methods in runs.items():
        folder = tmp_path / table
        folder.mkdir()
        (folder / "paper.md").touch()
        cells, rows = ["method,fold,seed,figure,value"], ["method,figure,difference,difference_low,difference_high"]
        for method, records in methods.items():
            rows.append(f"{method},mean_class_accuracy,{'.5,.4,.6' if method.endswith('lam=1') else '.1,-.1,.2'}")
            cells += [f"{method},{fold},0,macro_auc,.5" for fold in range(1, 3)]
            for fold, record in enumerate(records, start=1):
                cell = tmp_path / "cells" / method / f"fold{fold}_seed0"
                write_config(cell, config("isic2018/csl" if method == "csl" else "isic2018/care_csl"))
                (cell / "cell.json").write_text(record)
        (folder / "comparison.csv").write_text("\n".join(rows))
        (folder / "cells.csv").write_text("\n".join(cells))
    text = summary_of_folder(tmp_path, "DF")
    assert text.startswith("Over the 3 different settings") and "6 runs, which stand in 4 lines" in text
    assert (
        "| mean class accuracy, points | +10.0 | +10.0 | 0 of 3 | 0 of 3 |" in text
    )  # tau=.7 has more runs than lam=1
