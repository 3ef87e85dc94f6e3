"""Images in rows and columns, each with a line of text below: maps of several networks on the same images."""

import os
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from care_tf.evaluation.pictures import INK, drawing
from care_tf.files import atomic_path

_TILE_IN = 1.75
_TITLE_LETTERS = 24  # what fits above a column


class Tile(NamedTuple):
    """One picture, (H, W, 3) uint8, and the text below it; None for an empty place."""

    pixels: np.ndarray | None
    caption: str = ""


def write_picture_grid(path: str | os.PathLike, titles: Sequence[str], rows: Sequence[Sequence[Tile]]) -> None:
    """Writes the tiles as one PNG file.

    Args:
      path: The PNG file.
      titles: What stands above each column.
      rows: As many tiles as there are titles in each.
    """
    tallest = max(
        tile.pixels.shape[0] / tile.pixels.shape[1] for row in rows for tile in row if tile.pixels is not None
    )
    size = _TILE_IN * len(titles), (_TILE_IN * tallest + 0.3) * len(rows) + 0.45
    with drawing(*size) as figure, atomic_path(path) as temporary:
        grid = figure.subplots(len(rows), len(titles), squeeze=False)
        for line, row in zip(grid, rows, strict=True):
            for axes, tile in zip(line, row, strict=True):
                axes.set_axis_off()
                if tile.pixels is not None:
                    axes.imshow(tile.pixels)
                axes.text(0.5, -0.03, tile.caption, transform=axes.transAxes, ha="center", va="top", fontsize=7)
        for axes, title in zip(grid[0], titles, strict=True):
            axes.set_title(textwrap.fill(title, _TITLE_LETTERS), fontsize=8.5, loc="center", color=INK)
        figure.get_layout_engine().set(w_pad=0.03, h_pad=0.02, hspace=0.0, wspace=0.0)  # type: ignore[union-attr, call-arg]
        figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})
