"""A configuration becomes a trained run folder."""

import dataclasses
import functools
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras

from care_tf import run_files
from care_tf.backbones import InitialWeights
from care_tf.errors import InputError
from care_tf.files import atomic_path
from care_tf.images.decoding import corrupt_files_refused
from care_tf.interrupts import interrupt_held
from care_tf.network import Anatomy
from care_tf.runs import _folder as run_folder
from care_tf.runs._configured_model import build_network, observed_network
from care_tf.runs._fingerprint import stage_files, stage_fingerprints
from care_tf.runs._own_pieces import check_own_pieces, own_callbacks
from care_tf.runs._prepared_stage import PreparedStage, prepare_stages
from care_tf.runs._progress import Progress, check_progress, file_states, has_begun, sole_training, stage_weights
from care_tf.runs._run_monitor import how_to_look, run_monitor
from care_tf.runs._shared_images import SharedImages
from care_tf.runs._source_files import FileStates, SourceFiles, changes_since, write_states
from care_tf.runs._stage_training import train_stages
from care_tf.runs._start_weights import check_start_weights
from care_tf.runs._training_rows import TrainingRows, read_training_rows
from care_tf.runs.config import RunConfig
from care_tf.runs.distribution import agree, distributed, is_chief, synchronized_statistics, written_folder


@corrupt_files_refused()
def train_run(
    config: RunConfig,
    command: Sequence[str] = (),
    show_progress: bool = True,
    images: SharedImages | None = None,
) -> Path:
    """Trains all stages of a configuration; started again, it continues after the last finished epoch.

    Args:
      config: What to train, and where to.
      command: The command line, for the record.
      show_progress: Prints one line per epoch with the time left, and a bar within it on a terminal.
      images: Decoded images and activations that several runs share; None keeps the run's own.

    Returns:
      The run folder with config.yaml, environment.json, history.csv, checkpoints and model.keras, and inputs.json where
      the network has further inputs.

    Raises:
      InputError: The configuration or the data are bad, or the folder holds another run.

    Warns:
      UserWarning: Images or masks have changed since the epochs that the run goes on from.
    """
    folder = Path(config.output)
    with distributed(config.training):
        run = prepare_run(config, images)
        # Everything that can be refused has been, before anything is written: a wrong command costs no finished run.
        _check_folder(folder)
        fingerprints = stage_fingerprints(run.config, run.rows)
        progress = check_progress(folder, fingerprints)
        with written_folder(folder, config.training) as own_folder:
            agree(progress)
            if is_chief(config.training):
                _tell_of_changed_files(run, folder, progress)
            with sole_training(own_folder):
                again = check_progress(own_folder, fingerprints)
                if (again.stage, again.epoch) != (progress.stage, progress.epoch):
                    raise InputError(f"Another run has just been at work on {folder}. Start this one again.")
                _train(run, own_folder, progress, command, show_progress and is_chief(config.training))
            agree(progress)
    return folder


@dataclasses.dataclass(frozen=True)
class PreparedRun:
    """A run that has passed every check, and has written nothing yet.

    Attributes:
      config: With the class names.
      rows: The rows to train and validate on.
      classifier: The network with its initial weights.
      weights: Where those come from.
      anatomy: Where its attention map and its score are read.
      stages: What is trained, in order.
      sources: The images and masks that each stage comes from, as they were before any was read.
    """

    config: RunConfig
    rows: TrainingRows
    classifier: keras.Model
    weights: InitialWeights
    anatomy: Anatomy
    stages: list[PreparedStage]
    sources: list[SourceFiles]


def prepare_run(config: RunConfig, images: SharedImages | None = None) -> PreparedRun:
    """Reads the data, builds the network, and builds and checks what every stage trains.

    Raises:
      InputError: The configuration or the data are bad.
    """
    check_own_pieces(config)
    rows = read_training_rows(config)
    train = rows.train
    config = config.model_copy(update={"data": config.data.model_copy(update={"class_names": train.class_names})})
    if any(stage.alpha > 0 for stage in config.stages) and not train.has_boxes.any():
        raise InputError(
            f"Stages with alpha > 0 need boxes, but no training row of {train.source} has one"
            + (f" for {', '.join(config.data.mask_classes)}" if config.data.mask_classes else "")
            + ". Add boxes to the manifest, or set alpha to 0."
        )
    states = FileStates()
    sources = [states.of(paths) for paths in stage_files(config, rows)]
    classifier, weights = build_network(config, len(train.class_names), rows.inputs)
    observed = observed_network(config, classifier)
    stages = prepare_stages(config, rows, observed, images or SharedImages(config.data.cache))
    check_start_weights(classifier, config.stages)
    return PreparedRun(config, rows, classifier, weights, observed.anatomy, stages, sources)


def _tell_of_changed_files(run: PreparedRun, folder: Path, progress: Progress) -> None:
    records = []
    for index, (stage, sources) in enumerate(zip(run.config.stages, run.sources, strict=True)):
        if index >= progress.stage and stage.reuse is not None:
            records.append((file_states(stage_weights(Path(stage.reuse), index, stage)), sources))
        elif has_begun(progress, index):
            records.append((file_states(stage_weights(folder, index, stage)), sources))
    changes = changes_since(records)
    if changes:
        warnings.warn(
            f"{folder} goes on from epochs of other files: {changes}. Where files were only copied or touched, nothing "
            "is wrong; else its weights come from both: choose another output folder to train it on the new ones alone",
            UserWarning,
            stacklevel=3,
        )


def _train(run: PreparedRun, folder: Path, progress: Progress, command: Sequence[str], show_progress: bool) -> None:
    run_folder.write_config(folder, run.config)
    run_folder.write_inputs(folder, run.rows.inputs)
    for index, (stage, sources) in enumerate(zip(run.config.stages, run.sources, strict=True)):
        if stage.reuse is None and not has_begun(progress, index):
            write_states(file_states(stage_weights(folder, index, stage)), sources)
    how_built = {"attention": str(run.anatomy), "weights": str(run.weights)}
    run_folder.write_environment(folder, run.config, command, run.rows, how_built)
    if show_progress:
        print(*how_built.values(), *run.rows.inputs, sep="\n", flush=True)
        if run.config.training.tensorboard:
            print(how_to_look(folder), flush=True)
    monitor = run_monitor(run.config, run.rows, folder)
    own = functools.partial(own_callbacks, run.config)
    with synchronized_statistics([run.classifier, *(stage.model.classifier for stage in run.stages)]):
        settings = (run.config.seed, show_progress, monitor, own, run.config.training.largest_loss)
        train_stages(run.classifier, run.stages, folder, progress, *settings)
    with interrupt_held(), atomic_path(folder / run_files.MODEL, durable=True) as temporary:
        run.classifier.save(temporary)


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"The output {folder} is a file. Choose a folder.")
    visible = folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir())
    if visible and not (folder / run_files.CONFIG).exists():
        raise InputError(f"The output folder {folder} holds something that is not a run. Choose another output.")
