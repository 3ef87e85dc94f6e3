"""Insertion and deletion: how fast a class appears, or goes, with the pixels that its attention map ranks first."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from care_tf.errors import InputError

NUM_STEPS = 16
"""Equal parts of the image that are inserted, or deleted, one after the other."""
NUM_PASSES = 2 * NUM_STEPS
"""Predictions that both curves of an image take: their ends are the same two images."""


class Curves(NamedTuple):
    """The true class's probability over the share of pixels inserted, and deleted: (B, steps + 1) each."""

    insertion: np.ndarray
    deletion: np.ndarray


def insertion_deletion(
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    blurred: np.ndarray,
    maps: np.ndarray,
    num_steps: int = NUM_STEPS,
) -> Curves:
    """Both curves of every image, in order of its map.

    Insertion starts from the blurred image and puts the pixels of the image itself in their places, those where the
    map is highest first; deletion starts from the image and blurs the same pixels in the same order. A map that finds
    what decides gives a high area under the first curve and a low one under the second.

    Args:
      predict: (B, H, W, C) -> (B,), the probability of each image's class.
      images: (B, H, W, C) float.
      blurred: The same, blurred.
      maps: (B, H, W) float. Pixels of one value come in the order of rows; a map of one value orders nothing.
      num_steps: Equal parts of the pixels, >= 1.

    Returns:
      The curves; NaN for a map of one value.

    Raises:
      InputError: Shapes that do not fit.

    Source: Petsiuk et al., RISE, BMVC 2018: insertion into a blurred image as there; deletion blurs, too, where theirs
      sets pixels to 0, which is a color of its own.
    """
    if np.shape(images) != np.shape(blurred) or np.shape(maps) != np.shape(images)[:3]:
        raise InputError(
            "images and blurred must be (B, H, W, C), and maps (B, H, W). "
            f"Received: shapes {np.shape(images)}, {np.shape(blurred)} and {np.shape(maps)}."
        )
    ranks = pixel_ranks(maps)
    before, after = predict(images), predict(blurred)
    insertion, deletion = [after], [before]
    for step in range(1, num_steps):
        is_first = (ranks < round(step / num_steps * ranks[0].size))[..., np.newaxis]
        insertion.append(predict(np.where(is_first, images, blurred)))
        deletion.append(predict(np.where(is_first, blurred, images)))
    curves = Curves(np.stack([*insertion, before], axis=1), np.stack([*deletion, after], axis=1))
    is_flat = np.ptp(np.reshape(maps, (len(maps), -1)), axis=1) == 0
    return Curves(*(np.where(is_flat[:, np.newaxis], np.nan, curve) for curve in curves))


def pixel_ranks(maps: np.ndarray) -> np.ndarray:
    """The rank of every pixel of a map (B, H, W), int; 0 is the highest value, equal ones in the order of rows.

    Example:
      >>> pixel_ranks(np.array([[[0.1, 0.9], [0.5, 0.1]]])).tolist()
      [[[2, 0], [1, 3]]]
    """
    maps = np.asarray(maps)
    order = np.argsort(-maps.reshape(len(maps), -1), axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[np.newaxis], axis=1)
    return ranks.reshape(maps.shape)


def area_under(curves: np.ndarray) -> np.ndarray:
    """The area under curves (B, steps + 1) over [0, 1], by trapezoids: (B,).

    Example:
      >>> area_under(np.array([[0.0, 0.5, 1.0]])).tolist()
      [0.5]
    """
    return (curves[:, 1:] + curves[:, :-1]).mean(axis=1) / 2.0
