"""Further columns of a manifest, such as age and sex, as the numbers that a network takes beside the image.

| kind     | cells          | numbers                                        | an empty cell                  |
|----------|----------------|------------------------------------------------|--------------------------------|
| number   | finite numbers | (x - mean) / std, both of the training rows    | 0, and a second number is 1    |
| category | any texts      | one-hot over the training rows' texts, sorted  | is one of the categories       |

Empty cells have a number of their own only where training rows have some. What no training row has, such as a new
category, is refused: nothing was learned about it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.finite_number import finite_number
from care_tf.problems import listed, raise_problems

KINDS = ("number", "category")
_LEAST_STD = 1e-6  # of the mean's size: x - mean is then right to a tenth of the standard deviation


@dataclasses.dataclass(frozen=True)
class InputEncoding:
    """How one column is encoded; see the table above.

    Attributes:
      name: The column, and the network's input.
      categories: Of a category, sorted; () for a number.
      mean, std: Of a number.
      has_missing: Whether a number may be missing.
    """

    name: str
    categories: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0
    has_missing: bool = False

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> "InputEncoding":
        """The inverse of `dataclasses.asdict`, through JSON."""
        return cls(**{**entries, "categories": tuple(entries["categories"])})

    @property
    def width(self) -> int:
        """How many numbers the network gets."""
        return len(self.categories) or 1 + self.has_missing

    @property
    def spec(self) -> tf.TensorSpec:
        """Of what `encode` takes."""
        return tf.TensorSpec((None,), tf.string if self.categories else tf.float32, name=self.name)

    def __str__(self) -> str:
        """In a line for people."""
        if self.categories:
            return f"{self.name}: {listed([name or 'missing' for name in self.categories], ', ')}"
        missing = ", or missing" if self.has_missing else ""
        return f"{self.name}: number, mean {self.mean:.4g}, standard deviation {self.std:.4g}{missing}"

    def encode(self, values: tf.Tensor) -> tf.Tensor:
        """The numbers that the network gets, as TensorFlow operations.

        Args:
          values: (B,) float32, NaN for missing; of a category (B,) string, "" for missing.

        Returns:
          float32 (B, width).

        Raises:
          tf.errors.InvalidArgumentError: A value is none that training rows have, or no finite number.
        """
        if self.categories:
            is_each = tf.equal(tf.strings.strip(values)[:, tf.newaxis], tf.constant(self.categories))
            tf.debugging.Assert(tf.reduce_all(tf.reduce_any(is_each, axis=1)), [f"Unknown {self}. Received", values])
            return tf.cast(is_each, tf.float32)
        is_missing = tf.math.is_nan(values)
        may_be = is_missing if self.has_missing else tf.zeros_like(is_missing)
        is_known = tf.reduce_all(tf.math.is_finite(values) | may_be)
        tf.debugging.Assert(is_known, [f"Unknown {self}. Received", values])
        scaled = tf.where(is_missing, 0.0, (values - self.mean) / self.std)
        return tf.stack([scaled, tf.cast(is_missing, tf.float32)][: self.width], axis=1)

    def values(self, cells: Sequence[str]) -> tf.Tensor:
        """What `encode` takes, from a manifest's cells."""
        if self.categories:
            return tf.constant(cells, tf.string)
        return tf.constant([float(cell or "nan") for cell in cells], tf.float32)

    def problem(self, cell: str) -> str | None:
        """What is wrong with a manifest's cell; None where nothing is."""
        if cell in self.categories or (not self.categories and (_is_number(cell) or (not cell and self.has_missing))):
            return None
        return f"{self.name} is {cell!r}, which no training row has ({self})"


def fit_input_encodings(manifest: Manifest, kinds: Mapping[str, str] | None = None) -> tuple[InputEncoding, ...]:
    """Reads from the training rows how each of their further columns is encoded.

    Args:
      manifest: The training rows, read with `inputs`.
      kinds: Column -> "number" or "category". A column that is not named here is a number when every cell that is not
        empty is one, and a category when none is.

    Returns:
      One per column, in the manifest's order.

    Raises:
      InputError: A column mixes numbers and other texts, has a cell that is no number, or is the same in all rows, but
        for rounding.
    """
    return tuple(_fitted(manifest, name, (kinds or {}).get(name)) for name in manifest.inputs)


def encoded_inputs(manifest: Manifest, encodings: Sequence[InputEncoding]) -> dict[str, np.ndarray]:
    """The numbers of every row.

    Args:
      manifest: n rows, read with at least these columns as `inputs`.
      encodings: Of the training rows.

    Returns:
      Column -> float32 (n, width).

    Raises:
      InputError: A column is not there, or has what no training row has: up to 20 cells are listed.
    """
    problems = []
    for encoding in encodings:
        if encoding.name not in manifest.inputs:
            raise InputError(
                f"The manifest must have been read with the column {encoding.name}. Received "
                f"{', '.join(manifest.inputs) or 'none beside the image'} of {manifest.source}. Read it with inputs=."
            )
        cells = zip(manifest.image_paths, manifest.inputs[encoding.name], strict=True)
        problems += [f"image {path}: {text}" for path, cell in cells if (text := encoding.problem(cell))]
    raise_problems(manifest.source or "The manifest", problems)
    return {each.name: each.encode(each.values(manifest.inputs[each.name])).numpy() for each in encodings}


def _fitted(manifest: Manifest, name: str, kind: str | None) -> InputEncoding:
    cells = manifest.inputs[name]
    filled = [cell for cell in cells if cell]
    texts = [cell for cell in filled if not _is_number(cell)]
    where = f"{name} in the training rows of {manifest.source}"
    if kind not in (None, *KINDS):
        raise InputError(f"A further column must be a number or a category. Received {kind!r} for {name}.")
    # A decimal comma is no category either.
    is_mixed = len(texts) < len(filled) or any(_is_number(cell.replace(",", ".")) for cell in texts)
    if texts and (kind == "number" or (kind is None and is_mixed)):
        raise InputError(
            f"A column must hold numbers, or categories. Received {listed(sorted(set(texts))[:5], ', ')} among the "
            f"numbers of {where}. Correct them, with decimal points; leave cells without a value empty; or declare it "
            "a category."
        )
    is_category = kind == "category" or bool(texts)
    if len(set(cells)) < 2 or (not is_category and len(set(map(float, filled))) < 2):
        raise InputError(
            f"A further input must differ between images. Received {cells[0] or 'empty cells'!r} alone for {where}. "
            "Leave the column out."
        )
    if is_category:
        return InputEncoding(name, tuple(sorted(set(cells))))
    numbers = np.array(filled, np.float64)
    mean, std = float(numbers.mean()), float(numbers.std())
    if not std > max(_LEAST_STD * abs(mean), np.finfo(np.float32).tiny):
        raise InputError(
            f"A number must differ between images by more than float32 rounds. Received the mean {mean:.8g} and the "
            f"standard deviation {std:.3g} for {where}. Subtract what all have in common, or declare it a category."
        )
    return InputEncoding(name, (), mean, std, len(filled) < len(cells))


def _is_number(cell: str) -> bool:
    return finite_number(cell) is not None
