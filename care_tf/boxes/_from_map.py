"""Boxes from a saliency or probability map: threshold, connected components, tight rectangles."""

import numpy as np
import numpy.typing as npt

from care_tf.box_geometry import tight_box
from care_tf.errors import InputError
from care_tf.extras import require_extra

require_extra(__name__, "boxes", "cv2")

BOX_RULES = ("one", "largest", "each")
THRESHOLD_RULES = ("otsu", "adaptive")
_NUM_LEVELS = 256
_ROUNDING = 1e-6  # how far a map in [0, 1] may overshoot


def boxes_from_map(
    map: npt.ArrayLike,
    threshold: float | str = 0.5,
    min_area_fraction: float = 0.01,
    *,
    boxes: str = "one",
    max_boxes: int | None = None,
) -> np.ndarray:
    """The rectangles around what a map marks.

    The pixels above the threshold fall into 8-connected components; those smaller than `min_area_fraction` of the image
    are dropped; what is left is boxed. Nothing left means no box, never a box around the whole image.

    Args:
      map: float (H,W), finite; [0,1] where `threshold` is a number.
      threshold: A number in [0,1]: at least this value, and above 0. "otsu": between the two classes of values that
        differ most. "adaptive": at least twice the map's mean.
      min_area_fraction: Least area of a component / area of the image, in [0,1].
      boxes: "one": a rectangle around all that is left. "largest": around the largest component only. "each": one per
        component.
      max_boxes: With "each": only so many, the largest components; None keeps all.

    Returns:
      float32 (k,4) half-open x0,y0,x1,y1 px in the map's own pixels, the largest component first (among equals the one
      that comes first, row by row); (0,4) where nothing is left.

    Raises:
      InputError: The map is not two-dimensional, is empty or holds NaN or infinity, or a setting is out of its range.

    Example:
      >>> boxes_from_map([[0.0, 0.9, 0.8], [0.1, 0.0, 0.7], [0.9, 0.0, 0.1]], min_area_fraction=0.0).tolist()
      [[0.0, 0.0, 3.0, 3.0]]
      >>> boxes_from_map([[0.0, 0.9, 0.8], [0.1, 0.0, 0.7], [0.9, 0.0, 0.1]], 0.5, 0.2, boxes="each").tolist()
      [[1.0, 0.0, 3.0, 2.0]]

    Source:
      Otsu, IEEE Trans. SMC 9(1), 1979 ("otsu"); Achanta et al., Frequency-tuned salient region detection, CVPR 2009,
      Eq. 10 ("adaptive").
    """
    if not _is_number(min_area_fraction) or not 0.0 <= min_area_fraction <= 1.0:
        raise InputError(f"min_area_fraction is a share of the image, from 0 to 1. Received {min_area_fraction!r}.")
    check_box_rules(boxes, max_boxes)
    labels, areas = large_components(marked_pixels(map, threshold), min_area_fraction)
    if not areas:
        return np.zeros((0, 4), np.float32)
    if boxes == "one":
        return tight_box(labels > 0)
    count = 1 if boxes == "largest" else max_boxes
    return np.concatenate([tight_box(labels == component) for component in range(1, len(areas) + 1)][:count])


def marked_pixels(map: npt.ArrayLike, threshold: float | str = 0.5) -> np.ndarray:
    """The pixels that a threshold keeps, bool (H,W); arguments and errors as of `boxes_from_map`.

    A flat map has no two classes and nothing at twice its mean: "otsu" and "adaptive" keep nothing of it.
    """
    values = checked_map(map)
    low, high = float(values.min()), float(values.max())
    if isinstance(threshold, str):
        if threshold not in THRESHOLD_RULES:
            raise InputError(f"{_THRESHOLD_RULE}. Received {threshold!r}.")
        if high <= low:
            return np.zeros(values.shape, bool)
        if threshold == "otsu":
            return values >= otsu_threshold(values)
        values = values - min(low, 0.0)  # twice a mean below 0 would keep everything
        return values >= 2.0 * values.mean()
    if not _is_number(threshold) or not 0.0 <= threshold <= 1.0:
        raise InputError(f"{_THRESHOLD_RULE}. Received {threshold!r}.")
    if low < -_ROUNDING or high > 1.0 + _ROUNDING:
        raise InputError(
            f"A threshold that is a number needs a map in [0, 1]. Received values from {low:g} to {high:g}. "
            'Normalize the map, or take "otsu" or "adaptive".'
        )
    return (values >= threshold) & (values > 0.0)


def large_components(marked: np.ndarray, min_area_fraction: float) -> tuple[np.ndarray, list[int]]:
    """The 8-connected components of at least a share of the image, numbered by area.

    Args:
      marked: bool (H,W).
      min_area_fraction: Least area of a component / area of the image.

    Returns:
      int32 (H,W), 0 outside, 1 in the largest component, 2 in the next; and their areas, px, in that order.
    """
    import cv2

    _, labels, statistics, _ = cv2.connectedComponentsWithStats(marked.astype(np.uint8), connectivity=8)
    areas = statistics[1:, cv2.CC_STAT_AREA].astype(np.int64)
    # OpenCV's numbers depend on how it scans; the first pixel, row by row, does not.
    first_pixel = np.full(len(areas) + 1, labels.size)
    positions = np.flatnonzero(labels)
    np.minimum.at(first_pixel, labels.reshape(-1)[positions], positions)
    order = [i for i in np.lexsort((first_pixel[1:], -areas)) if areas[i] >= min_area_fraction * marked.size]
    number_of = np.zeros(len(areas) + 1, np.int32)
    number_of[[i + 1 for i in order]] = np.arange(1, len(order) + 1)
    return number_of[labels], [int(areas[i]) for i in order]


_THRESHOLD_RULE = f"the threshold must be a number from 0 to 1, {' or '.join(map(repr, THRESHOLD_RULES))}"


def otsu_threshold(values: np.ndarray) -> float:
    """The threshold between the two classes of values whose means differ most, on 256 levels.

    argmax over t of n(< t) n(>= t) (mean(< t) - mean(>= t))^2, t on the levels' edges

    Where several do equally well, the middle one. The values must not all be equal.
    """
    counts, edges = np.histogram(values, _NUM_LEVELS, (float(values.min()), float(values.max())))
    centers = (edges[:-1] + edges[1:]) / 2
    num_below = np.cumsum(counts)[:-1].astype(np.float64)  # never 0: the first level holds the least value
    num_above = values.size - num_below  # never 0: the last level holds the greatest
    sum_below = np.cumsum(counts * centers)[:-1]
    difference = sum_below / num_below - ((counts * centers).sum() - sum_below) / num_above
    spread = num_below * num_above * difference**2
    best = np.flatnonzero(spread >= spread.max() * (1.0 - 1e-9))
    return float(edges[1 + best[len(best) // 2]])


def checked_map(map: npt.ArrayLike) -> np.ndarray:
    """The map as float64 (H,W); an `InputError` where it is not two-dimensional, is empty or not finite."""
    try:
        values = np.asarray(map, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"A map must be an array (height, width) of numbers. Received {map!r:.80}.") from None
    if values.ndim != 2 or not values.size:
        raise InputError(f"A map must have shape (height, width) with pixels in it. Received shape {values.shape}.")
    num_undefined = np.count_nonzero(~np.isfinite(values))
    if num_undefined:
        raise InputError(f"A map must be finite. Received {num_undefined} pixels that are NaN or infinite.")
    return values


def check_box_rules(boxes: str, max_boxes: int | None) -> None:
    """Refuses a rule that is none of `BOX_RULES`, and a count of boxes that is none or does not go with the rule."""
    if boxes not in BOX_RULES:
        raise InputError(f"boxes must be one of {', '.join(BOX_RULES)}. Received {boxes!r}.")
    if max_boxes is not None and (
        boxes != "each" or isinstance(max_boxes, bool) or not isinstance(max_boxes, int) or max_boxes < 1
    ):
        raise InputError(
            f'max_boxes must be at least 1 and goes with boxes "each". Received {max_boxes!r} with {boxes}.'
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
