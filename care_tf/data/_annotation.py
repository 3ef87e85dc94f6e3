"""What may say where an image's lesion is: boxes that are valid, or a mask, never both."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from care_tf.box_geometry import box_problems
from care_tf.data._image_boxes import ImageBoxes


def annotation_problems(
    boxes: Sequence[np.ndarray],
    mask_paths: Sequence[str],
    widths: npt.ArrayLike = np.inf,
    heights: npt.ArrayLike = np.inf,
) -> dict[int, list[str]]:
    """What is wrong with the boxes and masks of many images; the boxes are judged all at once.

    Args:
      boxes: n arrays (k,4) of pixel boxes x0,y0,x1,y1, or `ImageBoxes`; k = 0: none.
      mask_paths: n paths, "" where there is none.
      widths: The images' widths, px: (n,), or one; inf where unknown.
      heights: The images' heights, px: (n,), or one; inf where unknown.

    Returns:
      Row -> its problems; without the rows that are good. That all boxes are fractions is a problem of the first.

    Example:
      >>> annotation_problems([np.array([[0, 0, 2, 2]]), np.zeros((0, 4))], ["mask.png", "mask.png"])
      {0: ['both boxes and a mask are given; give one of them']}
    """
    num_images, together = len(boxes), ImageBoxes.of(boxes)
    num_boxes = np.fromiter(map(len, boxes), np.int64, num_images) if together is None else together.counts
    has_mask = np.fromiter(map(bool, mask_paths), bool, num_images)
    problems = {
        row: ["both boxes and a mask are given; give one of them"]
        for row in np.flatnonzero((num_boxes > 0) & has_mask).tolist()
    }
    if together is None:
        for row, own in enumerate(boxes):
            if len(own) and np.shape(own)[1:] != (4,):
                problems.setdefault(row, []).append(f"boxes must be (k,4). Received the shape {np.shape(own)}")
        return problems
    every = together.flat
    if not len(every):
        return problems
    row_of_box = np.repeat(np.arange(num_images), num_boxes)
    if every.min() >= 0 and every.max() <= 1 and np.any((every > 0) & (every < 1)):
        text = "all boxes lie within one pixel, as fractions of the image do; multiply them by its width and height"
        problems.setdefault(int(row_of_box[0]), []).append(text)
    sides = (np.broadcast_to(np.asarray(side, np.float64), num_images)[row_of_box] for side in (widths, heights))
    for position, problem in box_problems(every, *sides).items():
        problems.setdefault(int(row_of_box[position]), []).append(problem)
    return problems
