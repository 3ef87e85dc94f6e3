"""Whole runs: the one place that knows every part. A configuration becomes a run folder, a run folder a report."""

from care_tf.runs.folder import LoadedRun, load_run
from care_tf.runs.run_evaluation import evaluate_run
from care_tf.runs.run_training import train_run

__all__ = ["LoadedRun", "evaluate_run", "load_run", "train_run"]
