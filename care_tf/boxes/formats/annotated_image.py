"""What every annotation format says about one image: its name, its stated size, its boxes and their labels."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from care_tf.box_geometry import box_problems
from care_tf.errors import InputError, clause
from care_tf.problems import listed

UNITS = ("px", "fraction")
BAD = ("refuse", "drop")
Result = TypeVar("Result")


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
      bad: What was there and should be a box, but is none: file and place, and what is wrong.
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
    bad: tuple[str, ...] = ()
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


def boxes_in_frame(image: AnnotatedImage, size: tuple[int, int] | None, of_what: str) -> np.ndarray:
    """Boxes float64 (k,4) px in a frame of the image's proportions, (width, height) `size`; None leaves its own.

    Raises:
      InputError: The image's size is not stated, or has other proportions; `of_what` says whose the frame is.
    """
    image = image.in_pixels()
    if size is None:
        return image.boxes
    width, height = image.stated_size(of_what)
    if width * size[1] != height * size[0]:
        raise InputError(
            f"{image.name} is {width} x {height} px and does not fit the {size[0]} x {size[1]} px of {of_what}; write "
            "the images' own pixels, or another format."
        )
    return image.boxes * (size[0] / width)


class Shape(NamedTuple):
    """A shape of an annotation file: its kind and label, and its tight box (4,), None where it is of another kind."""

    kind: str
    label: str
    box: np.ndarray | None
    item: str = ""  # where it is in the file: "line 3"


def read_entries(read: Callable[..., Result], entries: Iterable[tuple]) -> list[Result | InputError]:
    """`read(*entry)` of every entry of a file; the `InputError` itself where it raised one.

    Example:
      >>> read_entries(int, [("1",), ("2", 3)])
      [1, 2]
    """
    results: list[Result | InputError] = []
    for entry in entries:
        try:
            results.append(read(*entry))
        except InputError as error:
            results.append(error)
    return results


def image_of_shapes(
    name: str,
    shapes: Sequence[Shape | InputError],
    size: tuple[int | None, int | None],
    where: str,
    *,
    unit: str = "px",
) -> AnnotatedImage:
    """The image with the boxes of its shapes.

    Those of a kind that has no box are listed in `ignored`; errors, and boxes that are not finite or have no area, in
    `bad`. The other arguments are those of `AnnotatedImage`.
    """
    read = [shape for shape in shapes if not isinstance(shape, InputError)]
    boxed = [(shape, shape.box) for shape in read if shape.box is not None]
    problems = box_problems(np.array([box for _, box in boxed], np.float64).reshape(-1, 4))
    good = [both for place, both in enumerate(boxed) if place not in problems]
    items = {place: f" ({boxed[place][0].item})" if boxed[place][0].item else "" for place in problems}
    return AnnotatedImage(
        name,
        np.array([box for _, box in good]),
        tuple(shape.label for shape, _ in good),
        *size,
        unit=unit,
        where=where,
        ignored=tuple(f"{shape.kind} {shape.label}".strip() for shape in read if shape.box is None),
        bad=(
            *(clause(error) for error in shapes if isinstance(error, InputError)),
            *(f"{where}: {problem}{items[place]}" for place, problem in problems.items()),
        ),
    )


def refuse_bad(images: list[AnnotatedImage]) -> list[AnnotatedImage]:
    """The images, none of which has an entry that should be a box and is none.

    Raises:
      InputError: Some have: up to 20 are listed, with the total.
    """
    bad = [problem for image in images for problem in image.bad]
    if not bad:
        return images
    total = len(bad) + sum(len(image.boxes) for image in images)
    raise InputError(
        f"Annotations must be boxes that can be read. Received {len(bad)} of {total} that are not: "
        f"{listed(bad)}. Correct them, or have them dropped and listed (--bad drop)."
    )
