"""One run of a comparison: trained, then its test images predicted."""

from collections.abc import Sequence

from care_tf.data import read_manifest
from care_tf.evaluation.check_size import CHECK_IMAGES
from care_tf.files import write_text
from care_tf.run_files import CELL_RECORD, PREDICTED_FILES
from care_tf.runs._folder import load_run
from care_tf.runs._run_predictions import predict_manifest, with_lesion_check, write_predictions
from care_tf.runs._run_training import train_run
from care_tf.runs._shared_images import SharedImages
from care_tf.runs._source_files import FileStates, files_of_rows, write_states
from care_tf.runs._training_rows import select_rows
from care_tf.runs.comparison_plan import Cell
from care_tf.runs.distribution import is_chief


def train_cell(cell: Cell, command: Sequence[str], images: SharedImages, show_epochs: bool) -> None:
    """Trains a cell and writes its predictions; arguments and errors as for `train_run`."""
    train_run(cell.config, command=command, show_progress=show_epochs, images=images)
    if is_chief(cell.config.training):
        predict_cell(cell)


def predict_cell(cell: Cell) -> None:
    """Writes what a trained cell predicts for its test images, and that it has done so."""
    run = load_run(cell.folder, trust=True)
    data = cell.config.data
    rows = read_manifest(data.manifest, class_names=run.class_names, inputs=list(data.inputs))
    rows = select_rows(rows, data.test, "data.test")
    sources = FileStates().of(files_of_rows(rows))
    predictions = predict_manifest(run, rows)
    predictions = with_lesion_check(run, rows, predictions, CHECK_IMAGES)
    write_predictions(cell.folder, rows, predictions)
    write_states(cell.folder / PREDICTED_FILES, sources)
    write_text(cell.folder / CELL_RECORD, cell.prediction_fingerprint, durable=True)
