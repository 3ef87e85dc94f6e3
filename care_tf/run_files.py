"""The names of the files in a run folder, and what makes a folder a finished run, or an exported one."""

from pathlib import Path

from care_tf.errors import InputError

CONFIG, ENVIRONMENT, METRICS = "config.yaml", "environment.json", "metrics.json"
MODEL, REPORT, PREDICTIONS, INPUTS = "model.keras", "report.html", "predictions.csv", "inputs.json"
TENSORBOARD, CHECK = "tensorboard", "check.html"
CELL_RECORD, PREDICTED_FILES = "cell.json", "cell.files.npy"  # of a run of a comparison


def check_finished_run(folder: Path) -> None:
    """Raises an `InputError` for a folder that is no run, or a run that has not finished."""
    if not (folder / CONFIG).exists():
        raise InputError(f"{folder} is not a run folder: it has no {CONFIG}. Make one with `care train`.")
    if not (folder / MODEL).exists():
        raise InputError(f"The run {folder} has not finished: it has no {MODEL}. Start `care train` again to continue.")


def check_model(folder: Path) -> None:
    """Raises an `InputError` for a path that is neither a finished run nor a SavedModel."""
    if (folder / "saved_model.pb").exists():
        return
    if not (folder / CONFIG).exists():
        received = "a folder without either" if folder.is_dir() else "no folder"
        raise InputError(
            f"{folder} must be a run folder (with {CONFIG}, of care train) or a SavedModel (with saved_model.pb, of "
            f"care export). Received {received}."
        )
    check_finished_run(folder)
