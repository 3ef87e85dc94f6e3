from ._comparison_cells import CellPredictions, MethodSpec
from ._comparison_plot import write_comparison_plot
from ._comparison_table import comparison_markdown, comparison_rows, write_cells_csv, write_comparison_csv
from ._group_scores import FEW_IMAGES, GroupRecall, GroupScores, flip_rate, group_differences, group_scores
from ._method_comparison import Comparison, compare_methods
from ._reference_maps import attention_references
from ._report import GalleryGroup, Report, ReportedRun, write_report
from .bootstrap import group_bootstrap
from .scores import ClassScores, Estimate, Scores, evaluate_predictions, paired_difference

__all__ = [
    "FEW_IMAGES",
    "CellPredictions",
    "ClassScores",
    "Comparison",
    "Estimate",
    "GalleryGroup",
    "GroupRecall",
    "GroupScores",
    "MethodSpec",
    "Report",
    "ReportedRun",
    "Scores",
    "attention_references",
    "compare_methods",
    "comparison_markdown",
    "comparison_rows",
    "evaluate_predictions",
    "flip_rate",
    "group_bootstrap",
    "group_differences",
    "group_scores",
    "paired_difference",
    "write_cells_csv",
    "write_comparison_csv",
    "write_comparison_plot",
    "write_report",
]
