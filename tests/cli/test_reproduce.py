"""`care reproduce` from its words to its pages; the runs are faked, the pictures are tested in tests/runs."""

import csv

import pytest

from care_tf.cli import reproduce as command
from care_tf.cli.reproduce import reproduce
from care_tf.runs import reproduced_figures
from care_tf.runs._folder import write_config
from care_tf.runs.comparison_plan import Cell, read_methods


@pytest.fixture
def asked(monkeypatch):
    """What was to be compared, instead of comparing it: every method has a mean class accuracy of 50 %."""
    calls = []

    def run_comparison(context, names, changes, varied, folds, seeds, output, resamples, table_only, workers, tables):
        calls.append((names, changes, dict(varied), folds, seeds, output, resamples, table_only))
        methods = read_methods(names, changes, varied)
        tables.mkdir(parents=True)
        with (tables / "comparison.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["method", "figure", "value", "low", "difference", "difference_low", "difference_high"])
            writer.writerows([method, "mean_class_accuracy", 0.5, "", 0.01, -0.02, 0.03] for method in methods)
        (tables / "cells.csv").write_text("method,fold,seed\n" + "".join(f"{method},1,0\n" for method in methods))
        for method, config in methods.items():
            folder = output / "cells" / method / "fold1_seed0"
            write_config(folder, config)
            (folder / "cell.json").write_text(method)
        (tables / "comparison.png").write_bytes(b"plot")
        return [Cell(method, "1", config, (), "") for method, config in methods.items()]

    monkeypatch.setattr(command, "run_comparison", run_comparison)
    return calls


def test_a_table_stands_beside_the_papers_and_all_tables_on_one_page(run, asked, tmp_path):
    words = "table7 title=x --folds 1,2 --seeds 3 --output out --resamples 5 --table-only"
    code, out, _ = run(reproduce, *words.split())
    assert code == 0 and "| care_csl@lam=1 | 80.6 | 50.0 | +1.0 [-2.0, +3.0] |" in out
    lam = {"care.lam": (".7", "1", "1.3")}
    names = ["isic2018/csl", "isic2018/care_csl"]
    assert asked == [(names, ["title=x"], lam, ["1", "2"], [3], command.Path("out"), 5, True)]
    assert (tmp_path / "out" / "table7" / "paper.md").read_text() in out
    assert run(reproduce, "table10", "--output", "out")[0] == 0
    assert run(reproduce, "table7", "--vary", "care.lam=2", "--output", "out")[0] == 0
    lines = (tmp_path / "out" / "results.md").read_text().splitlines()
    assert lines[0].startswith(
        "Over the 7 different settings with attention (alpha above 0) of the tables below, 7 runs"
    )
    assert "| mean class accuracy, points | +1.0 | +1.0 | 0 of 7 | 0 of 7 |" in lines
    titles = [line for line in lines if line.startswith("## ")]
    assert [title.split(":")[0] for title in titles] == [
        "## table7, isic2018", "## table7, isic2018", "## table10, isic2018"
    ]  # fmt: skip


def test_other_values_of_what_a_table_varies_go_to_a_folder_of_their_own(run, refuses, asked, tmp_path):
    assert run(reproduce, "table7", "--output", "out")[0] == 0
    before = (tmp_path / "out" / "table7" / "paper.md").read_text()
    code, out, _ = run(reproduce, "table7", "--vary", "care.lam=2,1.0", "--output", "out")
    assert code == 0 and "The weight lambda of the attention outside the box, here care.lam 2, 1.0\n" in out
    assert "| care_csl@lam=2 |  | 50.0 |" in out and "| care_csl@lam=1 | 80.6 | 50.0 |" in out
    assert "lam=1.3" not in out and (tmp_path / "out" / "table7" / "paper.md").read_text() == before
    assert (tmp_path / "out" / "table7_lam=2,1" / "paper.md").read_text() in out
    assert "--vary must name what table7 varies: care.lam" in refuses(reproduce, "table7", "--vary", "care.tau=.2")


def test_a_figure_is_drawn_of_finished_runs(run, refuses, asked, monkeypatch):
    drawn = []
    monkeypatch.setattr(reproduced_figures, "write_run_maps", lambda *given, **titles: drawn.append((given, titles)))
    assert "Received no run of baseline, care. Leave out --table-only" in refuses(
        reproduce, "fig10", "--table-only", "--output", "none"
    )
    monkeypatch.setattr(Cell, "is_finished", True)
    code, out, _ = run(reproduce, "fig10", "--output", "out")
    assert (code, out) == (0, "wrote out/fig10/fig10.png, which shows fold 1, seed 0\n")
    (folders, picture), titles = drawn[0]
    assert [folder.name for folder in folders] == ["baseline", "care"] and picture.name == "fig10.png"
    assert titles == {"titles": ["baseline", "CARE"]}


def test_the_plot_of_a_comparison_is_a_figure_too(run, asked, tmp_path):
    code, out, _ = run(reproduce, "fig11", "--output", "out")
    assert code == 0 and "| care@train_box_scale=.7 |  | 50.0 |" in out
    assert (tmp_path / "out" / "fig11" / "fig11.png").read_bytes() == b"plot"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tabel2"], "The table or figure must be one of table2"),
        (["table7", "--dataset", "rsna"], "Received table7, which is of isic2018 only"),
        (["table2", "care"], "After the table or figure come changes, key=value. Received 'care'"),
        (["table6", "care.tau=.3"], "care.tau varies over .2, .4, .5, .7, 1, so care.tau= cannot set it"),
        (["table2", "output=here"], "Give --output FOLDER instead of output="),
        (["table2", "seed=1", "--seeds", "2"], "Both --seeds and seed= were given"),
        (["fig13", "--folds", "1", "--table-only"], "fig13 shows no runs: it takes --dataset and --output. Received"),
        (["fig13", "output=here"], "Give --output FOLDER instead of output="),
    ],
)
def test_bad_arguments_are_refused(refuses, tmp_path, arguments, message):
    assert message in refuses(reproduce, *arguments)
    assert not list(tmp_path.iterdir())
