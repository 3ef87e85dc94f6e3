"""The run folder: what is in it, and how to load it again."""

import dataclasses
import datetime
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from care_tf.backbones import get_backbone
from care_tf.data import InputEncoding
from care_tf.data.class_focus import focus_classes
from care_tf.errors import InputError, clause, reason
from care_tf.evaluation.decision_thresholds import Decision
from care_tf.files import files_sha256, write_json, write_text
from care_tf.model import CAREModel
from care_tf.model_file import load_network
from care_tf.named_function import strangers_code_refused
from care_tf.run_files import CONFIG, ENVIRONMENT, INPUTS, MODEL, check_finished_run
from care_tf.runs._configured_model import care_model, observed_network
from care_tf.runs._decision_file import read_decision
from care_tf.runs._progress import stage_weights
from care_tf.runs._training_rows import TrainingRows
from care_tf.runs.config import RunConfig, dump_config, load_config
from care_tf.text_files import read_json, read_record
from care_tf.version import __version__


@dataclasses.dataclass(frozen=True)
class LoadedRun:
    """A finished run, ready to predict.

    Attributes:
      folder: The run folder.
      config: Its resolved configuration.
      care_model: The trained model.
      preprocess: RGB 0..255 -> what the classifier takes.
      image_size: (height, width) in pixels.
      class_names: In the order of the outputs.
      inputs: How further columns of a manifest are encoded for the network.
      decision: How its probabilities are read; None where `care calibrate` has not chosen anything.
    """

    folder: Path
    config: RunConfig
    care_model: CAREModel
    preprocess: Callable[[tf.Tensor], tf.Tensor]
    image_size: tuple[int, int]
    class_names: tuple[str, ...]
    inputs: tuple[InputEncoding, ...] = ()
    decision: Decision | None = None

    @property
    def focus_class(self) -> str | None:
        """The rarest class in training, among those whose boxes are used where they are named; None where unknown."""
        class_counts = read_environment(self.folder).get("training_images")
        return focus_classes(class_counts, self.config.data.mask_classes or ())[0] if class_counts else None

    def check_needs_no_boxes(self) -> None:
        """Raises an InputError for a run that evaluates images changed by their boxes, where nobody knows these."""
        if self.config.data.changes_tests:
            raise InputError(
                "Where no boxes are known, a run must take images whole. Received one with data.outside_boxes="
                f"{self.config.data.outside_boxes} and data.outside_boxes_in=everywhere ({self.folder}). Train one "
                "with data.outside_boxes_in=training."
            )

    @property
    def sha256(self) -> str:
        """Of what its predictions come from: network, configuration and encoded inputs."""
        paths = [self.folder / name for name in (MODEL, CONFIG, INPUTS)]
        return files_sha256(path for path in paths if path.exists())


def load_run(folder: str | os.PathLike, trust: bool = False) -> LoadedRun:
    """Loads a finished run.

    Args:
      folder: Run folder written by `train_run`.
      trust: Whether modules outside care_tf that the run names, as its backbone or activation map, are imported: code
        that runs on this machine. Those that are imported already, or that the environment variable CARE_TF_TRUST
        names, are welcome without.

    Returns:
      The run with its trained model.

    Raises:
      InputError: The folder is not a run, its training has not finished, or it names code of strangers.
    """
    folder = Path(folder)
    check_finished_run(folder)
    with strangers_code_refused(folder, trust):
        return _loaded(folder)


def _loaded(folder: Path) -> LoadedRun:
    config = load_config(folder / CONFIG)
    backbone = get_backbone(config.model.backbone)  # imports a user's own builder, which registers its layers
    try:
        classifier = load_network(folder / MODEL)
    except InputError:
        raise
    except Exception as error:  # Keras raises whatever its readers do
        raise InputError(f"{folder / MODEL} cannot be loaded: {clause(reason(error))}.") from error
    class_names = config.data.class_names
    if class_names is None:
        raise InputError(f"{folder / CONFIG} does not name data.class_names: it was not written by `care train`.")
    keras.mixed_precision.set_global_policy(config.training.precision)
    model = care_model(config, observed_network(config, classifier), config.stages[-1])
    read = _read_inputs(folder), read_decision(folder)
    return LoadedRun(folder, config, model, backbone.preprocess, config.data.image_size_px, class_names, *read)


def weights_before_attention(run: LoadedRun) -> Path | None:
    """The weights of the last stage before the first with attention (before the last stage if none has any)."""
    stages = run.config.stages
    first = next((index for index, stage in enumerate(stages) if stage.alpha > 0), len(stages) - 1)
    path = stage_weights(run.folder, first - 1, stages[first - 1])
    return path if first > 0 and path.exists() else None


def write_config(folder: Path, config: RunConfig) -> None:
    """Writes the resolved configuration."""
    write_text(folder / CONFIG, dump_config(config))


def write_inputs(folder: Path, inputs: Sequence[InputEncoding]) -> None:
    """Writes how the training rows' further columns were encoded; nothing where there are none."""
    if inputs:
        write_json(folder / INPUTS, [dataclasses.asdict(each) for each in inputs], indent=2)


def input_names(folders: Sequence[str | os.PathLike]) -> list[str]:
    """The further columns that any of some runs takes."""
    return list(dict.fromkeys(encoding.name for folder in folders for encoding in _read_inputs(Path(folder))))


def _read_inputs(folder: Path) -> tuple[InputEncoding, ...]:
    if not (folder / INPUTS).exists():
        return ()
    return read_record(folder / INPUTS, lambda entries: tuple(map(InputEncoding.from_dict, entries)))


def write_environment(
    folder: Path, config: RunConfig, command: Sequence[str], rows: TrainingRows, network: dict[str, str]
) -> None:
    """Writes what the run ran on: versions, seed, command, data, the network. A resumed run keeps it."""
    if (folder / ENVIRONMENT).exists():
        return
    environment = {
        "care_tf": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        "seed": config.seed,
        "command": list(command),
        **rows.fingerprints(),
        "training_images": rows.train.class_counts,
        **network,
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    write_json(folder / ENVIRONMENT, environment, indent=2)


def read_environment(folder: Path) -> dict[str, Any]:
    """The run's environment.json, {} when there is none."""
    path = folder / ENVIRONMENT
    return read_json(path) if path.exists() else {}
