"""Scores with intervals, trivial references for attention, and the report."""

from care_tf.evaluation.attention_references import attention_references
from care_tf.evaluation.bootstrap import group_bootstrap
from care_tf.evaluation.comparison_cells import CellPredictions, MethodSpec
from care_tf.evaluation.comparison_plot import comparison_figure, write_comparison_plot
from care_tf.evaluation.comparison_table import (
    comparison_markdown,
    comparison_rows,
    write_cells_csv,
    write_comparison_csv,
)
from care_tf.evaluation.method_comparison import Comparison, compare_methods
from care_tf.evaluation.report import write_report
from care_tf.evaluation.scores import ClassScores, Estimate, Scores, evaluate_predictions, paired_difference

__all__ = [
    "CellPredictions",
    "ClassScores",
    "Comparison",
    "Estimate",
    "MethodSpec",
    "Scores",
    "attention_references",
    "compare_methods",
    "comparison_figure",
    "comparison_markdown",
    "comparison_rows",
    "evaluate_predictions",
    "group_bootstrap",
    "paired_difference",
    "write_cells_csv",
    "write_comparison_csv",
    "write_comparison_plot",
    "write_report",
]
