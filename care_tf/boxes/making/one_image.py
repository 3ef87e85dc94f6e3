"""One image from file to boxes: all that a worker process does."""

import contextlib
import dataclasses
import functools
import math
import pickle
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from care_tf.box_geometry import scale_boxes, validate_boxes
from care_tf.boxes._from_map import THRESHOLD_RULES, boxes_from_map, check_box_rules
from care_tf.boxes._map_doubt import box_doubt
from care_tf.errors import InputError, reason
from care_tf.files import atomic_path, file_state
from care_tf.images.pixels import read_image
from care_tf.tensorflow_start import one_image_per_core

Status = Literal["boxes", "no box", "failed"]
MIN_SCALE, MAX_SCALE = 0.7, 1.1


@dataclasses.dataclass(frozen=True)
class BoxSettings:
    """How a map becomes boxes.

    Args:
      threshold: Of the map, in (0, 1); or "otsu" or "adaptive".
      min_area_fraction: Smaller regions are dropped; area / image area, in [0, 1).
      boxes: "one" box around all regions, the "largest" region's, or one for "each".
      max_boxes: With "each": the largest so many regions only; None: all.
      scale: Side of the written box / tight side, 0.7 to 1.1.

    Raises:
      InputError: A value outside its range.
    """

    threshold: float | str = 0.5
    min_area_fraction: float = 0.01
    boxes: Literal["one", "largest", "each"] = "one"
    max_boxes: int | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.threshold, str):
            if self.threshold not in THRESHOLD_RULES:
                raise InputError(
                    f"threshold must be a number in (0, 1) or one of {', '.join(THRESHOLD_RULES)}. "
                    f"Received {self.threshold!r}."
                )
        elif not 0 < self.threshold < 1:
            raise InputError(f"threshold must lie in (0, 1), as the maps do. Received {self.threshold}.")
        if not 0 <= self.min_area_fraction < 1:
            raise InputError(f"min_area_fraction must lie in [0, 1). Received {self.min_area_fraction}.")
        check_box_rules(self.boxes, self.max_boxes)
        if not MIN_SCALE <= self.scale <= MAX_SCALE:
            raise InputError(f"scale must lie between {MIN_SCALE} and {MAX_SCALE}. Received {self.scale}.")


class ImageTask(NamedTuple):
    """One image to do: its row in the manifest, where it lies, whom and what it shows, and where its map goes.

    Attributes:
      map_path: "": nowhere.
      max_pixel_value: The manifest's.
    """

    row: int
    image_path: str
    group: str
    map_path: str
    class_name: str = ""
    max_pixel_value: int | None = None


@dataclasses.dataclass(frozen=True)
class ImageResult:
    """What became of one image.

    Args:
      row: Its row in the manifest.
      status: "boxes", "no box" or "failed".
      boxes: [x0, y0, x1, y1] in the oriented image's pixels.
      doubt: 0 (a clear box) to 1, NaN where the image failed.
      seconds: From opening the file to the boxes.
      message: Why it failed, what is doubtful about how it was read, or "".
      size: Of the file, bytes; -1 where there is none.
      modified_ns: When the file was last written, ns; -1 where there is none.
    """

    row: int
    status: Status
    boxes: list[list[float]] = dataclasses.field(default_factory=list)
    doubt: float = math.nan
    seconds: float = 0.0
    message: str = ""
    size: int = -1
    modified_ns: int = -1


def pack(method: Callable[..., np.ndarray], settings: BoxSettings) -> bytes:
    """What `annotate` needs beside the image, once for a whole run.

    Raises:
      InputError: The method cannot be pickled.
    """
    try:
        return pickle.dumps((method, settings))
    except Exception as error:  # pickle raises what it likes: PicklingError, AttributeError, TypeError
        raise InputError(
            f"The method {getattr(method, 'name', method)} must be picklable, since worker processes get a copy: "
            f"{error}; define it at the top of a module and load models when it is first called."
        ) from error


def annotate(packed: bytes, task: ImageTask) -> ImageResult:
    """Reads an image, asks the method for a map and makes boxes of it; never raises.

    A process unpacks what `pack` returned once, so a model that the method loads stays loaded. Whatever goes wrong is
    the reason of the status "failed".
    """
    start = time.perf_counter()
    size, modified_ns = file_state(task.image_path)
    try:
        method, settings = _unpack(packed)
        with _one_thread():
            image, message = _image_and_warning(task)
            boxes, doubt = _boxes_and_doubt(method, settings, task, image)
        status: Status = "boxes" if boxes else "no box"
    except Exception as error:
        boxes, doubt, status = [], math.nan, "failed"
        message = reason(error)
    seconds = time.perf_counter() - start
    return ImageResult(task.row, status, boxes, doubt, seconds, message, size, modified_ns)


def annotate_in_worker(packed: bytes, task: ImageTask) -> ImageResult:
    """`annotate` in a process of its own, where TensorFlow has not started yet."""
    one_image_per_core()
    return annotate(packed, task)


def _image_and_warning(task: ImageTask) -> tuple[np.ndarray, str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = read_image(task.image_path, task.max_pixel_value)
    return image, "; ".join(str(warning.message) for warning in caught)


def _boxes_and_doubt(
    method: Any, settings: BoxSettings, task: ImageTask, image: np.ndarray
) -> tuple[list[list[float]], float]:
    height, width = image.shape[:2]
    saliency = _checked_map(method(image, task.image_path, task.group, task.class_name), height, width)
    found = boxes_from_map(
        saliency,
        settings.threshold,
        settings.min_area_fraction,
        boxes=settings.boxes,
        max_boxes=settings.max_boxes,
    )
    if task.map_path:
        _save_map(saliency, task.map_path)
    boxes = validate_boxes(scale_boxes(found, settings.scale, width, height), width, height, Path(task.image_path).name)
    return boxes.tolist(), float(box_doubt(saliency, found))


def _checked_map(saliency: Any, height: int, width: int) -> np.ndarray:
    saliency = np.asarray(saliency, np.float32)
    if saliency.shape != (height, width):
        raise InputError(
            f"The method must return a map of the image's size {height, width}. Received {saliency.shape}."
        )
    if not (np.isfinite(saliency).all() and saliency.min() >= 0 and saliency.max() <= 1):
        raise InputError(f"The method's map must lie in [0, 1]. Received {saliency.min():g} to {saliency.max():g}.")
    return saliency


def _save_map(saliency: np.ndarray, path: str) -> None:
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(np.round(saliency * 255).astype(np.uint8)).save(temporary)


@functools.lru_cache(maxsize=1)
def _unpack(packed: bytes) -> tuple[Any, BoxSettings]:
    return pickle.loads(packed)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread per image: the cores are shared out among images, and sums come out the same everywhere.

    TensorFlow's threads cannot be changed once it has started; `annotate_in_worker` takes care of them.
    """
    import cv2
    import threadpoolctl

    num_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpoolctl.threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(num_threads)
