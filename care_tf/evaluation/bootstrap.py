"""Bootstrap over groups: images of one patient or lesion are drawn together, because they are not independent."""

from collections.abc import Callable, Sequence

import numpy as np

from care_tf.errors import InputError

_WEIGHTS_AT_ONCE = 4_000_000
Statistics = Callable[[np.ndarray], dict[str, np.ndarray]]
"""A function of image weights (R, n) that returns named figures, (R,) each; NaN where a figure is undefined."""


def group_bootstrap(
    statistics: Statistics,
    groups: Sequence | np.ndarray,
    num_resamples: int = 1000,
    seed: int = 0,
    resamples_at_once: int | None = None,
) -> dict[str, np.ndarray]:
    """Computes figures on resamples of the groups, drawn with replacement.

    A resample is a weight per image: how often its group was drawn. Equal `groups`, `num_resamples` and `seed` give
    equal resamples, so that two runs on the same images are compared pairwise.

    Args:
      statistics: Function of weights (R, n), float64, to named figures of shape (R,).
      groups: (n,) group of every image, any values.
      num_resamples: Number of resamples.
      seed: Seed of the draws.
      resamples_at_once: How many resamples one call of `statistics` gets; None takes 50, and of more than 80 thousand
        images fewer, so that their weights fit into 32 MB.

    Returns:
      Name -> (num_resamples,) float64.

    Raises:
      InputError: No groups, or num_resamples < 1.

    Example:
      >>> mean = lambda weights: {"mean": weights @ np.array([1.0, 2.0, 9.0]) / weights.sum(axis=1)}
      >>> group_bootstrap(mean, ["a", "a", "b"], num_resamples=4)["mean"].shape
      (4,)

    Source:
      Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 8 (resample the independent units).
    """
    if num_resamples < 1:
        raise InputError(f"num_resamples must be at least 1. Received: {num_resamples}.")
    values, group_of_image = np.unique(np.asarray(groups), return_inverse=True)
    if not len(values):
        raise InputError("The bootstrap needs at least one image. Received: none.")
    at_once = resamples_at_once or min(50, max(1, _WEIGHTS_AT_ONCE // len(group_of_image)))
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, num_resamples, at_once):
        size = min(at_once, num_resamples - start)
        counts = rng.multinomial(len(values), np.full(len(values), 1.0 / len(values)), size=size)
        parts.append(statistics(counts[:, group_of_image.reshape(-1)].astype(np.float64)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def percentile_interval(replicates: np.ndarray) -> tuple[float, float]:
    """`(low, high)` of the 95 % percentile interval of bootstrap replicates (R,); NaN when none is defined.

    Resamples in which the figure is NaN, because a class was not drawn, are left out.
    """
    defined = replicates[~np.isnan(replicates)]
    if not defined.size:
        return float("nan"), float("nan")
    tail = 100.0 * (1.0 - 0.95) / 2.0
    low, high = np.percentile(defined, [tail, 100.0 - tail])
    return float(low), float(high)
