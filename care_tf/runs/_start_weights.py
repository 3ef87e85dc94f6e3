"""The weights that a stage starts from: the last stage's, the initial ones, an earlier stage's, or a file's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from care_tf.errors import InputError
from care_tf.keras_generation import load_weights, renew_state, set_weights
from care_tf.model_file import load_network
from care_tf.runs._progress import stage_weights
from care_tf.runs._stage import Stage


def load_start_weights(
    classifier: keras.Model, stages: Sequence[Stage], index: int, folder: Path, initial: Sequence[Any]
) -> None:
    """Gives the classifier the weights that a stage starts from; those of the stage before it has already."""
    start_from = stages[index].start_from
    earlier = {stage.name: stage_weights(folder, number, stage) for number, stage in enumerate(stages[:index])}
    if start_from == "initial":
        set_weights(classifier, initial)
    elif start_from is not None:
        _load_matching(classifier, earlier.get(start_from, Path(start_from)), stages[index])


def check_start_weights(classifier: keras.Model, stages: Sequence[Stage]) -> None:
    """Tries the weights files that stages start from, and leaves the classifier as it was.

    Raises:
      InputError: `start_from` is neither "initial", an earlier stage, nor a file, or its weights do not fit.
    """
    for index, stage in enumerate(stages):
        known = ["initial", *(other.name for other in stages[:index])]
        if stage.start_from is None or stage.start_from in known:
            continue
        if not Path(stage.start_from).is_file():
            raise InputError(
                f"Stage {stage.name!r}: start_from must be a weights file or one of {', '.join(known)}. "
                f"Received {stage.start_from!r}."
            )
        initial = classifier.get_weights()
        _load_matching(classifier, Path(stage.start_from), stage)
        set_weights(classifier, initial)


def _load_matching(classifier: keras.Model, path: Path, stage: Stage) -> None:
    try:
        if path.suffix == ".keras":
            set_weights(classifier, load_network(path).get_weights())
        else:
            load_weights(classifier, str(path))
            renew_state(classifier)  # Keras 3 leaves it out for published .h5 files
    except InputError as error:
        raise InputError(f"Stage {stage.name!r}: {error}") from error
    except Exception as error:  # Keras raises whatever its readers do
        raise InputError(
            f"Stage {stage.name!r}: the weights of start_from={str(path)!r} do not fit {classifier.name!r}: they are "
            f"of another network, image size or number of classes ({str(error).splitlines()[0]})."
        ) from error
