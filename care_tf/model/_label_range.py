"""Labels that name no class of the model, told before training where they can be seen, else by what the steps met."""

import contextlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.keras_generation import number_in
from care_tf.labels import names_class

_OUTSIDE = re.compile(r"label value of (-?\d+) which is outside the valid range of \[0, (\d+)\)")


def counts_classes(loss: Any) -> bool:
    """Whether a compiled loss is one of Keras or care_tf that takes 0 to C - 1 and nothing else.

    A hinge may take -1, and so may a loss of one's own, whatever its name.
    """
    loss = keras.losses.get(loss) if isinstance(loss, str) else loss
    kind = loss if inspect.isfunction(loss) else type(loss)
    package, name = kind.__module__, kind.__name__.lower().replace("_", "")
    is_known = package.startswith("care_tf.losses.") or (package.startswith("keras.") and "crossentropy" in name)
    return is_known and (kind is loss or loss.get_config().get("ignore_class") is None)


def check_label_range(labels: Any, sample_weight: Any, num_outputs: int | None, of: str = "") -> None:
    """Refuses numbers that are no class in labels that are in memory.

    Args:
      labels: `y` of `fit` or `evaluate`; what is neither an array nor a list of numbers is not looked at, nor are rows
        of class values, which the training step checks.
      sample_weight: None, or one for each label: one that weighs 0 is not looked at, any number may stand for "no
        label".
      num_outputs: Units of the classifier; 1 for a binary one with a single unit, which also takes shares of class 1;
        None where the model does not tell.
      of: The argument whose rows the labels are, for the message, where it is not `y`.

    Raises:
      InputError: A label is below 0, above C - 1, a fraction or NaN; names the first row.
    """
    if num_outputs is None or not isinstance(labels, np.ndarray | list | tuple):
        return
    values = np.asarray(labels)
    if not _are_numbers(values.shape) or values.dtype.kind not in "iuf":
        return
    values = values.ravel()
    is_wrong = ~names_class(values, num_outputs).numpy()
    if sample_weight is not None and np.size(sample_weight) == len(values):  # Keras refuses those of another number
        is_wrong &= np.ravel(sample_weight) != 0
    outside = np.flatnonzero(is_wrong)
    if len(outside):
        where = f"row {outside[0]}{f' of {of}' if of else ''}; {len(outside)} rows are such"
        raise _error(values[outside[0]], max(num_outputs, 2), where)


class LabelWatch(keras.callbacks.Callback):
    """Counts labels of no class in the steps: a loss compiled by XLA is NaN of them, where others fail, or cuts them.

    A step cannot raise; what it counted is told at the end of an epoch and of an evaluation.
    """

    def __init__(self) -> None:
        super().__init__()
        # No Keras metric, which would be logged and saved. Every replica counts the labels of all.
        self._count = tf.Variable(
            tf.zeros((), tf.int64),
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        self._num_classes, self.depth = 0, 0

    def add(self, labels: Any, sample_weight: Any, num_outputs: int) -> None:
        """Counts a batch of all replicas, in the graph of a step.

        Rows of class values are not looked at, nor labels of images that weigh 0: any number may stand for "no label".
        """
        labels = tf.convert_to_tensor(labels)
        if not _are_numbers(labels.shape):
            return
        self._num_classes = max(num_outputs, 2)
        is_wrong = ~names_class(labels, num_outputs)
        if sample_weight is not None:
            is_wrong &= tf.reshape(tf.cast(sample_weight, tf.float32), (-1,)) != 0
        self._count.assign_add(tf.math.count_nonzero(is_wrong))

    def check(self, model: keras.Model) -> None:
        """Raises an InputError where labels of no class were counted; it names the steps that the model has trained."""
        count = int(number_in(self._count))
        if count:
            raise _error(f"{count} labels that are none", self._num_classes, f"after {_steps_of(model)} training steps")

    def reset(self) -> None:
        """Begins to count."""
        self._count.assign(tf.zeros_like(self._count))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks, before other callbacks save the model or judge its weights."""
        self.check(self.model)


@contextlib.contextmanager
def label_range_named(model: keras.Model, watch: LabelWatch) -> Iterator[None]:
    """Turns what comes of a label outside the classes into a sentence: TensorFlow's error, or a loss that is NaN.

    Args:
      model: Whose steps are counted, for the message.
      watch: What the steps of the block count with.

    Raises:
      InputError: The block met such a label.
    """
    if watch.depth == 0:  # what single steps have counted since, `train_on_batch`, is not of this block
        watch.reset()
    watch.depth += 1
    try:
        yield
        watch.check(model)
    except tf.errors.InvalidArgumentError as error:
        found = _OUTSIDE.search(str(error))
        if found is None:
            raise
        raise _error(found[1], int(found[2]), f"a batch, after {_steps_of(model)} training steps") from error
    except InputError:  # perhaps of a callback that met the NaN
        watch.check(model)
        raise
    finally:
        watch.depth -= 1
        watch.reset()


def _are_numbers(shape: Any) -> bool:
    """Whether labels of a shape are one number each; a shape that is unknown is not."""
    rank = tf.TensorShape(shape).rank
    return rank == 1 or (rank == 2 and shape[1] == 1)


def _steps_of(model: keras.Model) -> int:
    return int(number_in(model.optimizer.iterations))


def _error(label: Any, num_classes: int, where: str) -> InputError:
    return InputError(
        f"A label must be the number of a class, 0 to {num_classes - 1} for a model of {num_classes} classes. Received "
        f"{label} ({where}). Count classes from 0, or build the model for more."
    )
