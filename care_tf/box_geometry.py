"""Box arithmetic: what a valid box is, how it scales, how it is written, and which pixels it covers."""

import contextlib
from typing import Any

import numpy as np
import numpy.typing as npt

from care_tf.errors import InputError, shown


def box_problems(
    boxes: np.ndarray, width: npt.ArrayLike | None = None, height: npt.ArrayLike | None = None
) -> dict[int, str]:
    """What is wrong with boxes, many at a time.

    A box is four finite numbers with x0 < x1 and y0 < y1. In an image also 0 <= x0, x1 <= width, and the same for y.

    Args:
      boxes: float (k,4) half-open pixel boxes x0,y0,x1,y1.
      width: The images' widths after EXIF rotation, px: one, or (k,); inf where unknown. None: boxes may lie anywhere.
      height: The images' heights, as `width`.

    Returns:
      Position of a bad box -> its numbers and what is wrong; empty where all are good.

    Example:
      >>> box_problems(np.array([[0, 0, 2, 2], [3, 0, 1, 2]]))
      {1: 'box [3, 0, 1, 2] has no area: it is inverted or empty; write x0,y0,x1,y1 with x0 < x1 and y0 < y1'}
    """
    x0, y0, x1, y1 = boxes.T
    with np.errstate(invalid="ignore"):
        has_area = (x0 < x1) & (y0 < y1)
    is_good = has_area & np.isfinite(boxes).all(axis=1)
    widths = heights = np.full(len(boxes), np.inf)
    if width is not None and height is not None:
        widths, heights = (np.broadcast_to(np.asarray(side, np.float64), len(boxes)) for side in (width, height))
        is_good = is_good & (x0 >= 0) & (y0 >= 0) & (x1 <= widths) & (y1 <= heights)
    problems = {}
    for i in np.flatnonzero(~is_good).tolist():
        text = f"box [{', '.join(f'{edge:g}' for edge in boxes[i].tolist())}]"
        if not np.isfinite(boxes[i]).all():
            problems[i] = f"{text} holds NaN or infinity; give four finite pixel positions"
        elif not has_area[i]:
            problems[i] = f"{text} has no area: it is inverted or empty; write x0,y0,x1,y1 with x0 < x1 and y0 < y1"
        else:
            problems[i] = (
                f"{text} leaves the image of {widths[i]:g} x {heights[i]:g} px; "
                "give positions in the image's own pixels, after EXIF rotation"
            )
    return problems


def as_boxes(boxes: npt.ArrayLike, where: str) -> np.ndarray:
    """Four numbers per box as float32 (k,4), which `box_problems` takes; k = 0 for an empty list.

    Args:
      boxes: What a file or a caller calls boxes.
      where: What they belong to, for the message.

    Raises:
      InputError: It is something else.
    """
    array: np.ndarray = np.zeros(1, np.float32)  # whatever is wrong falls through to the message about a wrong shape
    if not _holds_no_number(boxes):
        with contextlib.suppress(TypeError, ValueError, OverflowError), np.errstate(over="ignore"):
            array = np.asarray(boxes, np.float32)  # too large for float32 is infinite, and not a position
    if array.shape == (0,) or array.shape == (0, 4):
        return np.zeros((0, 4), np.float32)
    if array.ndim != 2 or array.shape[1] != 4:
        raise InputError(f"{where}: boxes must be a list of [x0, y0, x1, y1] numbers. Received {shown(boxes)}.")
    return array


def _holds_no_number(boxes: Any) -> bool:
    """Whether an edge is something that NumPy would take for a number, such as "1" or true."""
    if isinstance(boxes, np.ndarray) and boxes.dtype.kind != "O":
        return boxes.dtype.kind not in "iuf"
    rows = [row for row in boxes if isinstance(row, list | tuple)] if isinstance(boxes, list | tuple) else []
    return any(isinstance(edge, str | bytes | bool | np.bool_) for row in rows for edge in row)


def validate_boxes(boxes: npt.ArrayLike, width: float, height: float, where: str) -> np.ndarray:
    """Checks the boxes of one image where they enter.

    Args:
      boxes: As in `as_boxes`.
      width, height: The image's size after EXIF rotation, px.
      where: What the boxes belong to, for the message.

    Returns:
      float32 (k,4).

    Raises:
      InputError: As in `as_boxes`, or one of the `box_problems`.
    """
    array = as_boxes(boxes, where)
    for problem in box_problems(array, width, height).values():
        raise InputError(f"{where}: {problem}.")
    return array


def scale_boxes(boxes: npt.ArrayLike, factor: float, width: float, height: float) -> np.ndarray:
    """Grows or shrinks boxes about their own centers and clips them to the image.

    Args:
      boxes: (k,4) half-open pixel boxes x0,y0,x1,y1.
      factor: New side / old side, > 0.
      width, height: The image's size, px.

    Returns:
      float32 (k,4), inside the image.

    Raises:
      InputError: `factor` is not a positive number.

    Source: Zhuang et al. 2023, Fig. 11 varies the factor from 0.7 to 1.1.
    """
    if not (np.isfinite(factor) and factor > 0):
        raise InputError(f"The box scale must be a positive number. Received {factor}.")
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    half_sides = (boxes[:, 2:] - boxes[:, :2]) / 2 * np.float32(factor)
    scaled = np.concatenate([centers - half_sides, centers + half_sides], axis=1)
    return np.clip(scaled, 0, np.array([width, height, width, height], np.float32))


def randomly_placed_boxes(boxes: npt.ArrayLike, width: float, height: float, rng: np.random.Generator) -> np.ndarray:
    """Boxes of the same sizes at random places in their image, but never at the place of a given box.

    The left and upper edges are whole pixels, each place inside the image as likely as another, and each box placed by
    itself. A place that differs from a box given by less than one pixel on every side is none: the next one that is
    free, to the right and then below, is taken. A box that leaves no free place, as one as large as the image, stays.

    Args:
      boxes: (k,4) half-open pixel boxes x0,y0,x1,y1 inside the image.
      width, height: The image's size, px.
      rng: Of the draws, one for each box.

    Returns:
      float32 (k,4), inside the image.

    Example:
      >>> randomly_placed_boxes([[0, 0, 9, 8], [0, 0, 10, 8]], 10, 8, np.random.default_rng(0)).tolist()
      [[1.0, 0.0, 10.0, 8.0], [0.0, 0.0, 10.0, 8.0]]
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    placed = boxes.copy()
    for row, box in enumerate(boxes):
        side_xy = box[2:] - box[:2]
        num_columns, num_rows = np.floor(np.array([width, height]) - side_xy).astype(int) + 1
        first = int(rng.integers(num_columns * num_rows))
        # A box given rules out at most four whole places, so that few steps find a free one.
        for step in range(min(num_columns * num_rows, 4 * len(boxes) + 1)):
            y, x = divmod((first + step) % (num_columns * num_rows), num_columns)
            candidate = np.array([x, y, x + side_xy[0], y + side_xy[1]])
            if not np.any(np.all(np.abs(candidate - boxes) < 1, axis=1)):
                placed[row] = candidate
                break
    return placed


def shortest(value: float) -> float | int:
    """The shortest number that reads back as the same float32: 33.333332 and 12, not 33.33333206176758 and 12.0.

    A number that is no float32 stays as it is.
    """
    value = float(value)
    if value.is_integer():
        return int(value)
    narrow = np.float32(value)
    return float(str(narrow)) if float(narrow) == value else value


def tight_box(region: npt.ArrayLike) -> np.ndarray:
    """The smallest half-open box around the nonzero pixels.

    Args:
      region: (H,W), nonzero inside.

    Returns:
      float32 (1,4) x0,y0,x1,y1; (0,4) when no pixel is set.

    Example:
      >>> tight_box([[0, 0, 0, 0], [0, 1, 1, 0]]).tolist()
      [[1.0, 1.0, 3.0, 2.0]]
    """
    inside = np.asarray(region) > 0
    if not inside.any():
        return np.zeros((0, 4), np.float32)
    columns, rows = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
    return np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float32)


def tight_box_in_image(region: npt.ArrayLike, width: int, height: int) -> np.ndarray:
    """The tight box of a mask in the pixels of its image, which it shows at any size.

    Args:
      region: (h,w), nonzero inside.
      width, height: The image's size, px.

    Returns:
      float32 (1,4) x0,y0,x1,y1; (0,4) when no pixel is set.

    Example:
      >>> tight_box_in_image([[0, 0, 0, 0], [0, 1, 1, 0]], width=8, height=6).tolist()
      [[2.0, 3.0, 6.0, 6.0]]
    """
    mask_height, mask_width = np.shape(region)
    return tight_box(region) * np.array([width / mask_width, height / mask_height] * 2, np.float32)


def shows_region(mask: npt.ArrayLike) -> bool:
    """Whether a mask says where something is: one of the whole frame, or of nothing, does not."""
    inside = np.asarray(mask) > 0
    return bool(inside.any() and not inside.all())


def box_iou(first: npt.ArrayLike, second: npt.ArrayLike) -> np.ndarray:
    """Intersection over union of every pair.

    Args:
      first, second: (n,4) and (m,4) boxes x0,y0,x1,y1.

    Returns:
      float32 (n,m) in [0, 1].
    """
    first = np.asarray(first, np.float32).reshape(-1, 1, 4)
    second = np.asarray(second, np.float32).reshape(1, -1, 4)
    overlap = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    intersection = np.prod(np.maximum(overlap, 0), axis=-1)
    areas = [np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (first, second)]
    return intersection / np.maximum(areas[0] + areas[1] - intersection, np.finfo(np.float32).tiny)


def union_mask(boxes: npt.ArrayLike, height: int, width: int) -> np.ndarray:
    """The pixels that boxes cover, in NumPy; the rule of `rasterize_boxes` at scale 1.

    Args:
      boxes: (k,4) half-open pixel boxes x0,y0,x1,y1.
      height, width: H and W, px.

    Returns:
      bool (H,W).
    """
    mask = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in np.asarray(boxes, np.float32).reshape(-1, 4):
        # A pixel's center i + 0.5 lies in [x0, x1) exactly when ceil(x0 - 0.5) <= i < ceil(x1 - 0.5).
        left, top, right, bottom = (max(int(np.ceil(edge - 0.5)), 0) for edge in (x0, y0, x1, y1))
        right, bottom = min(right, width), min(bottom, height)
        if left >= right or top >= bottom:
            left = int(np.clip((x0 + x1) // 2, 0, width - 1))
            top = int(np.clip((y0 + y1) // 2, 0, height - 1))
            right, bottom = left + 1, top + 1
        mask[top:bottom, left:right] = True
    return mask


def box_areas(boxes: npt.ArrayLike) -> np.ndarray:
    """The area of every box, px^2: (k,4) -> float32 (k,); 0 for a box that is inverted or empty."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0), axis=1)


def clip_boxes(boxes: npt.ArrayLike, width: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Cuts boxes at the image border and drops those of which nothing is left.

    Args:
      boxes: (k,4) boxes x0,y0,x1,y1, anywhere.
      width, height: The image's size, px.

    Returns:
      `(clipped, is_kept)`: float32 (m,4) inside the image, in the order received, and bool (k,), True for the m boxes
      that are among them.

    Example:
      >>> clipped, is_kept = clip_boxes([[-3, 2, 4, 5], [10, 0, 12, 5]], width=10, height=8)
      >>> clipped.tolist(), is_kept.tolist()
      ([[0.0, 2.0, 4.0, 5.0]], [True, False])
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)  # float32 cannot hold a position of 1e300
    clipped = np.clip(boxes, 0, np.array([width, height, width, height])).astype(np.float32)
    is_kept = np.all(clipped[:, :2] < clipped[:, 2:], axis=1)
    return clipped[is_kept], is_kept
