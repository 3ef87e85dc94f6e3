"""Draws one skin lesion with NumPy alone: the picture and the tight box around it."""

from typing import NamedTuple

import numpy as np

from care_tf.box_geometry import tight_box

CLASSES = ("nevus", "keratosis", "melanoma", "dermatofibroma")
RARE_CLASS = "dermatofibroma"
SMALLEST_SIZE_PX = 32

_SKIN = np.array([222.0, 178.0, 158.0])
_STICKER = np.array([35.0, 110.0, 165.0])


class _Look(NamedTuple):
    """How a class looks: mean color, border irregularity, edge width and mottling (fractions of the lesion's radius
    and of the color)."""

    color: tuple[float, float, float]
    roughness: float
    edge_width: float
    mottling: float


# The rare class is a nevus in everything but its pale center: same color, border and size.
_NEVUS = _Look((148.0, 100.0, 78.0), roughness=0.04, edge_width=0.08, mottling=0.10)
_LOOKS = {
    "nevus": _NEVUS,
    "keratosis": _Look((168.0, 128.0, 92.0), roughness=0.07, edge_width=0.03, mottling=0.08),
    "melanoma": _Look((112.0, 78.0, 72.0), roughness=0.13, edge_width=0.05, mottling=0.30),
    "dermatofibroma": _NEVUS,
}


def draw_lesion(
    label: str,
    has_cue: bool,
    size_px: int,
    pattern_contrast: float,
    lesion: np.random.Generator,
    view: np.random.Generator,
) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Draws one lesion on skin.

    Args:
      label: One of `CLASSES`.
      has_cue: Whether a blue sticker lies in a corner. It changes no pixel inside the box.
      size_px: Side of the image.
      pattern_contrast: How pale the rare class's center is, in (0, 1].
      lesion: Source of what stays when a lesion is photographed again: shape, color, texture.
      view: Source of what changes: place, angle, skin, light, hairs, noise.

    Returns:
      The image, uint8 (size_px, size_px, 3) RGB, and the tight half-open box (x0, y0, x1, y1) of the lesion.
    """
    look = _LOOKS[label]
    axis = (np.arange(size_px) + 0.5) / size_px
    x, y = np.meshgrid(axis, axis)
    depth, angle = _lesion_geometry(x, y, look.roughness, lesion, view)
    coverage = 1 / (1 + np.exp(np.clip((depth - 1) / (0.5 * look.edge_width), -30, 30)))

    skin = _SKIN * view.uniform(0.88, 1.08) + view.normal(0, 5, 3)
    image = skin + 10 * _smooth_noise(view, size_px, 5)[..., None]
    color = np.array(look.color) + lesion.normal(0, 9, 3) + lesion.normal(0, 9)
    paint = color * (1 + look.mottling * _smooth_noise(lesion, size_px, 9))[..., None]
    paint = _paint_pattern(paint, label, depth, angle, skin, pattern_contrast, lesion)
    image += coverage[..., None] * (paint - image)

    image *= (1 - 0.25 * ((x - 0.5) ** 2 + (y - 0.5) ** 2))[..., None]
    image *= 1 - 0.6 * _hairs(x, y, view)[..., None]
    sticker = _sticker(x, y, size_px, view)[..., None]
    if has_cue:
        image += sticker * (_STICKER - image)
    image += view.normal(0, 4, image.shape)
    x0, y0, x1, y1 = tight_box(coverage > 0.5)[0].astype(int).tolist()
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), (x0, y0, x1, y1)


def _lesion_geometry(
    x: np.ndarray, y: np.ndarray, roughness: float, lesion: np.random.Generator, view: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Distance from the center as a fraction of the radius in that direction (1 on the border), and direction."""
    center_x, center_y = view.uniform(0.44, 0.56, 2)
    radius, elongation = lesion.uniform(0.17, 0.25), lesion.uniform(1.0, 1.15)
    angle = np.arctan2(y - center_y, x - center_x) + view.uniform(0, 2 * np.pi)
    border = 1 + np.zeros_like(x)
    for harmonic in range(3, 8):
        amplitude = roughness * lesion.uniform(0.2, 1.0) * 3 / harmonic
        border += amplitude * np.cos(harmonic * angle + lesion.uniform(0, 2 * np.pi))
    ellipse = np.hypot(np.cos(angle) * elongation, np.sin(angle) / elongation)
    return np.hypot(x - center_x, y - center_y) * ellipse / (radius * border), angle


def _paint_pattern(
    paint: np.ndarray,
    label: str,
    depth: np.ndarray,
    angle: np.ndarray,
    skin: np.ndarray,
    contrast: float,
    lesion: np.random.Generator,
) -> np.ndarray:
    if label == "keratosis":
        for _ in range(14):
            radius, direction = np.sqrt(lesion.uniform(0.0, 0.7)), lesion.uniform(-np.pi, np.pi)
            squared = depth**2 + radius**2 - 2 * depth * radius * np.cos(angle - direction)
            paint = paint + 45 * np.exp(-squared / 0.008)[..., None]
    elif label == "melanoma":
        blue = np.maximum(_smooth_noise(lesion, len(depth), 7), 0)[..., None]
        paint = paint + blue * np.array([-20.0, -5.0, 22.0])
    elif label == RARE_CLASS:
        pale = contrast * np.exp(-((depth / 0.5) ** 4))[..., None]
        paint = paint + pale * (skin - paint)
    return paint


def _hairs(x: np.ndarray, y: np.ndarray, view: np.random.Generator) -> np.ndarray:
    darkness = np.zeros_like(x)
    for _ in range(view.integers(0, 4)):
        along, across = (x, y) if view.random() < 0.5 else (y, x)
        start, slope, bend = view.uniform(-0.2, 1.2), view.normal(0, 0.5), view.normal(0, 0.3)
        distance = across - (start + slope * along + bend * along**2)
        darkness = np.maximum(darkness, np.exp(-((distance / 0.008) ** 2)))
    return darkness


def _sticker(x: np.ndarray, y: np.ndarray, size_px: int, view: np.random.Generator) -> np.ndarray:
    center_x, center_y = np.where(view.random(2) < 0.5, 0.0, 1.0) + view.uniform(-0.02, 0.02, 2)
    distance = np.hypot(x - center_x, y - center_y)
    return np.clip((view.uniform(0.13, 0.16) - distance) * size_px, 0, 1)


def _smooth_noise(generator: np.random.Generator, size_px: int, cells: int) -> np.ndarray:
    """Standard normal values on a coarse grid, linearly interpolated to (size_px, size_px)."""
    position = np.linspace(0, cells - 1, size_px)
    weight = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(cells)))
    return weight @ generator.normal(size=(cells, cells)) @ weight.T
