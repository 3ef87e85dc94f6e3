"""The paper's tables as comparisons: every row is a method of its comparison, and stands beside its own figures."""

import pytest

from care_tf.errors import InputError
from care_tf.runs.comparison_plan import read_methods
from care_tf.runs.named_configs import packaged_folder
from care_tf.runs.reproduction import TABLES, beside_paper, paper_table


@pytest.mark.parametrize(("name", "dataset"), TABLES, ids=" ".join)
def test_every_row_of_a_table_is_a_method_of_its_comparison(name, dataset):
    table = TABLES[name, dataset]
    paths = [packaged_folder() / dataset / f"{config}.yaml" for config in table.configs]
    methods = read_methods(paths, varied=table.varied)
    assert set(table.rows) <= set(methods)
    # Whatever a method is compared with is in the table, too, or is another variant of it.
    assert {config.baseline for config in methods.values()} - {None, *methods} <= {"baseline", "csl"}


def test_the_papers_figures_stand_beside_ours():
    rows = [
        {"method": "csl", "figure": "mean_class_accuracy", "value": 0.75, "low": 0.7, "high": 0.8},
        {"method": "care_csl@tau=.5", "figure": "mean_class_accuracy", "value": 0.8, "low": 0.75, "high": 0.85,
         "difference": 0.05, "difference_low": -0.01, "difference_high": 0.11},
        {"method": "care_csl@tau=.5", "figure": "auc/DF", "value": 0.9123, "low": None, "high": None},
    ]  # fmt: skip
    lines = beside_paper(TABLES["table6", "isic2018"], rows, "DF").splitlines()
    row = next(line for line in lines if line.startswith("| care_csl@tau=.5 "))
    assert row == "| care_csl@tau=.5 | 81 | 80.0 [75.0, 85.0] | +5.0 [-1.0, +11.0] |  |  |  |  | 0.912 |  |"
    assert lines[-1].startswith("What differs from the paper: ")


def test_what_the_paper_does_not_have_is_refused():
    with pytest.raises(InputError, match="must be one of table2.*Received 'tabel2'. Did you mean 'table2'"):
        paper_table("tabel2", "isic2018")
    with pytest.raises(InputError, match="has table5 on isic2018 only"):
        paper_table("table5", "rsna")
