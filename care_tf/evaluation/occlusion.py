"""Images without their lesion, and lesions without what surrounds them: one of the two is blurred out."""

import functools
from typing import NamedTuple

import numpy as np

from care_tf.errors import InputError

BLUR_SIGMA = 0.2
"""Standard deviation of the blur, as a fraction of the frame's height and width; half leaves a dark frame dark."""
EDGE_SIGMA = 0.02
"""Standard deviation of the soft edge around the mask, likewise: a hard one would be a shape of its own."""
LARGEST_LESION = 0.95
"""The share of the frame beyond which a lesion leaves nothing around it to compare it with."""
_REACH = 4.0  # standard deviations at which the Gaussian is cut off


class Occluded(NamedTuple):
    """The same images (B, H, W, 3), the lesion blurred out of them, and all but the lesion."""

    without_lesion: np.ndarray
    lesion_only: np.ndarray


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
    rows, columns = (_blur_matrix(side, sigma) for side in images.shape[1:3])
    down = np.moveaxis(np.tensordot(rows, images, axes=(1, 1)), 0, 1)
    return np.moveaxis(np.tensordot(columns, down, axes=(1, 2)), 0, 2)


def occluded(images: np.ndarray, masks: np.ndarray, blurred: np.ndarray | None = None) -> Occluded:
    """Blurs the lesion out of every image, and everything but the lesion out of the same image.

        without lesion = w B x + (1 - w) x,   lesion only = w x + (1 - w) B x,   w = exp(-d^2 / 2)

    d is the distance from the mask in standard deviations of `EDGE_SIGMA`, 0 inside: of a lesion of any size nothing is
    left. At every pixel the two show as much of the image between them as there is: what one shows, the other does not.

    Args:
      images: x, (B, H, W, C) float.
      masks: (B, H, W), non-zero inside the lesion or its boxes.
      blurred: B x, the images after `gaussian_blur`, where it is known.

    Returns:
      Both, float32 (B, H, W, C).

    Raises:
      InputError: Masks of another size than the images.

    Source: Fong and Vedaldi, Interpretable Explanations of Black Boxes by Meaningful Perturbation, ICCV 2017 (a blur
      takes information away without a foreign color). Theirs is searched for, ours is the lesion.
    """
    images = np.asarray(images, np.float32)
    if images.ndim != 4 or np.shape(masks) != images.shape[:3]:
        raise InputError(
            f"images must be (B, H, W, C) and masks (B, H, W). Received: shapes {images.shape} and {np.shape(masks)}."
        )
    blurred = gaussian_blur(images) if blurred is None else blurred
    weight = _soft_edged(np.asarray(masks) > 0)[..., np.newaxis]
    return Occluded(images + weight * (blurred - images), blurred + weight * (images - blurred))


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


@functools.lru_cache(maxsize=16)
def _blur_matrix(side: int, sigma: float) -> np.ndarray:
    """The blur of a line of `side` pixels as a matrix: twice a product is faster than any filter this wide."""
    deviation = sigma * side
    offsets = np.arange(-round(_REACH * deviation), round(_REACH * deviation) + 1)
    kernel = np.exp(-0.5 * (offsets / deviation) ** 2)
    places = (np.arange(side)[:, np.newaxis] + offsets) % (2 * side)
    places = np.minimum(places, 2 * side - 1 - places)  # the mirror image
    matrix = np.zeros((side, side))
    np.add.at(matrix, (np.arange(side)[:, np.newaxis], places), kernel / kernel.sum())
    return matrix.astype(np.float32)
