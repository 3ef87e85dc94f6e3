"""Whether probabilities can be taken at their word, and the one number that mends most of what is wrong (NumPy)."""

from collections.abc import Callable

import numpy as np

from care_tf.errors import InputError
from care_tf.extras import require_extra

NUM_BINS = 15
_SMALLEST = np.finfo(np.float32).tiny


def calibration_statistic(labels: np.ndarray, probabilities: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The function from image weights to the expected calibration error of the predicted class.

        ECE = sum_b |sum_{i in b} w_i (correct_i - confidence_i)| / sum_i w_i,   confidence_i = max_c p_ic

    over 15 bins of equal width in the confidence, closed above.

    Args:
      labels: (n,) int.
      probabilities: (n, C) float.

    Returns:
      A function of weights (R, n) to (R,) float64 in [0, 1].

    Example:
      >>> error = calibration_statistic(np.array([0, 1]), np.array([[0.8, 0.2], [0.8, 0.2]]))
      >>> error(np.ones((1, 2))).round(3)
      array([0.3])

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.
    """
    confidence = probabilities.max(axis=1)
    gap = (probabilities.argmax(axis=1) == labels) - confidence
    bins = np.clip(np.ceil(confidence * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)
    gap_in_bin = np.zeros((len(labels), NUM_BINS))
    gap_in_bin[np.arange(len(labels)), bins] = gap
    return lambda weights: np.abs(weights @ gap_in_bin).sum(axis=1) / weights.sum(axis=1)


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (..., C) whose logits are divided by a temperature: softmax(log p / T).

    Above 1 they come nearer to one another. The order of a row's classes stays, the order of two images may not.

    Example:
      >>> tempered(np.array([0.9, 0.1]), 2.0)
      array([0.75, 0.25])
    """
    logits = np.log(np.maximum(probabilities, _SMALLEST)) / temperature
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature in [0.05, 20] of the highest likelihood on images that the network was not trained on.

        T = argmin_T -sum_i log tempered(p_i, T)_{y_i}

    which is convex in 1/T.

    Args:
      labels: (n,) int.
      probabilities: (n, C) float.

    Returns:
      T > 0; 1 changes nothing.

    Raises:
      InputError: No images.

    Source: Guo et al. 2017, section 4.2; scikit-learn from 1.8 has it for its own classifiers.
    """
    require_extra("A temperature", "runs", "scipy")
    from scipy.optimize import minimize_scalar

    if not len(labels):
        raise InputError("A temperature is fitted to images. Received: none.")

    def surprise(log_inverse: float) -> float:
        chosen = tempered(probabilities, float(np.exp(-log_inverse)))[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(chosen, _SMALLEST)).sum())

    limit = float(np.log(20.0))
    return float(np.exp(-minimize_scalar(surprise, bounds=(-limit, limit), method="bounded").x))
