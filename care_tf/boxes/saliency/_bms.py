"""Boolean map saliency: what stands out is what closed contours surround, at whatever threshold they appear."""

import numpy as np

from care_tf.boxes.saliency._bms_post_processing import dilate, erode, reconstructed, smoothed
from care_tf.boxes.saliency._frame import dark_frame, require_rgb_image
from care_tf.boxes.saliency._geodesic import reconstruct
from care_tf.boxes.saliency._scaling import min_max
from care_tf.errors import InputError

FORMS = ("iccv2013", "tpami", "tpami_object")
# For `boxes_from_map` on the default form. Form, threshold and rule were chosen on folds 1 and 2 of HAM10000's DF, VASC
# and AKIEC (mean IoU .746, .732, .654); folds 3 and 4 have .701, .792, .658. With the defaults of `boxes_from_map`,
# threshold 0.5 and "one", folds 3 and 4 have .571, .732, .575.
BOX_SETTINGS = {"threshold": 0.2, "min_area_fraction": 0.01, "boxes": "largest"}

_STEP = 8  # between thresholds, of 255
_WHITENING_REGULARIZER = 50.0
_BITS = (np.arange(256)[:, np.newaxis] >> np.arange(8) & 1).astype(np.float64)  # of a byte, lowest first
_MAX_SIDE_PX = 1800  # bounds the "iccv2013" form on tall images, whose width alone is fixed


def bms_saliency(image: np.ndarray, *, form: str = "tpami_object", ignore_dark_frame: bool = True) -> np.ndarray:
    """How much every pixel belongs to a region that others surround.

    S = post-processing( sum over channels c, thresholds t, B in {c > t, not (c > t)} of A(B) / ||A(B)||_2 )

    A(B) is the dilated union of the regions of B that do not touch the image border.

    | form           | size         | channels                        | boolean maps | post-processing            |
    |----------------|--------------|---------------------------------|--------------|----------------------------|
    | "iccv2013"     | width 600    | Lab of the image blurred 3 x 3  | opened, 5    | dilation 9, blur sigma 9   |
    | "tpami"        | longest 400  | whitened Lab, median 3 x 3      | as they are  | dilation 9, blur sigma 9   |
    | "tpami_object" | longest 300  | whitened Lab, median 3 x 3      | as they are  | reconstruction and sigmoid |

    Args:
      image: uint8 (H,W,3) RGB.
      form: One of `FORMS`.
      ignore_dark_frame: Whether the black corners and vignette of a dermatoscope count as nothing: they take the color
        of the skin beside them before the map is made, and are 0 in it.

    Returns:
      float32 (H,W) in [0,1], 0 at its least and 1 at its greatest; all 0 where no closed contour exists, as in an
      image of one color.

    Raises:
      InputError: The image is not uint8 (H,W,3), or the form is unknown.

    Example:
      >>> import numpy as np
      >>> image = np.full((60, 80, 3), 200, np.uint8)
      >>> image[20:40, 30:50] = 90
      >>> saliency = bms_saliency(image)
      >>> round(float(saliency[30, 40]), 3), float(saliency[2, 2])
      (1.0, 0.0)

    Source:
      Zhang and Sclaroff, Saliency detection: a boolean map approach, ICCV 2013 ("iccv2013"); Exploiting surroundedness
      for saliency detection: a boolean map approach, TPAMI 38(5), 2016 (the others). A width w of a morphological
      operation is floor((w - 1) / 2) iterations of a 3 x 3 square. Ours: the symmetric root in the whitening, Otsu's
      two classes for the sigmoid's mu1 and mu2, at most 1800 px of height at width 600, and the dark frame.
    """
    if form not in FORMS:
        raise InputError(f"The form of boolean map saliency must be one of {', '.join(FORMS)}. Received {form!r}.")
    image = require_rgb_image(image)
    frame = dark_frame(image) if ignore_dark_frame else None
    if frame is not None:
        image = fill_frame(image, frame)
    if form == "iccv2013":
        channels = lab_channels(_resize(image, _size_of(image.shape, width=600)))
    else:
        channels = whitened_channels(_resize(image, _size_of(image.shape, longest=400 if form == "tpami" else 300)))
    total = attention_sum(channels, opening_width=5 if form == "iccv2013" else 1)
    saliency = reconstructed(total) if form == "tpami_object" else smoothed(total)
    saliency = _resize(saliency, (image.shape[1], image.shape[0]))
    if frame is not None:
        saliency[frame] = 0.0
    return min_max(saliency)


def lab_channels(image: np.ndarray) -> np.ndarray:
    """CIE Lab of an image blurred by a 3 x 3 Gaussian of sigma 1: uint8 (H,W,3) RGB -> contiguous uint8 (H,W,3)."""
    import cv2

    return cv2.cvtColor(cv2.GaussianBlur(image, (3, 3), 1.0), cv2.COLOR_RGB2LAB)


def whitened_channels(image: np.ndarray, regularizer: float = _WHITENING_REGULARIZER) -> np.ndarray:
    """Lab channels without correlation, so that every threshold of every channel says something new.

    y = (C + regularizer I)^(-1/2) (x - mean), each channel min-max to 0..255, then a 3 x 3 median

    The regularizer, in squared levels of 255, keeps noise in a flat channel small. uint8 (H,W,3) RGB -> uint8 (H,W,3).
    """
    import cv2

    # One channel after the other: NumPy is slow along an axis of three.
    pixels = np.stack(cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2LAB))).reshape(3, -1).astype(np.float64)
    pixels -= pixels.mean(axis=1, keepdims=True)
    variances, axes = np.linalg.eigh(pixels @ pixels.T / pixels.shape[1] + regularizer * np.eye(3))
    white = (axes / np.sqrt(variances)) @ axes.T @ pixels
    low, high = white.min(axis=1, keepdims=True), white.max(axis=1, keepdims=True)
    levels = 255.0 * (white - low) / np.where(high - low > 1e-9, high - low, np.inf)
    return cv2.medianBlur(cv2.merge(list(np.rint(levels).astype(np.uint8).reshape(3, *image.shape[:2]))), 3)


def attention_sum(channels: np.ndarray, opening_width: int = 1) -> np.ndarray:
    """The attention maps of the channels above every threshold, and of the complements, added up.

    sum over c, t, B in {c > t, not (c > t)} of A(B) / ||A(B)||_2

    A complement is a map of the inverted channel: not (c > t) = 255 - c > 254 - t. The opening of every Boolean map is
    one opening of the channel, since both take minima and maxima.

    Args:
      channels: uint8 (H,W,C); the thresholds t run from a channel's least value to below its greatest, in steps of 8.
      opening_width: Removes what is narrower from every map and from its complement; 1 removes nothing.

    Returns:
      float32 (H,W), >= 0; all 0 of flat channels.
    """
    import cv2

    levels = []
    for channel in cv2.split(channels):
        thresholds = np.arange(int(channel.min()), int(channel.max()), _STEP)
        for values, below in ((channel, thresholds), (cv2.bitwise_not(channel), 254 - thresholds[::-1])):
            # Between two thresholds nothing changes: how many are below a pixel is all that counts.
            num_below = np.searchsorted(below, np.arange(256)).astype(np.uint8)
            levels.append(cv2.LUT(dilate(erode(values, opening_width), opening_width), num_below))
    total = np.zeros(channels.shape[:2], np.float32)
    for values, border in zip(levels, border_levels(np.stack(levels)), strict=True):
        total += attention_of(dilated_bits(surrounded_regions(values, border)))
    return total


def surrounded_regions(levels: np.ndarray, border: np.ndarray) -> np.ndarray:
    """Where the 8-connected regions above every level are that do not touch the image border, all in one pass.

    The region of {c > t} that holds a pixel touches the border where a path from there to the border stays above t:
    where b > t, with b of `border_levels`. So a pixel is surrounded where c > t >= b.

    Args:
      levels: c, uint8 (H,W), in [0, 32].
      border: b, the same.

    Returns:
      uint32 (H,W): bit t is set where the pixel lies in such a region of {c > t}.
    """
    bits_below = ((np.uint64(1) << np.arange(33, dtype=np.uint64)) - np.uint64(1)).astype(np.uint32)
    return np.take(bits_below, levels) ^ np.take(bits_below, border)  # b <= c


def border_levels(levels: np.ndarray) -> np.ndarray:
    """The greatest minimum along any 8-connected path to the border: uint8 (n,H,W) images -> uint8 (n,H,W)."""
    rim = levels.copy()
    rim[:, 1:-1, 1:-1] = 0
    return reconstruct(rim, levels)


def dilated_bits(maps: np.ndarray, width: int = 7) -> np.ndarray:
    """Up to 32 Boolean maps dilated by a square of an odd width at once: uint32 (H,W), a map a bit -> the same."""
    spread = np.pad(maps, width // 2)
    reach = 1
    while reach < width:
        shift = min(reach, width - reach)
        spread = spread[:, shift:] | spread[:, :-shift]
        spread = spread[shift:] | spread[:-shift]
        reach += shift
    return spread


def attention_of(maps: np.ndarray) -> np.ndarray:
    """The sum of Boolean maps, each of Euclidean length 1: small things attract more attention than large ones.

    uint32 (H,W), a map a bit -> float32 (H,W), >= 0; an empty map adds nothing.
    """
    import cv2

    total = np.zeros(maps.shape, np.float32)
    for first in range(0, int(maps.max()).bit_length(), 8):
        # Eight maps are a byte, and what a pixel gets from them is in a table of its 256 values.
        eight = (maps >> np.uint32(first)).astype(np.uint8)
        num_pixels = np.array([cv2.countNonZero(eight & np.uint8(1 << bit)) for bit in range(8)])
        total += cv2.LUT(eight, (_BITS @ (1.0 / np.sqrt(np.maximum(num_pixels, 1.0)))).astype(np.float32))
    return total


def fill_frame(image: np.ndarray, frame: np.ndarray, rim_px: int = 5) -> np.ndarray:
    """Paints the dark frame, bool (H,W), in the median color of the visible pixels at most `rim_px` beside it.

    The image itself where there is no frame, or nothing but frame.
    """
    if not frame.any() or frame.all():
        return image
    beside = (dilate(frame.astype(np.uint8), 2 * rim_px + 1) > 0) & ~frame
    filled = image.copy()
    filled[frame] = np.median(image[beside], axis=0).astype(np.uint8)
    return filled


def _size_of(shape: tuple[int, ...], *, width: int | None = None, longest: int | None = None) -> tuple[int, int]:
    """(width, height) of the working size that keeps the aspect ratio."""
    rows, columns = shape[:2]
    scale = (longest or width or 1) / (max(rows, columns) if longest else columns)
    scale = min(scale, _MAX_SIDE_PX / rows)
    return max(round(columns * scale), 1), max(round(rows * scale), 1)


def _resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """To (width, height): averaged where it shrinks, bilinear where it grows."""
    import cv2

    shrinks = size[0] < pixels.shape[1]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
