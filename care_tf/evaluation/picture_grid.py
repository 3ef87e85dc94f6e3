"""Images in rows and columns, each with a caption below: maps of several networks on the same images."""

import io
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from care_tf.evaluation.pictures import INK, drawing, wrapped
from care_tf.files import atomic_path

_TILE_IN, _GAP_IN = 1.75, 0.05
_TITLE_LETTERS, _TITLE_LINE_IN = 24, 0.145  # what fits above a column
_CAPTION_LETTERS, _CAPTION_LINE_IN = 24, 0.12  # and below a tile


class Tile(NamedTuple):
    """One picture, (H, W, 3) uint8, and the caption below it, which is wrapped; None for an empty place."""

    pixels: np.ndarray | None
    caption: str = ""


def short_name(name: str) -> str:
    """An image's name as it fits below a tile, without its middle where it is longer.

    Example:
      >>> short_name("ISIC_0024306"), short_name("0004cfab-14fd-4e49-80ba-63a80b6bddd6")
      ('ISIC_0024306', '0004cfab-14\u202663a80b6bddd6')
    """
    if len(name) <= _CAPTION_LETTERS:
        return name
    half = _CAPTION_LETTERS // 2
    return f"{name[: half - 1]}\u2026{name[-half:]}"


def write_picture_grid(path: str | os.PathLike, titles: Sequence[str], rows: Sequence[Sequence[Tile]]) -> None:
    """Writes the tiles as one PNG file.

    Args:
      path: The PNG file.
      titles: What stands above each column.
      rows: As many tiles as there are titles in each.
    """
    png = picture_grid(titles, rows)
    with atomic_path(path) as temporary:
        temporary.write_bytes(png)


def picture_grid(titles: Sequence[str], rows: Sequence[Sequence[Tile]]) -> bytes:
    """The tiles as a PNG; see `write_picture_grid`."""
    titles = [wrapped(title, _TITLE_LETTERS) for title in titles]
    rows = [[Tile(tile.pixels, wrapped(tile.caption, _CAPTION_LETTERS)) for tile in row] for row in rows]
    tiles = [tile for row in rows for tile in row]
    tile_height = _TILE_IN * max(t.pixels.shape[0] / t.pixels.shape[1] for t in tiles if t.pixels is not None)
    head = _TITLE_LINE_IN * max(title.count("\n") + 1 for title in titles) + 0.1
    pitch = tile_height + _CAPTION_LINE_IN * max(tile.caption.count("\n") + 1 for tile in tiles) + 2 * _GAP_IN
    width, height = _GAP_IN + (_TILE_IN + _GAP_IN) * len(titles), head + pitch * len(rows)
    png = io.BytesIO()
    with drawing(width, height) as figure:
        figure.set_layout_engine("none")  # every tile has its place, whatever is written around it
        for line, row in enumerate(rows):
            for column, tile in enumerate(row):
                left, bottom = _GAP_IN + (_TILE_IN + _GAP_IN) * column, height - head - pitch * line - tile_height
                place = (left / width, bottom / height, _TILE_IN / width, tile_height / height)
                axes = figure.add_axes(place, anchor="N")
                axes.set_axis_off()
                if tile.pixels is not None:
                    axes.imshow(tile.pixels)
                axes.text(0.5, -0.02, tile.caption, transform=axes.transAxes, ha="center", va="top", fontsize=7)
                if line == 0:
                    axes.set_title(titles[column], fontsize=8.5, loc="center", color=INK)
        figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
    return png.getvalue()
