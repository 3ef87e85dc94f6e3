"""Images without their lesion, and lesions without what surrounds them: one is filled in with the colors between."""

import functools
from typing import NamedTuple

import numpy as np

from care_tf.errors import InputError

BLUR_SIGMA = 0.2
"""Standard deviation of the blur and of the filling, as a fraction of the frame's height and width."""
EDGE_SIGMA = 0.02
"""Standard deviation of the soft edge around the mask, likewise: a hard one would be a shape of its own."""
LARGEST_LESION = 0.95
"""The share of the frame beyond which a lesion leaves nothing around it to compare it with."""
_REACH = 4.0  # standard deviations at which the Gaussian is cut off


class Occluded(NamedTuple):
    """The same images (B, H, W, C), the lesion hidden in them, and all but the lesion."""

    lesion_hidden: np.ndarray
    rest_hidden: np.ndarray


def gaussian_blur(images: np.ndarray, sigma: float = BLUR_SIGMA) -> np.ndarray:
    """Blurs images with a Gaussian; beyond the border they go on as in a mirror.

        y = Gy x Gx^T,   G_ij proportional to exp(-(i - j)^2 / (2 s^2)), s = sigma times the side

    Args:
      images: (B, H, W) or (B, H, W, C) float.
      sigma: Standard deviation as a fraction of the frame's height and width, > 0.

    Returns:
      float32, of the images' shape.

    Raises:
      InputError: Another rank, or sigma is not positive.

    Example:
      >>> gaussian_blur(np.ones((1, 4, 4))).round(3).tolist()[0][0]
      [1.0, 1.0, 1.0, 1.0]
    """
    images = np.asarray(images, np.float32)
    if images.ndim not in (3, 4):
        raise InputError(f"images must be (B, H, W) or (B, H, W, C). Received: shape {images.shape}.")
    if not sigma > 0:
        raise InputError(f"sigma must be a fraction of the frame above 0. Received: {sigma}.")
    return _along_both(images, *(_blur_matrix(side, sigma) for side in images.shape[1:3]))


def occluded(images: np.ndarray, masks: np.ndarray) -> Occluded:
    """Hides the lesion in every image, and everything but the lesion in the same image, by one filling for both.

        without lesion = w F + (1 - w) x,   lesion only = w x + (1 - w) F,   w = exp(-d^2 / 2)
        F_p = sum_q k_pq v_q x_q / sum_q k_pq v_q,   v = w (1 - w),   k_pq = exp(-|p - q|^2 / (2 s^2))

    d is the distance from the mask in standard deviations of `EDGE_SIGMA`, 0 inside; w is 0 beyond 4 of them along an
    axis. s is `BLUR_SIGMA`. The filling F is made of the edge alone, which both images show in part. So no pixel inside
    the mask has any part in the image without the lesion, and none beyond the edge in the lesion only, whatever the
    lesion's size. What one shows, the other does not: they add up to x + F.

    The edge is what lies up to .08 of the frame from the mask. A cue there is shown by both in part, and fills both.
    Where there is none (a mask of all pixels or of none, a frame of under 7 pixels) F is the image's mean color, to
    which then all pixels contribute.

    Args:
      images: x, (B, H, W, C) float.
      masks: (B, H, W), non-zero inside the lesion or its boxes.

    Returns:
      Both, float32 (B, H, W, C).

    Raises:
      InputError: Masks of another size than the images.

    Source: Knutsson and Westin, Normalized and Differential Convolution, CVPR 1993 (F). To hide a part without a
      foreign color: Fong and Vedaldi, Interpretable Explanations of Black Boxes by Meaningful Perturbation, ICCV 2017.
      Theirs is searched for and blurred, which leaves a shadow of a large lesion; ours is given and filled.
    """
    images = np.asarray(images, np.float32)
    if images.ndim != 4 or np.shape(masks) != images.shape[:3]:
        raise InputError(
            f"images must be (B, H, W, C) and masks (B, H, W). Received: shapes {images.shape} and {np.shape(masks)}."
        )
    weight = _soft_edged(np.asarray(masks) > 0)[..., np.newaxis]
    filling = _filled_from(images, weight * (1 - weight))
    return Occluded(weight * filling + (1 - weight) * images, weight * images + (1 - weight) * filling)


def _filled_from(images: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """F, (B, H, W, C): at every pixel the mean of the images, weighted by `weights` (B, H, W, 1) and by the distance.

    Nothing underflows in float32: k is at least exp(-25) = 1e-11 from one corner of the frame to the other, and no
    summand is negative, so that each quotient has about as many correct digits as its sums.
    """
    sums = np.concatenate([weights * images, weights], axis=-1)
    sums = _along_both(sums, *(_distance_weights(side, BLUR_SIGMA) for side in images.shape[1:3]))
    is_empty = ~weights.any(axis=(1, 2, 3))
    sums[is_empty, ..., -1] = 1
    filling = sums[..., :-1] / sums[..., -1:]
    filling[is_empty] = images[is_empty].mean(axis=(1, 2), keepdims=True)
    return filling


def _soft_edged(inside: np.ndarray) -> np.ndarray:
    """The weights (B, H, W): 1 inside, outside less with the distance, 0 beyond four standard deviations.

    The nearest pixel inside gives the largest weight, and the weight of a pixel is that of its row times that of its
    column: the maximum is taken over the one, then over the other.
    """
    weight = inside.astype(np.float32)
    for axis in (1, 2):
        near = np.moveaxis(weight, axis, 0)
        far, deviation = near.copy(), EDGE_SIGMA * len(near)
        for offset in range(1, min(round(_REACH * deviation), len(near) - 1) + 1):
            share = np.float32(np.exp(-0.5 * (offset / deviation) ** 2))
            np.maximum(far[offset:], share * near[:-offset], out=far[offset:])
            np.maximum(far[:-offset], share * near[offset:], out=far[:-offset])
        weight = np.moveaxis(far, 0, axis)
    return weight


def _along_both(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """rows x columns^T of images (B, H, W, ...): twice a product is faster than any filter this wide."""
    down = np.moveaxis(np.tensordot(rows, images, axes=(1, 1)), 0, 1)
    return np.moveaxis(np.tensordot(columns, down, axes=(1, 2)), 0, 2)


@functools.lru_cache(maxsize=16)
def _distance_weights(side: int, sigma: float) -> np.ndarray:
    """exp(-(i - j)^2 / (2 s^2)) of the pixels of a line, s = sigma times the side; not cut off, not normalized."""
    places = np.arange(side) / (sigma * side)
    return np.exp(-0.5 * (places[:, np.newaxis] - places) ** 2).astype(np.float32)


@functools.lru_cache(maxsize=16)
def _blur_matrix(side: int, sigma: float) -> np.ndarray:
    """The blur of a line of `side` pixels as a matrix, the pixels beyond its ends as in a mirror."""
    deviation = sigma * side
    offsets = np.arange(-round(_REACH * deviation), round(_REACH * deviation) + 1)
    kernel = np.exp(-0.5 * (offsets / deviation) ** 2)
    places = (np.arange(side)[:, np.newaxis] + offsets) % (2 * side)
    places = np.minimum(places, 2 * side - 1 - places)  # the mirror image
    matrix = np.zeros((side, side))
    np.add.at(matrix, (np.arange(side)[:, np.newaxis], places), kernel / kernel.sum())
    return matrix.astype(np.float32)
