"""TensorBoard for a fit: the logs on one axis over all stages, and attention maps of fixed images after every epoch."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from care_tf import keras_generation
from care_tf.callbacks._event_log import EventLog
from care_tf.errors import InputError
from care_tf.extras import require_extra
from care_tf.labels import class_index
from care_tf.masks import squeeze_mask

MAPS, SETTINGS = "attention", "settings"
NUM_EXAMPLES, _COLUMNS = 6, 3  # about square, as TensorBoard's cards are


class CARETensorBoard(keras.callbacks.Callback):
    """Writes what TensorBoard shows: the logs of every epoch, and a picture of the attention on a few images.

    A step is an epoch that is over: 1 after the first. Validation logs are in a folder of their own, so that both
    curves of a log are in one chart. Nothing is written between epochs.

    A second `fit` with the same object continues the axis. One with `initial_epoch`, such as after an interruption,
    continues after that epoch of the last `fit` that began at epoch 0; in a new object, after that step. What the log
    holds after it is dropped. Give it behind callbacks that add to the logs, such as `TwoStageSchedule`.

    Args:
      log_dir: Folder; `tensorboard --logdir` shows it, or any folder above it.
      examples: (x, labels), a batch as for `fit`, such as `next(iter(validation))`; the first 6 images are shown, those
        with a mask first, with the true class's map. None for no pictures.
      class_names: In the order of the outputs; None for numbers.
      pictures: uint8 (B, H, W, 3), the examples as people see them; None brings the network's own images, RGB or gray,
        to 0..255, each from its darkest to its brightest value.
      image_names: What stands above the pictures beside the class.
      settings: What the training was started with, for the tab TEXT; Markdown.
      history: Logs of all epochs before the first fit, in their order, where another process trained them: the log
        then holds all of these and nothing later when that fit begins, whatever `initial_epoch` is.

    Raises:
      InputError: The examples do not fit, a map is asked of a model that is no CAREModel, or the folder holds the log
        of another training.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike,
        examples: Any = None,
        class_names: Sequence[str] | None = None,
        pictures: np.ndarray | None = None,
        image_names: Sequence[str] = (),
        settings: str | None = None,
        history: Sequence[Mapping[str, Any]] | None = None,
    ):
        super().__init__()
        self.log_dir = Path(log_dir)
        self.settings = settings
        self._examples = None
        if examples is not None:
            require_extra("Attention maps in TensorBoard", "runs", "matplotlib")
            self._examples = _Examples.chosen(examples, class_names, pictures, image_names)
        self._history = None if history is None else list(history)
        self._log = EventLog(self.log_dir)
        self._last_step: int | None = None
        self._offset = 0  # the step before the current fit's epoch 0
        self._has_begun = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Refuses a model without attention maps."""
        if self._examples is not None and not hasattr(self.model, "predictions_and_attention"):
            raise InputError(
                f"Attention maps are those of a CAREModel. Received a {type(self.model).__name__}: wrap the classifier "
                "in care_tf.CAREModel, or leave examples out."
            )
        self._has_begun = False
        if self._examples is not None:
            self._maps = tf.function(self.model.predictions_and_attention, autograph=False)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Before the first epoch: finds the place in the log where this fit continues."""
        if not self._has_begun:
            self._has_begun, start = True, self._begin(epoch)
            if self._examples is not None and start not in self._log.steps(MAPS):
                self._write_maps(start)
            if self.settings is not None and not self._log.steps(SETTINGS):
                self._log.text(SETTINGS, self.settings, start)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the epoch's logs, the learning rate and alpha, and the maps."""
        values = {"learning_rate": keras_generation.learning_rate(self.model.optimizer), **(logs or {})}
        if hasattr(self.model, "alpha"):
            values.setdefault("alpha", keras_generation.number_in(self.model.alpha))
        self._last_step = self._offset + epoch + 1
        self._log.scalars(values, self._last_step)
        if self._examples is not None:
            self._write_maps(self._last_step)
        self._log.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the files."""
        self._log.close()

    def _begin(self, epoch: int) -> int:
        """The finished epochs that the log holds when a fit begins at `epoch`."""
        self._log.close()  # an interrupted fit left them open
        history = self._history if self._last_step is None else None
        if history is not None:
            start = len(history)
        elif epoch == 0:
            start = self._last_step or 0
        else:
            start = self._offset + epoch
        self._offset = start - epoch
        written = self._log.scalar_steps()
        if start == 0 and written and history is None:
            raise InputError(
                f"log_dir must be a folder without a log when training begins at epoch 0. Received {self.log_dir} with "
                f"a log of {len(set().union(*written.values()))} epochs. Choose another folder, or continue with "
                "initial_epoch."
            )
        numbers = [
            {name: value for name, value in row.items() if name not in ("stage", "epoch")} for row in history or ()
        ]
        # Where numbers are missing, all are written anew: TensorBoard drops those before which others were written.
        is_whole = history is None or _holds(written, numbers)
        self._log.keep(lambda step, plugin: step <= start and (is_whole or plugin != "scalars"))
        if not is_whole:
            for step, row in enumerate(numbers, start=1):
                self._log.scalars(row, step)
        return start

    def _write_maps(self, step: int) -> None:
        from care_tf.evaluation.map_tiles import image_tile, map_tile
        from care_tf.evaluation.picture_grid import Tile, picture_grid

        shown = self._examples
        assert shown is not None
        predictions, maps = self._maps(shown.inputs, shown.labels)
        called = self.model.class_probabilities(predictions).numpy().argmax(axis=-1)
        titles = [f"{shown.name_of(label)} {name}" for label, name in zip(shown.labels, shown.image_names, strict=True)]
        names = [shown.name_of(label) for label in called]
        above = list(map(image_tile, shown.pictures, shown.masks, titles))
        below = list(map(map_tile, shown.pictures, maps.numpy(), shown.masks, names))
        width = min(_COLUMNS, len(above))
        rows = [row[start : start + width] for start in range(0, len(above), width) for row in (above, below)]
        rows = [row + [Tile(None)] * (width - len(row)) for row in rows]
        self._log.picture(MAPS, picture_grid([""] * width, rows), step)


def _holds(written: Mapping[str, Sequence[int]], rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether each number of the rows was written, by name -> steps, once and in order; later steps do not count."""
    expected = {(name, step) for step, row in enumerate(rows, start=1) for name in row}
    earlier = {name: [step for step in steps if step <= len(rows)] for name, steps in written.items()}
    is_in_order = all(steps == sorted(set(steps)) for steps in earlier.values())
    return is_in_order and expected <= {(name, step) for name, steps in earlier.items() for step in steps}


@dataclasses.dataclass(frozen=True)
class _Examples:
    """The images that are shown: what the network takes, and what people see.

    Attributes:
      inputs: x of a batch, without masks.
      labels: int32 (n,), the classes whose maps are shown.
      masks: (n, H, W), all zero where there is no box.
      pictures: uint8 (n, H, W, 3).
      image_names: Of each image, or "".
      class_names: None for numbers.
    """

    inputs: Any
    labels: np.ndarray
    masks: np.ndarray
    pictures: np.ndarray
    image_names: Sequence[str]
    class_names: Sequence[str] | None

    @classmethod
    def chosen(cls, examples: Any, class_names: Any, pictures: Any, image_names: Sequence[str]) -> "_Examples":
        if not isinstance(examples, list | tuple) or len(examples) < 2:
            raise InputError(
                "examples must be a batch (x, labels), as fit takes it. Received a "
                f"{type(examples).__name__}. Take the first one of a dataset with next(iter(dataset))."
            )
        x = examples[0] if isinstance(examples[0], dict) else {"image": examples[0]}
        x = {name: np.asarray(given) for name, given in x.items()}
        if pictures is None:
            pictures = _as_pictures(x.get("image"))
        labels = np.asarray(class_index(examples[1], _num_outputs(examples[1], class_names)), np.int32)
        mask_class = np.asarray(x.pop("mask_class", labels), np.int32).reshape(-1)
        labels = np.where(mask_class >= 0, mask_class, labels)
        masks = np.zeros(pictures.shape[:3], np.float32)
        if "mask" in x:
            masks = np.asarray(squeeze_mask(x.pop("mask")))
        has_class = np.flatnonzero(labels >= 0)
        rows = sorted(has_class.tolist(), key=lambda row: not masks[row].any())[:NUM_EXAMPLES]
        if not rows:
            raise InputError("examples must have images with a class. Received none. Give another batch.")
        taken = {name: given[rows] for name, given in x.items()}
        inputs = taken["image"] if set(taken) == {"image"} else taken
        names = [str(image_names[int(row)]) if len(image_names) else "" for row in rows]
        return cls(inputs, labels[rows], masks[rows], np.asarray(pictures)[rows], names, class_names)

    def name_of(self, label: int) -> str:
        return str(label) if self.class_names is None else self.class_names[int(label)]


def _num_outputs(labels: Any, class_names: Sequence[str] | None) -> int:
    """Of the network, as far as it says what the labels mean."""
    shape = np.shape(labels)
    if len(shape) == 2 and shape[1] > 1:
        return int(shape[1])
    return len(class_names) if class_names is not None else max(int(np.max(labels)) + 1, 2)


def _as_pictures(images: np.ndarray | None) -> np.ndarray:
    """uint8 (B, H, W, 3), each image from its darkest to its brightest value."""
    if images is None or images.ndim != 4 or images.shape[-1] not in (1, 3):
        received = "activations" if images is None else f"shape {images.shape}"
        raise InputError(
            f"Examples are shown as they are where they are RGB or gray, (B, H, W, 3) or (B, H, W, 1). Received "
            f"{received}. Give pictures=, uint8 (B, H, W, 3), beside them."
        )
    images = np.broadcast_to(images, (*images.shape[:3], 3)).astype(np.float32)
    low = images.min(axis=(1, 2, 3), keepdims=True)
    high = images.max(axis=(1, 2, 3), keepdims=True)
    return np.round(255 * (images - low) / np.maximum(high - low, 1e-6)).astype(np.uint8)
