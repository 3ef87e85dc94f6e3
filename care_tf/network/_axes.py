"""What the axes of a tensor are: the image's rows and columns, tokens that hold a grid of them, or others.

A feature map is known by what its axes mean, not by its shape: (B, 196, 4) may be 196 patches and 4 attention heads.
Every axis is a tuple of atoms in row-major order: a reshape from (B, 14, 14, d) to (B, 196, d) makes (rows, columns)
of two axes, a class token in front of them makes a `TokenGrid`.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple


class TokenGrid(NamedTuple):
    """How tokens fold back to a map: `height` x `width` of them in row-major order, after `leading` others."""

    height: int
    width: int
    leading: int = 0


@dataclasses.dataclass(frozen=True)
class Atom:
    """A factor of an axis: "rows" or "columns" of the image, "tokens" that hold a grid of it, or "other"."""

    kind: str
    size: int | None
    grid: TokenGrid | None = None


Axis = tuple[Atom, ...]
Axes = tuple[Axis, ...]
Shape = Sequence[int | None]
SIDES = ("rows", "columns")


def token_grid(axis: Axis) -> TokenGrid | None:
    """The grid that an axis of tokens holds; None when it holds none, or only a part of one."""
    if [atom.kind for atom in axis] == ["rows", "columns"] and all(atom.size for atom in axis):
        return TokenGrid(axis[0].size, axis[1].size)  # type: ignore[arg-type]
    return axis[0].grid if len(axis) == 1 else None


def is_map(axes: Axes) -> bool:
    """Whether axes are (B, rows, columns, channels)."""
    return [[atom.kind for atom in axis] for axis in axes[1:3]] == [["rows"], ["columns"]] and len(axes) == 4


def side_sizes(axes: Axes) -> dict[int, int | None]:
    """Place -> size of the axes that are the image's rows or columns, and nothing else."""
    return {place: axis_size(axis) for place, axis in enumerate(axes) if len(axis) == 1 and axis[0].kind in SIDES}


def other_axis(size: int | None) -> Axis:
    """An axis of this size that is no part of the image."""
    return (Atom("other", size),)


def is_spatial(axis: Axis) -> bool:
    """Whether rows or columns of the image, or their tokens, are in an axis."""
    return any(atom.kind != "other" for atom in axis)


def axis_size(axis: Axis) -> int | None:
    """The product of its atoms; None where one of them is not known."""
    size: int | None = 1
    for atom in axis:
        size = None if size is None or atom.size is None else size * atom.size
    return size
