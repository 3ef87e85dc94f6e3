"""Class weights from class counts: how much a sample of each class counts in the loss."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from care_tf.errors import InputError, did_you_mean
from care_tf.losses.arguments import checked_counts, checked_number, checked_weights
from care_tf.settings import Builder, Choice, Trait


def inverse_frequency_weights(counts: Any) -> np.ndarray:
    """Every class has the same total weight, and the mean weight of a sample is 1.

    w_c = n / (C n_c)

    Args:
      counts: (C,), samples of each class, > 0.

    Returns:
      float64 (C,), > 0.

    Raises:
      InputError: A count is not positive.

    Example:
      >>> inverse_frequency_weights([30, 10]).tolist()
      [0.6666666666666666, 2.0]

    Source: scikit-learn's `class_weight="balanced"`.
    """
    counts = checked_counts(counts)
    return counts.sum() / (len(counts) * counts)


def effective_number_weights(counts: Any, beta: float = 0.999) -> np.ndarray:
    """The inverse of each class's effective number of samples.

    w_c = C E_c^-1 / sum_k E_k^-1,  E_c = (1 - beta^n_c) / (1 - beta)

    Between no re-weighting (beta = 0) and the inverse frequency (beta towards 1).

    Args:
      counts: (C,), samples of each class, > 0.
      beta: How fast further samples repeat earlier ones, in [0, 1): E_c never exceeds 1 / (1 - beta).

    Returns:
      float64 (C,), > 0, with sum C.

    Raises:
      InputError: A count is not positive, or beta is out of range.

    Example:
      >>> effective_number_weights([30, 10], beta=0.0).tolist()
      [1.0, 1.0]

    Source: Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples", Proposition 1 and section 4.
    """
    counts = checked_counts(counts)
    beta = checked_number("beta", beta, below=1.0)
    if beta == 0.0:
        return np.ones(len(counts))
    # 1 - beta^n by expm1: at beta = 1 - 1e-12 the plain expression has lost most of its digits.
    weights = -1.0 / np.expm1(counts * np.log(beta))
    return len(weights) * weights / weights.sum()


_CORRECTS = frozenset({Trait.CORRECTS_FOR_COUNTS})

CLASS_WEIGHTS: dict[str, Builder] = {
    "balanced": Builder(build=inverse_frequency_weights, traits=_CORRECTS),
    "effective_number": Builder(
        build=effective_number_weights,
        arguments={"beta": "how fast further samples repeat earlier ones, in [0, 1)"},
        traits=_CORRECTS,
    ),
}


def class_weights(setting: Any, counts: Any, class_names: Sequence[str]) -> np.ndarray:
    """The class weights that a setting of a configuration means.

    Args:
      setting: None for ones; a name from `CLASS_WEIGHTS`, or {"name": ..., **arguments}; or {class name: weight}, where
        classes that are not named get 1.
      counts: (C,), samples of each class, > 0.
      class_names: The C names, in the order of the counts.

    Returns:
      float32 (C,), >= 0.

    Raises:
      InputError: A setting, argument or class name is unknown, a weight is negative or not finite, or a count is not
        positive.

    Example:
      >>> class_weights({"melanoma": 3}, [90, 10], ["nevus", "melanoma"]).tolist()
      [1.0, 3.0]
      >>> class_weights({"name": "effective_number", "beta": 0.9}, [9, 9], ["nevus", "melanoma"]).tolist()
      [1.0, 1.0]
    """
    counts = checked_counts(counts)
    if len(counts) != len(class_names):
        raise InputError(
            f"There must be one count for each class. Received {len(counts)} counts for {len(class_names)} classes."
        )
    if setting is None:
        return np.ones(len(counts), np.float32)
    if names_class_weights(setting):
        choice = Choice.read(setting, CLASS_WEIGHTS, "class weights")
        weights = CLASS_WEIGHTS[choice.name].build(counts, **choice.arguments)
    elif isinstance(setting, Mapping):
        weights = _explicit_weights(setting, class_names)
    else:
        raise InputError(
            f"The class weights must be None, one of {', '.join(CLASS_WEIGHTS)}, alone or as the name beside its "
            f"arguments, or {{class name: weight}}. Received {setting!r}."
        )
    return weights.astype(np.float32)


def names_class_weights(setting: Any) -> bool:
    """Whether a setting names a rule of `CLASS_WEIGHTS`, rather than weights: a class called "name" has a number."""
    name = setting.get("name") if isinstance(setting, Mapping) else setting
    return isinstance(name, str)


def _explicit_weights(setting: Mapping, class_names: Sequence[str]) -> np.ndarray:
    unknown = sorted(str(name) for name in set(setting) - set(class_names))
    if unknown:
        raise InputError(
            f"Class weights for unknown classes: {', '.join(unknown)}. Classes: {', '.join(class_names)}."
            f"{did_you_mean(unknown[0], class_names)}"
        )
    return checked_weights([setting.get(name, 1.0) for name in class_names])
