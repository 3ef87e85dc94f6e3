"""Scores with intervals, trivial references for attention, and the report."""

from care_tf.evaluation.attention_references import attention_references
from care_tf.evaluation.bootstrap import group_bootstrap
from care_tf.evaluation.report import write_report
from care_tf.evaluation.scores import ClassScores, Estimate, Scores, evaluate_predictions, paired_difference

__all__ = [
    "ClassScores",
    "Estimate",
    "Scores",
    "attention_references",
    "evaluate_predictions",
    "group_bootstrap",
    "paired_difference",
    "write_report",
]
