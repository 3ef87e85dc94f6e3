"""The boxes of many images in one array, read image by image."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class ImageBoxes(Sequence[np.ndarray]):
    """A sequence of n arrays (k,4), which are views of one: a small array for each image would take 120 bytes.

    Attributes:
      flat: float32 (K,4), the boxes of all images one after the other.
      starts: int64 (n + 1,), where the boxes of each image start; the last is K.

    Example:
      >>> boxes = ImageBoxes(np.array([[0, 0, 1, 1], [2, 2, 3, 4]]), [0, 2, 0])
      >>> [len(each) for each in boxes], boxes[1].tolist()
      ([0, 2, 0], [[0.0, 0.0, 1.0, 1.0], [2.0, 2.0, 3.0, 4.0]])
    """

    def __init__(self, flat: npt.ArrayLike, counts: npt.ArrayLike) -> None:
        with np.errstate(over="ignore"):  # too large for float32 is infinite, and not a position
            self.flat = np.asarray(flat, np.float32).reshape(-1, 4)
        self.starts = np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))])

    @classmethod
    def of(cls, boxes: Iterable[npt.ArrayLike]) -> "ImageBoxes | None":
        """From n arrays (k,4) or lists of boxes; None where one has another shape."""
        if isinstance(boxes, ImageBoxes):
            return boxes
        arrays: list[Any] = list(boxes)
        filled = [own for own in arrays if len(own)]
        try:
            flat = np.concatenate(filled) if filled else np.zeros((0, 4))
        except ValueError:
            return None
        return cls(flat, list(map(len, arrays))) if flat.shape[1:] == (4,) else None

    @property
    def counts(self) -> np.ndarray:
        """int64 (n,), the boxes of each image."""
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, image: Any) -> Any:
        """The boxes of one image, float32 (k,4); of a slice, an `ImageBoxes`."""
        if isinstance(image, slice):
            return self.take(image)
        image = range(len(self))[image]
        return self.flat[self.starts[image] : self.starts[image + 1]]

    def take(self, images: np.ndarray | list[int] | slice) -> "ImageBoxes":
        """Those of some images, int (m,) or a slice, in that order."""
        images = np.arange(len(self))[images]  # from the end where negative; refuses what is out of range
        counts = self.counts[images]
        ends = np.cumsum(counts)
        rows = np.arange(counts.sum()) + np.repeat(self.starts[images] - ends + counts, counts)
        return ImageBoxes(self.flat[rows], counts)

    def only(self, kept: np.ndarray) -> "ImageBoxes":
        """Without those of the images where a bool (n,) is False."""
        return ImageBoxes(self.flat[np.repeat(kept, self.counts)], self.counts * kept)
