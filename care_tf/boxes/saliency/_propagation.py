"""Context propagation: superpixels that look alike share their reconstruction errors."""

import numpy as np

from care_tf.boxes.saliency._scaling import min_max

NUM_CLUSTERS = 8
OWN_SHARE = 0.5
MAX_ROUNDS = 100


def cluster_labels(features: np.ndarray, num_clusters: int = NUM_CLUSTERS) -> np.ndarray:
    """K-means from fixed starting points: float (n,d) -> int64 (n,), in [0, num_clusters), no more than n.

    The first center is the feature nearest to the mean, each next one the feature farthest from the centers so far;
    then Lloyd's rounds until no label changes, at most 100. A cluster that loses all its members keeps its center.
    The same on every machine and with any number of threads.

    Source: Li et al. 2013, Sec. 3.3, leaves the start open. Not scikit-learn's `KMeans`, whose threads add up in an
      order of their own, so that its last digits change from run to run.
    """
    features = np.asarray(features, np.float64)
    centers = features[[np.argmin(_squared_distances(features, features.mean(axis=0)[np.newaxis])[:, 0])]]
    while len(centers) < min(num_clusters, len(features)):
        nearest = _squared_distances(features, centers).min(axis=1)
        centers = np.concatenate([centers, features[[np.argmax(nearest)]]])
    labels = np.zeros(len(features), np.int64)
    for round_ in range(MAX_ROUNDS):
        new_labels = _squared_distances(features, centers).argmin(axis=1)
        if round_ and np.array_equal(new_labels, labels):
            break
        labels = new_labels
        counts = np.bincount(labels, minlength=len(centers))
        sums = np.stack([np.bincount(labels, column, len(centers)) for column in features.T], axis=1)
        centers = np.where(counts[:, np.newaxis] > 0, sums / np.maximum(counts, 1)[:, np.newaxis], centers)
    return labels


def _squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Between all rows of (n,d) and (m,d): (n,m); no BLAS, whose order of summation depends on its threads."""
    distances = np.zeros((len(first), len(second)))
    for axis in range(first.shape[1]):
        distances += (first[:, axis, np.newaxis] - second[:, axis]) ** 2
    return distances


def propagate(
    errors: np.ndarray, features: np.ndarray, clusters: np.ndarray, own_share: float = OWN_SHARE
) -> np.ndarray:
    """Mixes every error with those of its cluster.

    e_i <- own_share e_i + (1 - own_share) sum_j w_ij e_j / sum_j w_ij,  j in the cluster of i, j != i
    w_ij = exp(-||x_i - x_j||^2 / (2 sigma^2)),  sigma^2 = mean over the dimensions of the features' variance

    In descending order of the errors given, in place: i sees the new errors of those before it. A superpixel without
    company keeps its error.

    Args:
      errors: float (n, k), k kinds of error; each has an order of its own.
      features: float (n,d).
      clusters: int (n,).
      own_share: in [0, 1].

    Returns:
      float64 (n,k); not rescaled.

    Source: Li et al. 2013, Eqs. 6-7. Going through a cluster in order is solving a triangular system, which is how it
      is computed. Equal errors are taken in the order given.
    """
    from scipy.linalg import solve_triangular

    propagated = np.array(errors, np.float64)
    variance = float(np.var(features, axis=0).mean())
    for cluster in np.unique(clusters):
        members = np.flatnonzero(clusters == cluster)
        if len(members) == 1 or variance == 0.0:
            continue
        weights = np.exp(_squared_distances(features[members], features[members]) / (-2.0 * variance))
        np.fill_diagonal(weights, 0.0)
        totals = weights.sum(axis=1, keepdims=True)
        shares = (1.0 - own_share) * np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)
        own = np.where(totals[:, 0] > 0, own_share, 1.0)
        for kind in range(propagated.shape[1]):
            before = propagated[members, kind]
            order = np.argsort(-before, kind="stable")
            ordered = shares[np.ix_(order, order)]
            known = own[order] * before[order] + np.einsum("ij,j->i", np.triu(ordered), before[order])
            system = np.eye(len(order)) - np.tril(ordered)
            propagated[members[order], kind] = solve_triangular(system, known, lower=True, unit_diagonal=True)
    return propagated


def propagated_errors(errors: np.ndarray, features: np.ndarray, num_clusters: int = NUM_CLUSTERS) -> np.ndarray:
    """Clusters, propagates, and scales each kind of error to [0, 1].

    float (n,k) errors and float (n,d) features of the superpixels of all scales -> float64 (n,k).
    """
    mixed = propagate(errors, features, cluster_labels(features, num_clusters))
    return np.stack([min_max(column) for column in mixed.T], axis=1)
