"""The paper's tables as comparisons: every row is a method of its comparison, and stands beside its own figures."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from care_tf.errors import InputError
from care_tf.runs import reproduced_figures
from care_tf.runs.comparison_plan import read_methods
from care_tf.runs.named_configs import packaged_folder
from care_tf.runs.reproduced_figures import FIGURES, table_of
from care_tf.runs.reproduction import TABLES, PaperTable, beside_paper

OWN = [key for key, figure in FIGURES.items() if isinstance(figure.table, PaperTable)]


def cell(method, fold, is_finished, seed=0):
    config = SimpleNamespace(seed=seed, title=None)
    return SimpleNamespace(
        method=method, fold=fold, is_finished=is_finished, config=config, folder=f"{method}/{fold}_{seed}"
    )


def test_maps_are_those_of_the_first_fold_and_seed_that_has_all_methods(monkeypatch):
    drawn = []
    monkeypatch.setattr(reproduced_figures, "write_run_maps", lambda folders, output, titles: drawn.append(folders))
    draw = table_of("fig10", "isic2018")[1].draw
    cells = [cell("baseline", "1", True), cell("care", "1", False), cell("baseline", "2", True)]
    with pytest.raises(InputError, match="Received no run of care. Leave out --table-only"):
        draw(cells, [], Path("fig10.png"))
    draw([*cells, cell("care", "2", True, seed=1), cell("care", "2", True)], [], Path("fig10.png"))
    assert drawn == [["baseline/2_0", "care/2_0"]]


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
    methods = read_methods(paths, varied=table.varied, fixed=table.fixed)
    assert set(table.rows) <= set(methods)
    assert not any(name.startswith("csl@alpha") for name in methods)  # that would be CARE
    # Every CARE is compared with its own method without, but where the figure shows a single run.
    alone = {method for method, config in methods.items() if config.baseline not in {None, *methods}}
    with_attention = {method for method in alone if any(stage.alpha > 0 for stage in methods[method].stages)}
    assert with_attention == ({"care_validated"} if name == "fig9" else set())
    assert {methods[method].baseline for method in alone - with_attention} <= {"baseline"}


def test_the_papers_figures_stand_beside_ours():
    rows = [
        {"method": "csl", "figure": "mean_class_accuracy", "value": 0.75, "low": 0.7, "high": 0.8},
        {"method": "care_csl@tau=.5", "figure": "mean_class_accuracy", "value": 0.8, "low": 0.75, "high": 0.85,
         "difference": 0.05, "difference_low": -0.01, "difference_high": 0.11},
        {"method": "care_csl@tau=.5", "figure": "recall/DF", "value": 0.4, "difference": 0.07},
        {"method": "care_csl@tau=.5", "figure": "recall_at_equal_calls/DF", "difference": -0.02,
         "difference_low": -0.05, "difference_high": 0.01},
        {"method": "care_csl@tau=.5", "figure": "precision/DF", "value": 0.3},
        {"method": "care_csl@tau=.5", "figure": "average_precision/DF", "value": 0.21},
    ]  # fmt: skip
    text = beside_paper(TABLES["table6", "isic2018"], rows, "DF")
    row, rare = (line for line in text.splitlines() if line.startswith("| care_csl@tau=.5 "))
    assert row == "| care_csl@tau=.5 | 81 | 80.0 [75.0, 85.0] | +5.0 [-1.0, +11.0] |"
    assert rare == "| care_csl@tau=.5 | 40.0 | +7.0 | -2.0 [-5.0, +1.0] | 30.0 | 0.210 |"
    assert text.splitlines()[-1].startswith("What differs from the paper: ")


def test_figures_that_not_all_models_have_say_so():
    rows = [
        {"method": "csl", "figure": "mean_class_accuracy", "value": 0.7, "num_cells": 2.0, "difference_num_cells": 2.0},
        {"method": "csl", "figure": "precision/DF", "value": 0.5, "num_cells": 1.0},
        {"method": "csl", "figure": "recall/DF", "value": 0.2, "num_cells": 2.0},
        {"method": "csl", "figure": "recall_at_equal_calls/DF", "difference": 0.1, "difference_num_cells": 1.0},
    ]
    text = beside_paper(TABLES["table6", "isic2018"], rows, "DF")
    assert "| csl | 20.0 |  | +10.0 (1 of 2) | 50.0 (1 of 2) |  |" in text.splitlines()
    assert text.endswith("the others lack the class, its boxes, or any call of it.")
    assert "(k of n)" not in beside_paper(TABLES["table6", "isic2018"], rows[:1], "DF")


def test_a_recall_stands_beside_its_precision_and_the_equal_calls():
    lines = beside_paper(TABLES["table8", "isic2018"], [], "DF").splitlines()
    assert lines[0] == (
        "| method | paper's MCA, % | ours | difference | paper's recall, % | ours | difference | at equal calls | "
        "precision, % |"
    )
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_figures_without_numbers_of_the_paper_show_ours():
    table, figure = table_of("fig11", "isic2018")
    rows = [{"method": "care@train_box_scale=.7", "figure": "mean_class_accuracy", "value": 0.5, "difference": -0.01}]
    assert figure.draw is None
    assert "| care@train_box_scale=.7 |  | 50.0 | -1.0 |" in beside_paper(table, rows, "DF").splitlines()


def test_what_the_paper_does_not_have_is_refused():
    with pytest.raises(InputError, match="figure must be one of table2.*Received 'tabel2'. Did you mean 'table2'"):
        table_of("tabel2", "isic2018")
    with pytest.raises(InputError, match="has table5 on isic2018 only"):
        table_of("table5", "rsna")
