"""Exact macro AUC: one-vs-rest area under the ROC curve, averaged over the classes."""

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.keras_generation import register, set_direction
from care_tf.metrics._class_counts import number_of_classes, true_classes, weight_column
from care_tf.replicas import gathered


def one_vs_rest_auc(scores: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Area under the ROC curve of every class against the others, exact, ties counted half.

        AUC_c = sum_{i in c} w_i (W(s < s_i) + W(s = s_i) / 2) / (W_c W_rest),   W(.) = weight of the other classes

    Args:
      scores: (n, C) float; only their order within a column matters.
      labels: (n,) int32 in [0, C); -1, with weight 0, for no class.
      weights: (n,) float >= 0.

    Returns:
      `(auc, is_defined)`, (C,) float64 in [0, 1] and (C,) bool: whether the class has both members and others. An
      undefined AUC is 0.

    Source:
      The trapezoidal area equals the weighted Mann-Whitney statistic (Hanley and McNeil, Radiology 143, 1982).
    """
    num_classes = scores.shape[1]
    columns = tf.transpose(scores)
    order = tf.argsort(columns, axis=-1)
    ranked = tf.gather(columns, order, batch_dims=1)
    weights = tf.cast(weights, tf.float64)
    member = tf.transpose(tf.one_hot(labels, num_classes, dtype=tf.float64)) * weights
    inside = tf.gather(member, order, batch_dims=1)
    outside = tf.gather(weights[tf.newaxis] - member, order, batch_dims=1)
    outside_before = tf.pad(tf.cumsum(outside, axis=-1), [[0, 0], [1, 0]])
    below = tf.gather(outside_before, tf.searchsorted(ranked, ranked, side="left"), batch_dims=1)
    up_to = tf.gather(outside_before, tf.searchsorted(ranked, ranked, side="right"), batch_dims=1)
    pairs = tf.reduce_sum(inside, axis=-1) * tf.reduce_sum(outside, axis=-1)
    auc = tf.math.divide_no_nan(tf.reduce_sum(inside * (below + up_to), axis=-1) / 2.0, pairs)
    return auc, pairs > 0


def macro_auc(scores: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Mean of `one_vs_rest_auc` over the classes for which it is defined, of the same arguments.

    Returns:
      A float32 scalar in [0, 1]; 0 when no class has an AUC; NaN when a score is NaN.
    """
    auc, is_defined = one_vs_rest_auc(scores, labels, weights)
    mean = tf.math.divide_no_nan(tf.reduce_sum(auc), tf.reduce_sum(tf.cast(is_defined, tf.float64)))
    has_nan = tf.reduce_any(tf.math.is_nan(scores))
    return tf.where(has_nan, float("nan"), tf.cast(mean, tf.float32))


class _Rows:
    """Rows of a growing table in an unshaped variable.

    A plain Python object, so that neither generation of Keras tracks the variable: an epoch's predictions belong in
    no checkpoint, and the resets of both assume a fixed shape.
    """

    def __init__(self, num_columns: int):
        self._empty = tf.zeros([0, num_columns], tf.float32)
        self._table = tf.Variable(self._empty, shape=[None, num_columns], trainable=False, name="predictions")

    def append(self, rows: tf.Tensor) -> None:
        self._table.assign(tf.concat([self._table.read_value(), rows], axis=0))

    def read(self) -> tf.Tensor:
        return self._table.read_value()

    def clear(self) -> None:
        self._table.assign(self._empty)


@register
class MacroAUC(keras.metrics.Metric):
    """Exact one-vs-rest macro AUC as a Keras metric; equals scikit-learn's `roc_auc_score` on all the data.

    Args:
      num_classes: C; 2 for one sigmoid unit.
      from_logits: Whether the predictions are logits: their softmax is taken (one sigmoid unit needs none).
      name: Name in fit's logs.
      dtype: Accepted as every Keras metric does; predictions are kept in float32.

    Labels and predictions as for `MeanClassAccuracy`. Classes without members or without others are left out of the
    mean, as scikit-learn must be told to; with none left the result is 0, and a NaN prediction gives NaN.

    On several replicas each keeps the predictions of all.

    Cost: the predictions of an epoch are kept (n (C + 2) floats), and Keras computes every metric after every step:
    n log n each. Up to some ten thousand images that is milliseconds; beyond, compute it after training.

    Raises:
      InputError: Under `jit_compile=True` (XLA has no growing state).

    Example:
      >>> metric = MacroAUC(2)
      >>> metric.update_state([0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]])
      >>> float(metric.result())
      1.0
    """

    def __init__(self, num_classes, from_logits=False, name="macro_auc", dtype=None):
        super().__init__(name=name, dtype=dtype)
        set_direction(self, "up")
        if isinstance(num_classes, bool) or int(num_classes) != num_classes or num_classes < 2:
            raise InputError(f"num_classes must be an integer >= 2. Received: num_classes={num_classes}.")
        self.num_classes = int(num_classes)
        self.from_logits = from_logits
        self._rows = _Rows(self.num_classes + 2)

    @tf.autograph.experimental.do_not_convert  # converted, as Keras 2.15 does, an InputError changes its type
    def update_state(self, y_true, y_pred, sample_weight=None):
        """Keeps one batch."""
        _check_can_grow()
        y_pred = tf.cast(tf.convert_to_tensor(y_pred), tf.float32)
        number_of_classes(y_pred, self.num_classes)
        labels = true_classes(y_true, y_pred)[:, tf.newaxis]
        scores = _scores(y_pred, self.from_logits)
        weights = tf.where(labels >= 0, weight_column(sample_weight, scores), 0.0)
        self._rows.append(gathered(tf.concat([scores, tf.cast(labels, tf.float32), weights], axis=1)))

    def result(self):
        """Macro AUC over what was added since the last reset."""
        rows = self._rows.read()
        return macro_auc(rows[:, :-2], tf.cast(rows[:, -2], tf.int32), rows[:, -1])

    def reset_state(self):
        """Forgets all predictions."""
        self._rows.clear()

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "num_classes": self.num_classes, "from_logits": self.from_logits}


def _scores(predictions: tf.Tensor, from_logits: bool) -> tf.Tensor:
    if predictions.shape.rank == 1:
        predictions = predictions[:, tf.newaxis]
    if predictions.shape[1] == 1:  # only the order matters: -p orders class 0 as 1 - p does, without its rounding
        return tf.concat([-predictions, predictions], axis=1)
    return tf.nn.softmax(predictions) if from_logits else predictions


def _check_can_grow() -> None:
    if _is_traced_for_xla():
        raise InputError(
            "MacroAUC keeps all predictions of an epoch, which XLA cannot. Received: a step compiled by XLA "
            '(jit_compile=True, or Keras 3\'s "auto" on a GPU). Pass jit_compile=False to model.compile, or leave '
            "the metric out and compute it after training from model.predict."
        )


def _is_traced_for_xla() -> bool:
    graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    while graph is not None:
        context = graph._get_control_flow_context()
        while context is not None:
            if context.IsXLAContext():
                return True
            context = context.outer_context
        graph = getattr(graph, "outer_graph", None)
    return False
