"""The loss of each batch of a fit, where Keras logs running means over the epoch's images."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import keras
import tensorflow as tf

from care_tf.keras_generation import local_parts

TERMS = ("classification_loss", "attention_loss", "mask_loss", "embedding_loss")
_Key = TypeVar("_Key")


class BatchLosses:
    """The loss and its `TERMS` of the batches of one epoch: the step of a mean's sum, divided by its images.

    (n_k mean_k - n_j mean_j) / (n_k - n_j), with n the images up to a batch k and up to the one before, j.

    Args:
      model: A compiled model, at the epoch's begin.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._means: list[keras.metrics.Mean] | None = None
        self._before: dict[str, tuple[float, float]] = {}

    def next(self, logs: Mapping[str, Any]) -> dict[str, float]:
        """The loss and its terms of the batches since the last call; as they are logged where no metric averages them.

        A mean that is no number stays none, and so is told. What is needed is read from the device at once.

        Args:
          logs: Of a batch's end: numbers or tensors.

        Returns:
          Name -> loss.
        """
        if self._means is None:  # Keras 2 has them from the first step on
            named = [metric for metric in self._model.metrics if metric.name in ("loss", *TERMS)]
            self._means = [metric for metric in named if isinstance(metric, keras.metrics.Mean)]
        numbers: dict[tuple[str, str], Sequence[Any]] = {
            ("log", name): [logs[name]] for name in ("loss", *TERMS) if name in logs
        }
        for metric in self._means:
            numbers["total", metric.name] = local_parts(self._model, metric.total)
            numbers["count", metric.name] = local_parts(self._model, metric.count)
        sums = _sums(numbers)
        losses = {name: value for (kind, name), value in sums.items() if kind == "log"}
        for metric in self._means:
            name = metric.name
            total, count = sums["total", name], sums["count", name]
            total_before, count_before = self._before.get(name, (0.0, 0.0))
            self._before[name] = total, count
            if count > count_before and math.isfinite(losses.get(name, math.nan)):
                losses[name] = (total - total_before) / (count - count_before)
        return losses


def _sums(numbers: Mapping[_Key, Sequence[Any]]) -> dict[_Key, float]:
    """The sum of the parts of each number, with one read for all that are tensors: each read waits for the device."""
    tensors = [part for parts in numbers.values() for part in parts if tf.is_tensor(part)]
    # Not all as float64: they are float32, and each cast would be a kernel of its own.
    dtype = tf.float64 if any(tensor.dtype == tf.float64 for tensor in tensors) else tf.float32
    read = iter(tf.stack([tf.cast(tensor, dtype) for tensor in tensors]).numpy().tolist() if tensors else [])
    return {
        key: sum(next(read) if tf.is_tensor(part) else float(part) for part in parts) for key, parts in numbers.items()
    }
