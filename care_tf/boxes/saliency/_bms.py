"""Boolean map saliency: what stands out is what closed contours surround, at whatever threshold they appear."""

import numpy as np

from care_tf.boxes.saliency._bms_post_processing import SQUARE, dilate, reconstructed, smoothed
from care_tf.boxes.saliency._frame import dark_frame, require_rgb_image
from care_tf.boxes.saliency._scaling import min_max
from care_tf.errors import InputError

FORMS = ("iccv2013", "tpami", "tpami_object")
# For `boxes_from_map` on the default form. Form, threshold and rule were chosen on folds 1 and 2 of HAM10000's DF, VASC
# and AKIEC (mean IoU .746, .732, .654); folds 3 and 4 have .701, .792, .658. With the defaults of `boxes_from_map`,
# threshold 0.5 and "one", folds 3 and 4 have .571, .732, .575.
BOX_SETTINGS = {"threshold": 0.2, "min_area_fraction": 0.01, "boxes": "largest"}

_STEP = 8  # between thresholds, of 255
_WHITENING_REGULARIZER = 50.0
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
    total = np.zeros(channels.shape[:2], np.float32)
    for channel in np.moveaxis(channels, -1, 0):
        for boolean_map in boolean_maps(channel, opening_width=5 if form == "iccv2013" else 1):
            total += attention_map(surrounded_regions(boolean_map))
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

    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.float64)
    pixels -= pixels.mean(axis=0)
    variances, axes = np.linalg.eigh(pixels.T @ pixels / len(pixels) + regularizer * np.eye(3))
    white = pixels @ (axes / np.sqrt(variances)) @ axes.T
    low, high = white.min(axis=0), white.max(axis=0)
    levels = 255.0 * (white - low) / np.where(high - low > 1e-9, high - low, np.inf)
    return cv2.medianBlur(np.rint(levels).astype(np.uint8).reshape(image.shape), 3)


def boolean_maps(channel: np.ndarray, opening_width: int = 1) -> list[np.ndarray]:
    """The channel above every threshold, and the complements.

    Args:
      channel: uint8 (H,W); the thresholds run from its least value to below its greatest.
      opening_width: Removes what is narrower, from the map and from its complement; 1 removes nothing.

    Returns:
      uint8 (H,W) maps in {0, 255}: a map, its complement, the next map, ...; none of a flat channel.
    """
    import cv2

    maps = []
    for threshold in range(int(channel.min()), int(channel.max()), _STEP):
        above = cv2.threshold(channel, threshold, 255, cv2.THRESH_BINARY)[1]
        for boolean_map in (above, cv2.bitwise_not(above)):
            if opening_width > 1:
                iterations = (opening_width - 1) // 2
                boolean_map = cv2.morphologyEx(boolean_map, cv2.MORPH_OPEN, SQUARE, iterations=iterations)
            maps.append(boolean_map)
    return maps


def surrounded_regions(boolean_map: np.ndarray) -> np.ndarray:
    """The 8-connected regions of a uint8 (H,W) map in {0, 255} that do not touch the image border."""
    import cv2

    # A set rim joins all regions at the border, so that one flood fill from its corner erases them together.
    padded = cv2.copyMakeBorder(boolean_map, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=255)
    cv2.floodFill(padded, None, (0, 0), 0, flags=8)
    return padded[1:-1, 1:-1]


def attention_map(regions: np.ndarray, dilation_width: int = 7) -> np.ndarray:
    """Regions, dilated and of Euclidean length 1: small things attract more attention than large ones.

    uint8 (H,W) in {0, 255} -> float32 (H,W) >= 0; all 0 where no region is.
    """
    import cv2

    regions = dilate(regions, dilation_width)
    num_pixels = cv2.countNonZero(regions)
    return cv2.multiply(regions, 1.0 / (255.0 * np.sqrt(max(num_pixels, 1))), dtype=cv2.CV_32F)


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
