"""What `occluded` computes, pixel by pixel."""

import numpy as np

from care_tf.evaluation.occlusion import BLUR_SIGMA, EDGE_SIGMA


def slowly_occluded(image, mask):
    """Both images pixel by pixel in float64: the edge by the nearest pixel inside, the filling by all distances."""
    sides = np.array(mask.shape)
    places = np.argwhere(np.ones(mask.shape))
    offsets = places[:, np.newaxis] - places
    near = np.exp(-((offsets / (sides * EDGE_SIGMA)) ** 2).sum(axis=-1) / 2)
    near[(np.abs(offsets) > np.round(4 * sides * EDGE_SIGMA)).any(axis=-1)] = 0
    weight = near[:, mask.ravel() > 0].max(axis=1, initial=0)[:, np.newaxis]
    pixels = image.reshape(len(places), -1).astype(np.float64)
    shares = np.exp(-((offsets / (sides * BLUR_SIGMA)) ** 2).sum(axis=-1) / 2) * (weight * (1 - weight)).T
    filling = shares @ pixels / shares.sum(axis=1, keepdims=True) if shares.any() else pixels.mean(axis=0)
    both = weight * filling + (1 - weight) * pixels, weight * pixels + (1 - weight) * filling
    return [each.reshape(image.shape) for each in both], weight.reshape(mask.shape)
