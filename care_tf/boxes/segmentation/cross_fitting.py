"""Which network may segment which image: never one that saw the image's mask."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from care_tf.boxes.segmentation.prediction import lesion_probability, load_segmentation_model
from care_tf.data.groups import SORTED_FIRST, own_groups
from care_tf.data.image_identity import image_identities
from care_tf.errors import InputError
from care_tf.files import file_sha256, write_json
from care_tf.text_files import read_json

RECORD = "segmentation.json"


def deal_groups(groups: Sequence[str], num_folds: int, seed: int = 0) -> np.ndarray:
    """Deals images to folds of about equal size without splitting a group.

    Args:
      groups: n patients or lesions; "" is a group of its own.
      num_folds: At least 2, at most the groups.
      seed: Of the deal.

    Returns:
      int64 (n,): the fold of every image, 1..num_folds.
    """
    names, of_image = np.unique(own_groups(groups, SORTED_FIRST), return_inverse=True)
    if not 2 <= num_folds <= len(names):
        raise InputError(
            f"The number of folds must be at least 2 and at most the {len(names)} groups. Received {num_folds}."
        )
    sizes = np.bincount(of_image)
    loads = np.zeros(num_folds, np.int64)
    fold_of_group = np.zeros(len(names), np.int64)
    # Large groups first, each to the emptiest fold; the draw decides among groups of one size.
    shuffled = np.random.default_rng(seed).permutation(len(names))
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold = int(np.argmin(loads))
        fold_of_group[group] = fold + 1
        loads[fold] += sizes[group]
    return fold_of_group[of_image]


def count_groups(groups: Sequence[str]) -> int:
    """How many groups there are; each "" is one of its own."""
    return len(set(own_groups(groups, SORTED_FIRST)))


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A network and what it saw.

    Args:
      file: Its path, relative to the record.
      saw: Identities (see `image_identities`) of all images whose masks it was trained or stopped on.
      sha256: Of the file, hex, to notice when another network takes its place; "" where it was not recorded.
    """

    file: str
    saw: frozenset[str]
    sha256: str = ""


def write_record(folder: Path, models: Iterable[TrainedModel], settings: dict[str, Any]) -> None:
    """Writes segmentation.json: the models, what each saw, and the settings and `max_pixel_value` of their training."""
    record = {
        "settings": settings,
        "models": [{"file": model.file, "sha256": model.sha256, "saw": sorted(model.saw)} for model in models],
    }
    write_json(folder / RECORD, record, indent=1)


def read_record(folder: str | os.PathLike) -> tuple[list[TrainedModel], dict[str, Any]]:
    """The models of a folder that `train_segmentation` wrote, and their settings.

    Raises:
      InputError: There is no record, or it is damaged.
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        raise InputError(f"{folder} has no {RECORD}: it must be the finished output of `care segment train`.")
    try:
        record = read_json(path)
        models = [
            TrainedModel(str(model["file"]), frozenset(model["saw"]), str(model.get("sha256", "")))
            for model in record["models"]
        ]
        settings = dict(record["settings"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error!r}): train again.") from error
    if not models:
        raise InputError(f"{path} is damaged (it names no models): train again.")
    return models, settings


class CrossFittedSegmentation:
    """Segments an image with the mean of all networks that never saw its mask; refuses it if every one did.

    Picklable: networks are loaded where they are first used.

    Args:
      folder: Output of `train_segmentation`.

    Raises:
      InputError: The folder has no record. A call: every network saw the image, its group, or a copy of it; or a
        network is not the one that the record is about.
    """

    name = "segmentation"

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = os.path.abspath(folder)
        self.models, training_settings = read_record(folder)
        self.settings: dict[str, Any] = {"models": self.folder, "training": training_settings}
        self._loaded: dict[int, Callable] = {}

    def __call__(self, image: np.ndarray, image_path: str, group: str) -> np.ndarray:
        """uint8 (H,W,3) RGB, its file and its group -> float32 (H,W), the lesion's probability."""
        identities = image_identities(image_path, group)
        allowed = [index for index, model in enumerate(self.models) if not model.saw & identities]
        if not allowed:
            raise InputError(
                f"All {len(self.models)} segmentation models saw the mask of {Path(image_path).name}, of its group "
                f"{group!r} or of a copy of it: train with --num-folds 2 or more, so that one did not."
            )
        maps = np.stack([lesion_probability(self._model(index), image) for index in allowed])
        return maps.mean(axis=0, dtype=np.float32)

    def _model(self, index: int) -> Callable:
        if index not in self._loaded:
            model = self.models[index]
            path = os.path.join(self.folder, model.file)
            if model.sha256 and file_sha256(path) != model.sha256:
                raise InputError(f"{path} is not the network that {RECORD} knows the images of; train again.")
            self._loaded[index] = load_segmentation_model(path)
        return self._loaded[index]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": {}}
