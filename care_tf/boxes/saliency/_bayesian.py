"""Bayesian integration of two saliency maps: each is the other's prior."""

import numpy as np

from care_tf.boxes.saliency._scaling import min_max

NUM_BINS = 60


def posterior(prior: np.ndarray, observed: np.ndarray, num_bins: int = NUM_BINS) -> np.ndarray:
    """The probability of "object" where one map is the prior and the other the evidence.

    p = S1 hF / (S1 hF + (1 - S1) hB)

    S1 >= its mean is the foreground; hF and hB are the shares of foreground and of background pixels in the bin of
    [0, 1] that holds S2. 0 / 0 is 0.

    Args:
      prior: S1, float, any shape, in [0, 1].
      observed: S2, float, the same shape, in [0, 1].
      num_bins: > 0.

    Returns:
      float64, the same shape, in [0, 1].

    Source: Li et al. 2013, Eqs. 11-14.
    """
    prior = np.asarray(prior, np.float64)
    # The mean of equal numbers can exceed them by rounding.
    is_foreground = prior >= prior.mean() - 1e-12
    bins = np.minimum((np.asarray(observed, np.float64) * num_bins).astype(np.int64), num_bins - 1)
    likelihoods = []
    for region in (is_foreground, ~is_foreground):
        counts = np.bincount(bins[region], minlength=num_bins)
        likelihoods.append((counts / max(int(region.sum()), 1))[bins])
    for_object, for_background = prior * likelihoods[0], (1.0 - prior) * likelihoods[1]
    evidence = for_object + for_background
    return np.divide(for_object, evidence, out=np.zeros_like(evidence), where=evidence > 0)


def integrate(first: np.ndarray, second: np.ndarray, field: np.ndarray | None = None) -> np.ndarray:
    """The mean of both posteriors, scaled to [0, 1]: float32 (H,W), 0 outside the bool (H,W) field.

    Source: Li et al. 2013, Eq. 15. The average stands in for the sum, which differs by a factor that scaling removes.
    """
    counted = np.ones(first.shape, bool) if field is None else field
    result = np.zeros(first.shape, np.float32)
    if counted.any():
        one, other = first[counted], second[counted]
        result[counted] = min_max((posterior(one, other) + posterior(other, one)) / 2)
    return result
