"""Shapes to upright rectangles: the corners of rotated ones, and the tight box around points."""

import numpy as np
import numpy.typing as npt


def tight_box_of_points(points: npt.ArrayLike) -> np.ndarray:
    """The smallest upright rectangle around (n,2) points x,y, n >= 1: float64 (4,), without area on an upright line."""
    points = np.asarray(points, np.float64).reshape(-1, 2)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def rotated_box(box: npt.ArrayLike, degrees: float, about: npt.ArrayLike | None = None) -> np.ndarray:
    """The tight upright rectangle around a rotated one.

    [x', y'] = c + [[cos a, -sin a], [sin a, cos a]] ([x, y] - c)

    Args:
      box: (4,) x0,y0,x1,y1 before the rotation, in a unit that is the same along x and y.
      degrees: Angle a, clockwise as seen on the screen (y points down).
      about: (2,) the fixed point c; by default the box's center.

    Returns:
      float64 (4,) x0,y0,x1,y1; the box itself for 0 degrees.

    Example:
      >>> rotated_box([0, 0, 4, 2], 90).round(9).tolist()
      [1.0, -1.0, 3.0, 3.0]
    """
    x0, y0, x1, y1 = np.asarray(box, np.float64).tolist()
    if degrees % 360 == 0:
        return np.array([x0, y0, x1, y1])
    fixed = np.array([(x0 + x1) / 2, (y0 + y1) / 2]) if about is None else np.asarray(about, np.float64)
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) - fixed
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return tight_box_of_points(corners @ np.array([[cos, sin], [-sin, cos]]) + fixed)


def ellipse_box(center: npt.ArrayLike, radii: npt.ArrayLike, degrees: float = 0.0) -> np.ndarray:
    """The tight upright rectangle, float64 (4,), around an ellipse that is rotated about its center.

    half width = sqrt((r_x cos a)^2 + (r_y sin a)^2), half height = sqrt((r_x sin a)^2 + (r_y cos a)^2)

    The radii are the half axes along x and y before the rotation; either direction of it gives the same rectangle.
    """
    center, (radius_x, radius_y) = np.asarray(center, np.float64), np.asarray(radii, np.float64).tolist()
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    half_sides = np.hypot([radius_x * cos, radius_x * sin], [radius_y * sin, radius_y * cos])
    return np.concatenate([center - half_sides, center + half_sides])
