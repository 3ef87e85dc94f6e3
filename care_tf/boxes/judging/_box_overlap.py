"""How good boxes are: overlap with true boxes and masks, and the boxes that know nothing of the image."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from care_tf.box_geometry import box_iou, union_mask
from care_tf.errors import InputError


def union_iou(made: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Intersection over union of what the made boxes and the true boxes cover together.

    IoU = area(M and T) / area(M or T), M and T the unions of the made and of the true boxes

    With one box each it is the IoU of the two boxes. Areas are exact, also between pixels.

    Args:
      made: (k,4) boxes x0,y0,x1,y1; may be empty.
      true: (n,4) boxes, at least one.

    Returns:
      In [0,1]; 0 without a made box.

    Raises:
      InputError: There is no true box.

    Example:
      >>> round(union_iou([[0, 0, 2, 2], [1, 0, 4, 2]], [[0, 0, 4, 4]]), 6)
      0.5
    """
    made_parts, true_parts = disjoint_boxes(made), _true_parts(true)
    both = _shared_area(made_parts, true_parts)
    return both / (_total_area(made_parts) + _total_area(true_parts) - both)


def best_box_iou(made: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """IoU of the made and the true box, of which there is one, that agree best: in [0,1], 0 without a made box."""
    return float(box_iou(made, true).max(initial=0.0))


def box_coverage(made: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Share of what the true boxes cover that lies inside the made boxes: in [0,1], 0 without a made box.

    Raises:
      InputError: There is no true box.
    """
    true_parts = _true_parts(true)
    return _shared_area(disjoint_boxes(made), true_parts) / _total_area(true_parts)


def mask_coverage(made: npt.ArrayLike, mask: np.ndarray, width: int, height: int) -> float:
    """Share of a lesion's own pixels that lie inside the made boxes.

    Args:
      made: (k,4) boxes x0,y0,x1,y1 in the pixels of the image.
      mask: bool (H,W), True on the lesion; of any size, it shows the same frame as the image.
      width, height: The image's, px.

    Returns:
      In [0,1]; 0 without a made box.

    Raises:
      InputError: The mask marks nothing.
    """
    num_pixels = np.count_nonzero(mask)
    if not num_pixels:
        raise InputError("Coverage needs a mask that marks something. Received one that is empty.")
    rows, columns = mask.shape
    scaled = np.asarray(made, np.float32).reshape(-1, 4) * np.array([columns / width, rows / height] * 2, np.float32)
    return np.count_nonzero(mask & union_mask(scaled, rows, columns)) / num_pixels


def disjoint_boxes(boxes: npt.ArrayLike) -> np.ndarray:
    """Boxes without overlap that cover what (k,4) boxes x0,y0,x1,y1 cover: float64 (m,4), whose areas add up."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    if len(boxes) < 2:
        return boxes
    x_edges, y_edges = np.unique(boxes[:, 0::2]), np.unique(boxes[:, 1::2])
    columns = (boxes[:, :1] <= x_edges[:-1]) & (x_edges[1:] <= boxes[:, 2:3])
    rows = (boxes[:, 1:2] <= y_edges[:-1]) & (y_edges[1:] <= boxes[:, 3:])
    row, column = np.nonzero(np.einsum("kr,kc->rc", rows, columns))
    return np.stack([x_edges[column], y_edges[row], x_edges[column + 1], y_edges[row + 1]], axis=1)


@dataclasses.dataclass(frozen=True)
class CenteredBox:
    """A box in the middle of every image, its sides as fractions of the image's; its mean IoU where it was fitted."""

    width_fraction: float
    height_fraction: float
    mean_iou: float | None = None


def centered_box(width_fraction: float, height_fraction: float, width: float, height: float) -> np.ndarray:
    """The box in the middle of an image: float32 (1,4). Fractions 1 and 1 give the whole image.

    Example:
      >>> centered_box(0.5, 1.0, width=200, height=150).tolist()
      [[50.0, 0.0, 150.0, 150.0]]
    """
    half_width, half_height = width_fraction * width / 2, height_fraction * height / 2
    x, y = width / 2, height / 2
    return np.array([[x - half_width, y - half_height, x + half_width, y + half_height]], np.float32)


def best_fixed_centered_box(
    true_boxes: Sequence[npt.ArrayLike], sizes: npt.ArrayLike, num_steps: int = 50
) -> CenteredBox:
    """The centered box that, put on every image alike, has the best mean IoU with the true boxes.

    Lesions are large and centered, so it scores high without looking. Search over num_steps x num_steps widths and
    heights; of equally good boxes the smallest.

    Args:
      true_boxes: Per image (n,4) boxes, at least one.
      sizes: (images,2) width and height of the images, px.
      num_steps: Fractions per side: 1/num_steps, 2/num_steps, ..., 1.

    Returns:
      The box. It was fitted to these images: on others it is a little worse.

    Raises:
      InputError: No images, an image without a true box, another number of sizes, or num_steps < 1.
    """
    sizes = np.asarray(sizes, np.float64).reshape(-1, 2)
    if not len(true_boxes) or len(sizes) != len(true_boxes):
        raise InputError(f"A fixed box needs images and a size of each. Received {len(true_boxes)} and {len(sizes)}.")
    if num_steps < 1:
        raise InputError(f"num_steps must be at least 1. Received {num_steps}.")
    fractions = np.arange(1, num_steps + 1) / num_steps
    total = np.zeros((num_steps, num_steps))
    for boxes, (width, height) in zip(true_boxes, sizes, strict=True):
        parts = _true_parts(boxes) / [width, height, width, height]
        # Overlap of every centered interval with every part, on either axis: (parts, num_steps).
        across = _overlap_with_centered(parts[:, 0::2], fractions)
        down = _overlap_with_centered(parts[:, 1::2], fractions)
        both = np.einsum("pw,ph->wh", across, down)
        total += both / (np.outer(fractions, fractions) + _total_area(parts) - both)
    mean = total / len(sizes)
    widest, highest = np.unravel_index(np.argmax(np.round(mean, 12)), mean.shape)
    return CenteredBox(float(fractions[widest]), float(fractions[highest]), float(mean[widest, highest]))


def _overlap_with_centered(intervals: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Length of the overlap of intervals (p,2) in [0,1] with the centered intervals of given lengths: (p,f)."""
    starts = np.maximum(intervals[:, :1], 0.5 - fractions / 2)
    stops = np.minimum(intervals[:, 1:], 0.5 + fractions / 2)
    return np.maximum(stops - starts, 0.0)


def _true_parts(true: npt.ArrayLike) -> np.ndarray:
    parts = disjoint_boxes(true)
    if not len(parts):
        raise InputError("The quality of boxes needs at least one true box. Received none.")
    return parts


def _total_area(parts: np.ndarray) -> float:
    return float(np.prod(parts[:, 2:] - parts[:, :2], axis=1).sum())


def _shared_area(first: np.ndarray, second: np.ndarray) -> float:
    starts = np.maximum(first[:, np.newaxis, :2], second[np.newaxis, :, :2])
    stops = np.minimum(first[:, np.newaxis, 2:], second[np.newaxis, :, 2:])
    return float(np.prod(np.maximum(stops - starts, 0.0), axis=-1).sum())
