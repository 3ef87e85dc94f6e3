"""A picture of a manifest's boxes: the quickest check that they are where they should be."""

import math
import os
import textwrap

import numpy as np

from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.files import atomic_path
from care_tf.images.pixels import read_image

_TILE_PX = 200
_LINE_PX, _CLASS_LINES = 13, 3  # of a caption
_NUM_COLUMNS = 6
_MAX_TILES = 24
_BOX_COLOR = (0, 230, 60)
_BACKGROUND = (24, 24, 24)


def write_contact_sheet(manifest: Manifest, path: str | os.PathLike, *, seed: int = 0) -> None:
    """Draws up to 24 images with their boxes, chosen at random among those that have any (among all if none has).

    Args:
      manifest: What to draw from.
      path: The PNG to write; whole or not at all.
      seed: Of the choice.

    Raises:
      InputError: An image is corrupt, or the manifest is empty.
    """
    from PIL import Image, ImageDraw

    candidates = np.flatnonzero([len(boxes) > 0 for boxes in manifest.boxes])
    candidates = candidates if len(candidates) else np.arange(len(manifest))
    chosen = np.sort(np.random.default_rng(seed).permutation(candidates)[:_MAX_TILES])
    if not len(chosen):
        raise InputError(f"The manifest {manifest.source} has no images to draw.")
    captions = [_caption(*_names(manifest, i)) for i in chosen.tolist()]
    caption_px = _LINE_PX * max(map(len, captions)) + 3
    num_columns = min(_NUM_COLUMNS, len(chosen))
    row_height = _TILE_PX + caption_px
    sheet = Image.new("RGB", (num_columns * _TILE_PX, math.ceil(len(chosen) / num_columns) * row_height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for place, i in enumerate(chosen.tolist()):
        left, top = place % num_columns * _TILE_PX, place // num_columns * row_height
        sheet.paste(_tile(manifest, i), (left, top + caption_px))
        for line, text in enumerate(captions[place]):
            draw.text((left + 3, top + 2 + line * _LINE_PX), text, fill=(255, 255, 255))
    with atomic_path(path) as temporary:
        sheet.save(temporary)


def _names(manifest: Manifest, row: int) -> tuple[str, str]:
    """The class and the file's name without its ending."""
    return manifest.class_names[manifest.labels[row]], os.path.splitext(os.path.basename(manifest.image_paths[row]))[0]


def _caption(class_name: str, file_name: str) -> list[str]:
    """What fits above a tile: one line, or the class on up to three and the file's name, without its middle, below."""
    from PIL import ImageFont

    font = ImageFont.load_default()

    def letters(text: str) -> int:
        return int(len(text) * (_TILE_PX - 8) / max(font.getlength(text), 1))

    together = f"{class_name} {file_name}"
    if len(together) <= letters(together):
        return [together]
    lines = textwrap.wrap(class_name, max(letters(class_name), 8), max_lines=_CLASS_LINES, placeholder=" ...")
    if len(file_name) > letters(file_name):
        half = letters(file_name) // 2
        file_name = f"{file_name[: half - 2]}...{file_name[2 - half :]}"
    return [*lines, file_name]


def _tile(manifest: Manifest, row: int):
    """A Pillow image of at most 200 x 200 px with the boxes drawn."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(read_image(manifest.image_paths[row], manifest.max_pixel_value))
    scale = _TILE_PX / max(image.size)
    image = image.resize((max(round(image.width * scale), 1), max(round(image.height * scale), 1)))
    draw = ImageDraw.Draw(image)
    for x0, y0, x1, y1 in manifest.boxes[row] * scale:
        draw.rectangle(
            (float(x0), float(y0), max(float(x1) - 1, float(x0)), max(float(y1) - 1, float(y0))),
            outline=_BOX_COLOR,
            width=2,
        )
    return image
