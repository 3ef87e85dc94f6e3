"""Superpixels at several scales and what describes them: color, position, and whether they lie at the border."""

import numpy as np

# (count, compactness) of the eight segmentations.
SCALES = ((50, 10.0), (100, 10.0), (150, 20.0), (200, 20.0), (250, 25.0), (300, 25.0), (350, 30.0), (400, 30.0))
NUM_FEATURES = 8
MIN_LAB_RANGE = 1.0  # nobody sees less, and rounding to 8 bits makes as much


def lab_image(image: np.ndarray) -> np.ndarray:
    """CIE Lab of a uint8 (H,W,3) RGB image: float32 (H,W,3), L in [0, 100], a and b about [-100, 100]."""
    import cv2

    return cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)


def superpixel_labels(
    lab: np.ndarray, field: np.ndarray, count: int, compactness: float, num_iterations: int = 10
) -> np.ndarray:
    """One SLIC segmentation.

    Args:
      lab: float32 (H,W,3), see `lab_image`.
      field: bool (H,W), the pixels that count; at least one.
      count: Superpixels wanted in the whole image; at least one, at most one per pixel is made.
      compactness: SLIC's m in Lab units, > 0; larger means squarer.
      num_iterations: Rounds of SLIC.

    Returns:
      int32 (H,W): 0 .. n-1 in the field, every number in use; -1 outside.

    Source: Li et al. 2013, Sec. 3.1; Achanta et al. 2012. scikit-image's `slic` rescales the values to [0, 1], which
      would tie the compactness to the image's contrast: it is divided by the same range. The field is cut out of the
      finished superpixels; seeds inside the field (`slic(mask=...)`) take four times as long.
    """
    from skimage.segmentation import slic

    low, high = float(lab.min()), float(lab.max())
    segments = slic(
        lab,
        n_segments=max(min(count, field.size), 1),
        compactness=compactness / max(high - low, MIN_LAB_RANGE),
        max_num_iter=num_iterations,
        convert2lab=False,
        start_label=0,
        channel_axis=-1,
    )
    in_use = np.bincount(segments[field], minlength=int(segments.max()) + 1) > 0
    return np.where(field, (np.cumsum(in_use) - 1)[segments], -1).astype(np.int32)


def pixel_features(image: np.ndarray, lab: np.ndarray, field: np.ndarray) -> np.ndarray:
    """What describes a pixel: R, G, B, L, a, b, x, y; float32 (H,W,8), in [0, 1] on the bool (H,W) field.

    RGB / 255; (Lab - min) / (max - min) of each channel over the field; x / W; y / H.

    Source: Li et al. 2013, Sec. 3.1. Ours: a Lab channel that varies by less than one unit is 0, so that a gray image
      has no colors made of rounding.
    """
    height, width = field.shape
    features = np.empty((height, width, NUM_FEATURES), np.float32)
    features[..., :3] = image / np.float32(255.0)
    for channel in range(3):
        values = lab[..., channel]
        low, high = float(values[field].min()), float(values[field].max())
        features[..., 3 + channel] = (values - low) / (high - low) if high - low >= MIN_LAB_RANGE else 0.0
    features[..., 6] = np.arange(width, dtype=np.float32) / width
    features[..., 7] = (np.arange(height, dtype=np.float32) / height)[:, np.newaxis]
    return features


def superpixel_features(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The mean feature of every superpixel: float (H,W,d), int (H,W) labels (-1: does not count) -> float64 (n,d)."""
    flat = labels.ravel() + 1
    counts = np.bincount(flat)[1:]
    columns = features.reshape(-1, features.shape[-1]).T
    return np.stack([np.bincount(flat, weights=column)[1:] / counts for column in columns], axis=1)


def touches_edge(labels: np.ndarray) -> np.ndarray:
    """Which superpixels lie at the edge of the visible field: the background templates.

    Args:
      labels: int (H,W), 0 .. n-1; -1 outside the field.

    Returns:
      bool (n,), True with a pixel on the image's outermost ring or beside (8-neighbors) a pixel outside the field.
    """
    import cv2

    field = (labels >= 0).astype(np.uint8)
    inner = cv2.erode(field, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    at_edge = labels[(field == 1) & (inner == 0)]
    return np.bincount(at_edge, minlength=int(labels.max()) + 1) > 0
