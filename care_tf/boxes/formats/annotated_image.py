"""What every annotation format says about one image: its name, its stated size, its boxes and their labels."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from care_tf.box_geometry import box_problems
from care_tf.errors import InputError

UNITS = ("px", "fraction")


@dataclasses.dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """One image of an annotation file, its shapes already turned into upright rectangles.

    The boxes may leave the image, and the name need not be a file: both are judged where the images are known.

    Args:
      name: The image's name or path as the file writes it, of any system; may lack the suffix (YOLO, RSNA).
      boxes: float64 (k,4) half-open boxes x0,y0,x1,y1 in `unit`; k = 0: the image was looked at and has none.
      labels: k label names, "" where the format has none.
      width: The image's width as the file states it, px; None where it does not.
      height: The image's height as the file states it, px; None where it does not.
      unit: "px", or "fraction" of the image's sides.
      where: File and line or item, for messages.
      ignored: What was there and is not a box: "point nevus", "brush lesion".
      image_class: The class of the whole image, "" where the format has none.

    Raises:
      InputError: A box is not finite or has no area, or the stated size is not two positive numbers.
    """

    name: str
    boxes: np.ndarray
    labels: tuple[str, ...]
    width: int | None = None
    height: int | None = None
    unit: str = "px"
    where: str = ""
    ignored: tuple[str, ...] = ()
    image_class: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", np.asarray(self.boxes, np.float64).reshape(-1, 4))
        where = self.where or self.name
        if not self.name.strip():
            raise InputError(f"{where}: the image has no name.")
        if self.unit not in UNITS:
            raise InputError(f"{where}: the unit of boxes is one of {', '.join(UNITS)}. Received {self.unit!r}.")
        if len(self.labels) != len(self.boxes):
            raise InputError(f"{where}: {len(self.labels)} labels for {len(self.boxes)} boxes; give one for each.")
        if (self.width is None) != (self.height is None):
            raise InputError(f"{where}: only one of the image's width and height is stated; state both or neither.")
        if self.width is not None and self.height is not None and not (self.width > 0 and self.height > 0):
            raise InputError(f"{where}: the stated image size {self.width} x {self.height} px is not positive.")
        for problem in box_problems(self.boxes).values():
            raise InputError(f"{where}: {problem}.")

    def in_pixels(self) -> "AnnotatedImage":
        """The same with boxes in px.

        Raises:
          InputError: The boxes are fractions of a size that is not stated.
        """
        if self.unit == "px":
            return self
        if self.width is None or self.height is None:
            raise InputError(
                f"{self.where or self.name}: fractions become pixels by the image's size, which is unknown."
            )
        boxes = self.boxes * np.array([self.width, self.height] * 2, np.float64)
        return dataclasses.replace(self, boxes=boxes, unit="px")

    def stated_size(self, needed_by: str) -> tuple[int, int]:
        """(width, height) in px, for a format that cannot do without.

        Raises:
          InputError: They are not stated.
        """
        if self.width is None or self.height is None:
            raise InputError(f"{needed_by} needs the size of every image; {self.name} has none.")
        return self.width, self.height


class Shape(NamedTuple):
    """A shape of an annotation file: its kind and label, and its tight box (4,), None where it has no area."""

    kind: str
    label: str
    box: np.ndarray | None


def image_of_shapes(
    name: str, shapes: Sequence[Shape], size: tuple[int | None, int | None], where: str
) -> AnnotatedImage:
    """The image with the boxes of its shapes; those without an area are listed in `ignored`."""
    areas = [shape for shape in shapes if shape.box is not None]
    return AnnotatedImage(
        name,
        np.array([shape.box for shape in areas]),
        tuple(shape.label for shape in areas),
        *size,
        where=where,
        ignored=tuple(f"{kind} {label}".strip() for kind, label, box in shapes if box is None),
    )
