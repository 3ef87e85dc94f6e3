"""The names of the files in a run folder, and what makes a folder a finished run."""

from pathlib import Path

from care_tf.errors import InputError

CONFIG, ENVIRONMENT, METRICS = "config.yaml", "environment.json", "metrics.json"
MODEL, REPORT, PREDICTIONS, INPUTS = "model.keras", "report.html", "predictions.csv", "inputs.json"


def check_finished_run(folder: Path) -> None:
    """Raises an `InputError` for a folder that is no run, or a run that has not finished."""
    if not (folder / CONFIG).exists():
        raise InputError(f"{folder} is not a run folder: it has no {CONFIG}. Make one with `care train`.")
    if not (folder / MODEL).exists():
        raise InputError(f"The run {folder} has not finished: it has no {MODEL}. Start `care train` again to continue.")
