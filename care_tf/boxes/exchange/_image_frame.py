"""From the frame an annotation tool saw to the image's own: EXIF rotation, another size."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from care_tf.boxes.formats.annotated_image import AnnotatedImage
from care_tf.errors import InputError
from care_tf.images.header import ImageHeader

EXIF_FRAMES = ("auto", "oriented", "stored")


class FramedBoxes(NamedTuple):
    """Boxes float64 (k,4) in the oriented image's px; how they were moved, "" where nothing had to be done."""

    boxes: np.ndarray
    scaled: str
    turned: str
    untold: bool  # the image has an EXIF rotation, and nothing says whether the tool obeyed it


def boxes_in_image(annotated: AnnotatedImage, header: ImageHeader, *, exif: str = "auto") -> FramedBoxes:
    """Brings the boxes of an annotation file to the pixels of the EXIF-oriented image.

    The file's stated size decides, the first that fits:

    | stated size                                  | boxes                            |
    |----------------------------------------------|----------------------------------|
    | the oriented image's                         | as they are                      |
    | the stored image's, before EXIF rotation     | turned by the EXIF orientation   |
    | that of the oriented image scaled            | scaled                           |
    | that of the stored image scaled              | scaled, then turned              |
    | another                                      | refused                          |

    Without a stated size, and where both sizes are equal (a square image; an orientation that mirrors or turns by
    180 degrees), nothing tells whether the tool obeyed EXIF: it is taken to, as current tools do, and `untold` is set.

    Args:
      annotated: The boxes.
      header: The image's.
      exif: "auto" as above; "oriented" or "stored" says which frame the file is about.

    Returns:
      The boxes, which may leave the image.

    Raises:
      InputError: The stated size has other proportions than the image.
    """
    size_of = {"oriented": (header.width, header.height), "stored": header.stored_size}
    frames = ["oriented"] if header.orientation == 1 else list(size_of) if exif == "auto" else [exif]
    stated = None
    if annotated.width is not None and annotated.height is not None:
        stated = (annotated.width, annotated.height)
        of_size = [frame for frame in frames if size_of[frame] == stated]
        frames = of_size or [frame for frame in frames if _same_shape(stated, size_of[frame])]
    if stated is not None and not frames:
        actual = f"{header.width} x {header.height} px"
        if header.orientation != 1:
            actual += " after EXIF rotation ({} x {} px before)".format(*header.stored_size)
        raise InputError(
            f"{annotated.where or annotated.name} is about {stated[0]} x {stated[1]} px, but the image has {actual}; "
            "annotate this image, or one of the same proportions."
        )
    frame_size = size_of[frames[0]]
    file_size = (1, 1) if annotated.unit == "fraction" else stated or frame_size
    boxes = annotated.boxes * (np.array(frame_size * 2, np.float64) / np.array(file_size * 2, np.float64))
    if frames[0] == "stored":
        boxes = turned_boxes(boxes, header.orientation, *frame_size)
    is_scaled = annotated.unit == "px" and file_size != frame_size
    return FramedBoxes(
        boxes=boxes,
        scaled=f"{file_size[0]} x {file_size[1]} px to {frame_size[0]} x {frame_size[1]} px" if is_scaled else "",
        turned=f"EXIF orientation {header.orientation}" if frames[0] == "stored" else "",
        untold=len(frames) > 1,
    )


def turned_boxes(boxes: npt.ArrayLike, orientation: int, width: int, height: int) -> np.ndarray:
    """(k,4) boxes of the stored pixels -> float64 (k,4), the same in the image as displayed by EXIF orientation 1..8.

    Source: Exif 2.32 (CIPA DC-008), section 4.6.4 A, Orientation.
    """
    x0, y0, x1, y1 = np.asarray(boxes, np.float64).reshape(-1, 4).T
    horizontal, mirrored_horizontal = (x0, x1), (width - x1, width - x0)
    vertical, mirrored_vertical = (y0, y1), (height - y1, height - y0)
    (left, right), (top, bottom) = {
        1: (horizontal, vertical),
        2: (mirrored_horizontal, vertical),
        3: (mirrored_horizontal, mirrored_vertical),
        4: (horizontal, mirrored_vertical),
        5: (vertical, horizontal),
        6: (mirrored_vertical, horizontal),
        7: (mirrored_vertical, mirrored_horizontal),
        8: (vertical, mirrored_horizontal),
    }[orientation]
    return np.stack([left, top, right, bottom], axis=1)


def _same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """One size is the other scaled and rounded to whole pixels."""
    return abs(size[0] * other[1] - size[1] * other[0]) < max(*size, *other)
