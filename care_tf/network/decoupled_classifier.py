"""A new kernel and bias for a trained classifier's last Dense layer: balanced between classes, without gradients.

The embedding stays as it was learned and only the layer's two arrays change, so that the network, its attention maps
and what is exported from it keep their shape.
"""

from typing import Any

import keras
import numpy as np

from care_tf.errors import InputError
from care_tf.keras_generation import register
from care_tf.settings import Entry, Trait

TAUS = tuple(np.linspace(0.0, 2.0, 21))
METRICS = ("cosine", "euclidean")

_COMPUTES = frozenset({Trait.COMPUTES_CLASSIFIER})

# What a stage may do to the last Dense layer before it trains, or instead.
CLASSIFIER_CHANGES: dict[str, Entry] = {
    "keep": Entry(),
    "retrain": Entry(),
    "scale": Entry(traits=frozenset({Trait.SCALES_CLASSES})),
    "tau_normalize": Entry(arguments={"tau": ">= 0; chosen on validation images if left out"}, traits=_COMPUTES),
    "nearest_class_mean": Entry(
        arguments={"metric": " or ".join(METRICS), "scale": "factor of the scores, > 0"}, traits=_COMPUTES
    ),
}


def tau_normalized(kernel: Any, bias: Any, tau: float) -> tuple[np.ndarray, np.ndarray]:
    """Brings the norms of the classes' weight vectors closer together.

    w_c <- w_c / ||w_c||^tau,  b_c <- 0

    A class with many images gets a long weight vector and with it a wide region. tau = 0 leaves the vectors as they
    are, tau = 1 makes all of length 1, tau > 1 favors the classes with short ones. A vector of zeros stays one.

    Args:
      kernel: float (d, C), C >= 2, one column per class.
      bias: float (C,).
      tau: >= 0.

    Returns:
      kernel float64 (d, C) and bias float64 (C,).

    Raises:
      InputError: An argument is out of its range or shape; a binary classifier with one unit has nothing to balance.

    Example:
      >>> kernel, bias = tau_normalized([[0.0, 4.0], [0.5, 0.0]], [0.1, 0.2], tau=1.0)
      >>> kernel.tolist(), bias.tolist()
      ([[0.0, 1.0], [1.0, 0.0]], [0.0, 0.0])

    Source: Kang et al. 2020, Sec. 4, tau-normalized classifier. The bias is left out as in their code, for every tau:
      tau = 0 is the trained classifier without its bias.
    """
    kernel, bias = _check_layer(kernel, bias)
    if not 0.0 <= tau < float("inf"):
        raise InputError(f"tau is the power of each weight vector's norm and must be >= 0. Received tau={tau!r}.")
    return kernel * _shrinkage(kernel, tau), np.zeros_like(bias)


def _shrinkage(kernel: np.ndarray, tau: float) -> np.ndarray:
    """1 / ||w_c||^tau, (C,); 1 for a vector of zeros."""
    norms = np.linalg.norm(kernel, axis=0)
    return np.where(norms > 0, norms, 1.0) ** -tau


def choose_tau(kernel: Any, bias: Any, embeddings: Any, labels: Any, taus: Any = TAUS) -> float:
    """The tau whose tau-normalized classifier has the best mean class accuracy.

    Args:
      kernel: float (d, C), as for `tau_normalized`.
      bias: float (C,).
      embeddings: float (N, d), the layer's inputs for validation images; `last_dense.embedding_model` gives them.
      labels: int (N,) in [0, C). Classes without images are left out of the mean.
      taus: The values to try.

    Returns:
      The best of them; of several equally good ones the smallest.

    Raises:
      InputError: There are no images or no values to try, or an argument is out of its range or shape.

    Source: Kang et al. 2020, Sec. 4 and B.5: a grid on the validation set; this grid is their code's.
    """
    kernel, bias = _check_layer(kernel, bias)
    embeddings, labels = _check_images(embeddings, labels, kernel.shape[1])
    if embeddings.shape[1] != len(kernel):
        raise InputError(
            f"embeddings must be what the layer takes, (N, {len(kernel)}) for its kernel. "
            f"Received shape {embeddings.shape}."
        )
    taus = sorted(float(tau) for tau in taus)
    if not taus:
        raise InputError("taus holds the values to choose from and must not be empty. Received none.")
    accuracies = []
    for tau in taus:
        balanced, _ = tau_normalized(kernel, bias, tau)
        accuracies.append(_mean_class_accuracy(embeddings @ balanced, labels))
    # The same recalls added in another order may differ in the last digit.
    return next(tau for tau, accuracy in zip(taus, accuracies, strict=True) if accuracy > max(accuracies) - 1e-9)


def _mean_class_accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    total = np.bincount(labels, minlength=scores.shape[1])
    correct = np.bincount(labels[scores.argmax(axis=1) == labels], minlength=scores.shape[1])
    return float(np.mean(correct[total > 0] / total[total > 0]))


def nearest_class_mean(
    embeddings: Any, labels: Any, num_classes: int, metric: str = "cosine", scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """The linear classifier that predicts the class with the nearest mean embedding m_c.

    | metric    | kernel_c          | bias_c              | score                               |
    |-----------|-------------------|---------------------|-------------------------------------|
    | cosine    | s m_c / ||m_c||   | 0                   | s ||f|| cos(f, m_c)                 |
    | euclidean | s m_c             | -s ||m_c||^2 / 2    | s (||f||^2 - ||f - m_c||^2) / 2     |

    Both are exact: the largest score is the nearest mean. The probabilities that a softmax makes of them are not
    calibrated; the scale s sharpens or flattens them and leaves the predicted classes alone.

    Args:
      embeddings: float (N, d), the last Dense layer's inputs for the training images.
      labels: int (N,) in [0, num_classes).
      num_classes: C >= 2.
      metric: "cosine" or "euclidean".
      scale: > 0.

    Returns:
      kernel float64 (d, C) and bias float64 (C,).

    Raises:
      InputError: A class has no image, or an argument is out of its range or shape.

    Example:
      >>> kernel, bias = nearest_class_mean([[0.0, 2.0], [0.0, 4.0], [2.0, 0.0]], [0, 0, 1], 2, "euclidean")
      >>> kernel.tolist(), bias.tolist()
      ([[0.0, 2.0], [3.0, 0.0]], [-4.5, -2.0])

    Source: Kang et al. 2020, Sec. 4, nearest class mean classifier. The means are those of the embeddings as they are,
      normalized afterwards, as there. Deviation: there the Euclidean distance is to normalized means, too, which
      predicts the same classes as the cosine; here it is to the means themselves.
    """
    if num_classes < 2:
        raise InputError(
            "nearest_class_mean gives one column of the kernel per class, so at least 2: a binary classifier with one "
            f"unit has no place for two means. Received num_classes={num_classes!r}. Use two units and a softmax."
        )
    if metric not in METRICS:
        raise InputError(f"metric must be one of {METRICS}. Received metric={metric!r}.")
    if not 0.0 < scale < float("inf"):
        raise InputError(f"scale multiplies the scores and must be > 0. Received scale={scale!r}.")
    embeddings, labels = _check_images(embeddings, labels, num_classes)
    count = np.bincount(labels, minlength=num_classes)
    if not count.all():
        raise InputError(
            f"Every class needs an image to have a mean. Received none of class {int(np.argmin(count > 0))} "
            f"({int((count == 0).sum())} of {num_classes} classes are empty). Pass the embeddings of all training "
            "images."
        )
    means = np.stack([embeddings[labels == index].mean(axis=0) for index in range(num_classes)], axis=1)
    if metric == "cosine":
        return scale * means * _shrinkage(means, 1.0), np.zeros(num_classes)
    return scale * means, -0.5 * scale * np.square(means).sum(axis=0)


def scaled(kernel: Any, bias: Any, scale: Any) -> tuple[np.ndarray, np.ndarray]:
    """Folds one factor per class into a Dense layer: s_c (w_c f + b_c) = (s_c w_c) f + s_c b_c.

    Args:
      kernel: float (d, C).
      bias: float (C,).
      scale: float (C,), a `ClassScale` layer's.

    Returns:
      kernel float64 (d, C) and bias float64 (C,).

    Raises:
      InputError: The shapes do not fit.

    Example:
      >>> kernel, bias = scaled([[1.0, 2.0]], [0.5, 0.5], [1.0, 3.0])
      >>> kernel.tolist(), bias.tolist()
      ([[1.0, 6.0]], [0.5, 1.5])

    Source: Kang et al. 2020, Sec. 4, learnable weight scaling.
    """
    kernel, bias, scale = (np.asarray(value, np.float64) for value in (kernel, bias, scale))
    if kernel.ndim != 2 or not bias.shape == scale.shape == kernel.shape[1:]:
        raise InputError(
            "kernel (d, C), bias (C,) and scale (C,) must belong to the same C classes. "
            f"Received shapes {kernel.shape}, {bias.shape} and {scale.shape}."
        )
    return kernel * scale, bias * scale


@register
class ClassScale(keras.layers.Layer):
    """Multiplies each class's logit by a factor that is learned.

    y_c = s_c x_c,  s_c = 1 at first

    After a frozen Dense layer it is the only thing that learns; `scaled` then folds it into that layer.

    Args:
      **kwargs: Of `keras.layers.Layer`.

    Input and output: float (B, C).

    Source: Kang et al. 2020, Sec. 4, learnable weight scaling. As in their code the bias is scaled, too.
    """

    def build(self, input_shape: Any) -> None:
        """Creates s, float (C,)."""
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones", trainable=True)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The scaled logits."""
        return inputs * self.scale

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's."""
        return input_shape


def _check_layer(kernel: Any, bias: Any) -> tuple[np.ndarray, np.ndarray]:
    kernel, bias = np.asarray(kernel, np.float64), np.asarray(bias, np.float64)
    if kernel.ndim != 2 or bias.shape != kernel.shape[1:]:
        raise InputError(
            f"kernel (d, C) and bias (C,) must be those of one Dense layer. Received shapes {kernel.shape} and "
            f"{bias.shape}."
        )
    if kernel.shape[1] < 2:
        raise InputError(
            "Balancing needs one column of the kernel per class, so at least 2: a binary classifier with one unit has "
            "a single weight vector, whose length does not change its decisions. Received a kernel of shape "
            f"{kernel.shape}. Use two units and a softmax."
        )
    return kernel, bias


def _check_images(embeddings: Any, labels: Any, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    embeddings, labels = np.asarray(embeddings, np.float64), np.asarray(labels)
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1] or not len(labels):
        raise InputError(
            "embeddings must be (N, d) and labels (N,), with at least one image. "
            f"Received shapes {embeddings.shape} and {labels.shape}."
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= num_classes:
        raise InputError(
            f"labels must be integers from 0 to {num_classes - 1}. Received {labels.dtype} from {labels.min()} to "
            f"{labels.max()}."
        )
    return embeddings, labels
