"""The black frame that a dermatoscope leaves around the skin: vignettes, dark corners, dark bars."""

from typing import Any

import numpy as np
import numpy.typing as npt

from care_tf.errors import InputError

WORKING_SIDE_PX = 300  # the rule looks at shapes, not at detail
DARK_FRACTIONS = (0.4, 0.3, 0.2, 0.1)  # of the field's brightness; see `dark_frame`
MIN_FIELD_BRIGHTNESS = 40.0  # below it nothing tells a frame from the skin
MIN_FIELD_FRACTION = 0.25
MIN_OUTSIDE_FRACTION = 0.8  # a quarter disc in a corner has 0.64, half a disc on an edge has 0
MAX_TEXTURE = 6.0


def require_rgb_image(image: npt.ArrayLike) -> np.ndarray:
    """The image as an array; an `InputError` where it is not uint8 (H,W,3) or has no pixel."""
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise InputError(
            "An image must be uint8 (H, W, 3) RGB with at least one pixel. "
            f"Received {array.dtype} of shape {array.shape}. Read it with care_tf.images.pixels.read_image."
        )
    return array


def dark_frame(image: npt.ArrayLike) -> np.ndarray:
    """The pixels of the black frame around the visible field.

    The field that an objective or a collimator shows is convex, so what surrounds it is a dark region with a convex
    hole. A pixel belongs to the frame when

    1. its largest channel is below a fraction of the field's brightness (the upper quartile of that channel),
    2. it lies outside the convex hull of the largest brighter region, and so in a piece that reaches the image border,
    3. at least 0.8 of its dark region lies outside that hull, and
    4. its dark region has little texture (median gray difference between neighbors at most 6).

    Rule 2 keeps a dark lesion that touches one side (the hull of the skin covers it), rule 3 one that fills a corner:
    lesions bulge into the skin, vignettes bulge away from it. The fractions 0.4, 0.3, 0.2 and 0.1 are tried in turn and
    what any of them finds is frame: where hair or a lesion hangs on a vignette at a high fraction, a lower one still
    separates the two. A frame that leaves less than a quarter of the image is no frame. The result reaches 1 % of the
    longer side into the soft inner edge.

    Args:
      image: uint8 (H,W,3) RGB.

    Returns:
      bool (H,W), True on the frame; all False where there is none.

    Raises:
      InputError: The image has another dtype or shape.

    Example:
      >>> import numpy as np
      >>> image = np.zeros((60, 80, 3), np.uint8)
      >>> image[:, 10:] = 180
      >>> dark_frame(image)[0, :12].astype(int).tolist()
      [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]

    Source: ours; the recipe only asks for a frame to be cropped or masked. On a radiograph the unexposed border, and
      the air beside the neck, can count as a frame.
    """
    import cv2

    image = require_rgb_image(image)
    height, width = image.shape[:2]
    scale = min(1.0, WORKING_SIDE_PX / max(height, width))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1.0 else image
    brightest = cv2.blur(small.max(axis=2), (3, 3))
    field_brightness = float(np.percentile(brightest, 75))
    frame = np.zeros(brightest.shape, bool)
    if field_brightness < MIN_FIELD_BRIGHTNESS:
        return np.zeros((height, width), bool)
    texture = _texture(brightest)
    for fraction in DARK_FRACTIONS:
        frame |= _frame_below(brightest, fraction * field_brightness, texture)
    if not frame.any():
        return np.zeros((height, width), bool)
    margin = round(max(frame.shape) / 100)
    frame = cv2.dilate(frame.astype(np.uint8), np.ones((2 * margin + 1,) * 2, np.uint8))
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)


def _frame_below(brightest: np.ndarray, threshold: float, texture: np.ndarray) -> np.ndarray:
    """The pixels below one threshold that follow rules 2 to 4: bool (h,w)."""
    import cv2

    dark = (brightest < threshold).astype(np.uint8)
    nothing = np.zeros(dark.shape, bool)
    if not dark.any():
        return nothing
    # Opening frees a vignette of the hairs that hang on it; replicating the border keeps thin bars.
    dark = cv2.morphologyEx(dark, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    field = _largest_component(1 - dark)
    if field.mean() < MIN_FIELD_FRACTION:
        return nothing
    outside = ~_convex_hull(field)
    num_regions, regions = cv2.connectedComponents(dark, connectivity=8)
    frame = nothing
    for region in range(1, num_regions):
        inside_region = regions == region
        beyond = inside_region & outside
        if beyond.sum() < MIN_OUTSIDE_FRACTION * inside_region.sum():
            continue
        if np.median(texture[beyond]) <= MAX_TEXTURE:
            frame |= beyond
    return frame


def _texture(brightest: np.ndarray) -> np.ndarray:
    """Largest difference to a neighbor below or to the right, float32 (h,w)."""
    values = brightest.astype(np.float32)
    down = np.abs(np.diff(values, axis=0, append=values[-1:]))
    right = np.abs(np.diff(values, axis=1, append=values[:, -1:]))
    return np.maximum(down, right)


def _largest_component(region: np.ndarray) -> np.ndarray:
    """The largest 4-connected component of a uint8 (h,w) region; bool (h,w)."""
    import cv2

    num_components, components, stats, _ = cv2.connectedComponentsWithStats(region, connectivity=4)
    if num_components == 1:
        return np.zeros(region.shape, bool)
    return components == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))


def _convex_hull(region: np.ndarray) -> np.ndarray:
    """The pixels inside the convex hull of the region's pixels, its edge included; bool (h,w)."""
    import cv2

    points: Any = np.argwhere(region)[:, ::-1].astype(np.int32)
    filled = np.zeros(region.shape, np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(points), 1)
    return filled.astype(bool)
