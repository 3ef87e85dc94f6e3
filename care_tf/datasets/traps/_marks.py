"""Draws what a photograph may show beside its subject: a swatch, a sticker, a ruler, ink, hair, a letter."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from care_tf.extras import require_extra

require_extra(__name__, "runs", "cv2")

Color = tuple[int, int, int]

_TRIES = 60
_SMALLEST = 0.45  # of a mark's usual size, where the subject leaves little room
_LEAST_COVERED = 0.001  # of the image's pixels, by all strokes together: less is no cue at the size of a network
_SHIFT = 4  # OpenCV's positions are whole numbers of 1/16 px, so that shapes do not snap to pixels


class Paint(NamedTuple):
    """What a mark does to an image.

    Attributes:
      coverage: float32 (H,W) in [0, 1]; 0 leaves a pixel as it is.
      color: Red, green and blue, 0..255.
      blend: "flat" covers with the color; "lit" covers with it in the light of the image; "ink" lets the image through.
    """

    coverage: np.ndarray
    color: Color
    blend: Literal["flat", "lit", "ink"]


class _Kind(NamedTuple):
    """How marks of a kind are drawn: `stroke` draws one of `num_strokes` on a canvas, uint8 (H,W), at a size in px."""

    stroke: Callable[[np.ndarray, float, np.random.Generator], None]
    colors: Sequence[Color]
    num_strokes: tuple[int, int] = (1, 1)
    blend: Literal["flat", "lit", "ink"] = "flat"
    opacity: float = 1.0
    blur: float = 0.0  # standard deviation, as a fraction of the shorter side


def mark_paint(kind: str, subject: np.ndarray, random: np.random.Generator) -> Paint | None:
    """A mark at a random place, size, angle and color that does not touch the subject.

    Places are tried at the usual size, then at smaller ones down to .45 of it.

    Args:
      kind: One of `MARKS`.
      subject: bool (H,W), the pixels that must stay as they are, such as those in the lesion's boxes.
      random: Equal states draw equal marks.

    Returns:
      The mark, or None where the subject leaves no room.
    """
    drawn = MARKS[kind]
    color = drawn.colors[int(random.integers(len(drawn.colors)))]
    fewest, most = drawn.num_strokes
    num_strokes = int(random.integers(fewest, most + 1))
    strokes = [_free_stroke(drawn, subject, random) for _ in range(num_strokes)]
    found = [stroke for stroke in strokes if stroke is not None]
    if len(found) < fewest:
        return None
    coverage = np.max(found, axis=0).astype(np.float32) * np.float32(drawn.opacity / 255)
    return Paint(coverage, color, drawn.blend)


def painted(image: np.ndarray, paint: Paint) -> np.ndarray:
    """The image with a mark on it: uint8 (H,W,3); where the mark's coverage is 0 it is the image's own pixel."""
    pixels, color = image.astype(np.float32), np.array(paint.color, np.float32)
    coverage = paint.coverage[..., np.newaxis]
    if paint.blend == "ink":
        result = pixels * (1 - coverage * (1 - color / 255))
    else:
        light = _light(pixels) if paint.blend == "lit" else np.float32(1)
        result = pixels + coverage * (np.minimum(color * light, 255) - pixels)
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


def _light(pixels: np.ndarray) -> np.ndarray:
    """How bright the surroundings are, relative to the image's mean: float32 (H,W,1)."""
    import cv2

    gray = cv2.GaussianBlur(pixels.mean(axis=2), (0, 0), 0.03 * max(min(pixels.shape[:2]), 34))
    return np.clip(gray / max(float(gray.mean()), 1.0), 0.35, 1.15)[..., np.newaxis]


def _free_stroke(kind: _Kind, subject: np.ndarray, random: np.random.Generator) -> np.ndarray | None:
    """One stroke beside the subject: uint8 (H,W); None where no try found room."""
    import cv2

    side = min(subject.shape)
    for attempt in range(_TRIES):
        canvas = np.zeros(subject.shape, np.uint8)
        kind.stroke(canvas, side * (1 - (1 - _SMALLEST) * attempt / _TRIES), random)
        if kind.blur * side > 0.3:
            canvas = cv2.GaussianBlur(canvas, (0, 0), kind.blur * side)
        is_seen = (canvas >= 128).mean() >= _LEAST_COVERED / kind.num_strokes[0]
        if is_seen and not canvas[subject].any():
            return canvas
    return None


def _swatch(canvas: np.ndarray, side: float, random: np.random.Generator) -> None:
    """A square in a corner."""
    length = max(round(side * random.uniform(0.14, 0.2)), 2)
    rows, columns = (slice(0, length) if random.random() < 0.5 else slice(-length, None) for _ in range(2))
    canvas[rows, columns] = 255


def _disc(canvas: np.ndarray, side: float, random: np.random.Generator) -> None:
    """A round patch near the border, often cut by it."""
    import cv2

    radius = side * random.uniform(0.12, 0.24)
    center = _near_border(canvas.shape, side * random.uniform(-0.06, 0.12), random)
    axes = radius * random.uniform(0.92, 1.0, 2)
    angle = random.uniform(0, 180)
    cv2.ellipse(canvas, _fixed(center), _fixed(axes), angle, 0, 360, 255, -1, cv2.LINE_AA, _SHIFT)


def _ruler(canvas: np.ndarray, side: float, random: np.random.Generator) -> None:
    """A scale with ticks along one border, every fifth longer, and numbers at every tenth."""
    import cv2

    height, width = canvas.shape
    pitch, length = side * random.uniform(0.035, 0.055), side * random.uniform(0.035, 0.05)
    angle = random.choice([0.0, 90.0, 180.0, 270.0]) + random.uniform(-9, 9)
    along = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    inward = np.array([-along[1], along[0]])
    middle = np.array([width, height]) / 2
    reach = abs(inward[0]) * width / 2 + abs(inward[1]) * height / 2
    start = middle - inward * (reach - side * random.uniform(0.0, 0.07))
    num_ticks, thickness = int(max(height, width) / pitch), max(round(side / 220), 1)
    for tick in range(-num_ticks // 2, num_ticks // 2 + 1):
        foot = start + along * pitch * tick
        tip = foot + inward * length * (2.0 if tick % 10 == 0 else 1.5 if tick % 5 == 0 else 1.0)
        cv2.line(canvas, _fixed(foot), _fixed(tip), 255, thickness, cv2.LINE_AA, _SHIFT)
        if tick % 10 == 0 and abs(angle) < 10:  # other scales would need turned letters
            place = (round(tip[0] + 2), round(tip[1] + 4 * thickness))
            cv2.putText(canvas, str(abs(tick) // 10), place, 0, side / 500, 255, thickness, cv2.LINE_AA)


def _pen_stroke(canvas: np.ndarray, side: float, random: np.random.Generator) -> None:
    """A short, bent stroke of a pen, or a dot."""
    height, width = canvas.shape
    length = side * (random.uniform(0.15, 0.4) if random.random() < 0.8 else 0.01)
    center = np.array([random.uniform(0, width), random.uniform(0, height)])
    points = _arc(center, length, random.uniform(0, 2 * np.pi), random.uniform(-1.5, 1.5))
    _curve(canvas, points, max(round(side * random.uniform(0.02, 0.035)), 1))


def _hair(canvas: np.ndarray, side: float, random: np.random.Generator) -> None:
    """A thin, bent line."""
    height, width = canvas.shape
    center = np.array([random.uniform(0, width), random.uniform(0, height)])
    length = side * random.uniform(0.25, 0.9)
    points = _arc(center, length, random.uniform(0, 2 * np.pi), random.normal(0, 0.7))
    _curve(canvas, points, max(round(side * random.uniform(0.004, 0.009)), 1))


def _letter(canvas: np.ndarray, side: float, random: np.random.Generator) -> None:
    """An L or an R in an upper corner, as on a radiograph."""
    import cv2

    text, font, scale = "LR"[random.integers(2)], cv2.FONT_HERSHEY_DUPLEX, side * random.uniform(0.0035, 0.005)
    thickness = max(round(1.6 * scale), 1)
    (text_width, text_height), _ = cv2.getTextSize(text, font, scale, thickness)
    margin_x, margin_y = (side * random.uniform(0.02, 0.08) for _ in range(2))
    left = margin_x if random.random() < 0.5 else canvas.shape[1] - margin_x - text_width
    cv2.putText(canvas, text, (round(left), round(margin_y + text_height)), font, scale, 255, thickness, cv2.LINE_AA)


def _near_border(shape: tuple[int, ...], depth: float, random: np.random.Generator) -> np.ndarray:
    """A point x, y at this distance from a border, inside the image where it is positive."""
    height, width = shape[:2]
    if random.random() < height / (height + width):  # every part of the border is as likely
        return np.array([depth if random.random() < 0.5 else width - depth, random.uniform(0, height)])
    return np.array([random.uniform(0, width), depth if random.random() < 0.5 else height - depth])


def _arc(center: np.ndarray, length: float, angle: float, bend: float) -> np.ndarray:
    """Points (k,2) of a curve that turns by `bend` radians over its length."""
    steps = np.linspace(-0.5, 0.5, max(int(length / 2), 8))
    directions = angle + bend * steps
    path = np.cumsum(np.stack([np.cos(directions), np.sin(directions)], axis=1), axis=0) * length / len(steps)
    return center + path - path.mean(axis=0)


def _curve(canvas: np.ndarray, points: np.ndarray, thickness: int) -> None:
    import cv2

    fixed = np.rint(points * 2**_SHIFT).astype(np.int32)
    cv2.polylines(canvas, [fixed], False, 255, thickness, cv2.LINE_AA, _SHIFT)


def _fixed(values: np.ndarray) -> tuple[int, int]:
    """A pair of positions or lengths as OpenCV takes it with `_SHIFT`."""
    first, second = np.rint(np.asarray(values) * 2**_SHIFT).astype(int).tolist()
    return first, second


_STICKERS: list[Color] = [(38, 92, 168), (40, 138, 96), (214, 170, 44), (190, 62, 52), (226, 120, 52)]
_VIOLET: list[Color] = [(98, 58, 160), (84, 62, 172), (118, 60, 150)]
_DARK: list[Color] = [(34, 24, 22), (62, 42, 32), (84, 60, 44)]

MARKS = {
    "decoy": _Kind(_swatch, _STICKERS),
    "sticker": _Kind(_disc, _STICKERS, blend="lit", opacity=0.97, blur=0.006),
    "ruler": _Kind(_ruler, [(28, 24, 24), (60, 54, 52)], opacity=0.85, blur=0.002),
    "ink": _Kind(_pen_stroke, _VIOLET, num_strokes=(2, 5), blend="ink", opacity=0.85, blur=0.008),
    "hair": _Kind(_hair, _DARK, num_strokes=(5, 14), opacity=0.85, blur=0.002),
    "letter": _Kind(_letter, [(238, 238, 238), (214, 214, 214)], opacity=0.95, blur=0.003),
}
"""Name -> how it is drawn; the names are the kinds of `drawn_trap`."""
