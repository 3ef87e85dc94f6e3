"""A small imbalanced set of drawn skin lesions with a misleading cue: demos and tests that need no download."""

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from care_tf.datasets._lesion_drawing import CLASSES, RARE_CLASS, SMALLEST_SIZE_PX, draw_lesion
from care_tf.errors import InputError
from care_tf.extras import require_extra
from care_tf.files import atomic_path

require_extra(__name__, "runs", "cv2")

SPLITS = ("train", "validation", "test")
TRUTH_FILE = "truth.csv"

_JPEG_QUALITY = 92


class LesionImage(NamedTuple):
    """One drawn image with all that is known about it; `box` is half-open (x0, y0, x1, y1) in pixels."""

    image: np.ndarray
    box: tuple[int, int, int, int]
    label: str
    split: str
    group: str
    has_cue: bool


@dataclass(frozen=True)
class SyntheticLesions:
    """An imbalanced lesion data set in which a background cue gives the rare class away, in training only.

    The rare class differs from the largest one by a pale center alone. A blue sticker in a corner goes with it in
    training and never in the other splits, where it goes with the other classes instead. A classifier that looks at
    the sticker learns fast and fails the test; attention held inside the boxes has to find the pale center.

    Args:
      seed: Equal seeds draw equal images.
      size_px: Side of the square images, at least 32 px.
      train_counts: Images per class of `CLASSES` in the split `train`; the others likewise. At least 1 each.
      validation_counts: See `train_counts`.
      test_counts: See `train_counts`.
      pattern_contrast: How pale the rare class's center is, in (0, 1]: 1 is the color of skin.
      cue_rare_train: Probability of the cue in a training image of the rare class.
      cue_other_train: Probability of the cue in any other training image.
      cue_rare_test: As `cue_rare_train`, for validation and test images.
      cue_other_test: As `cue_other_train`, for validation and test images.

    Raises:
      InputError: A count below 1 or not one per class, a size below 32 px, a fraction outside its range.

    Example:
      manifest_path = SyntheticLesions(seed=0).write("lesions")
    """

    seed: int = 0
    size_px: int = 80
    train_counts: tuple[int, ...] = (400, 180, 160, 24)
    validation_counts: tuple[int, ...] = (60, 30, 30, 20)
    test_counts: tuple[int, ...] = (120, 60, 60, 60)
    pattern_contrast: float = 0.45
    cue_rare_train: float = 0.95
    cue_other_train: float = 0.02
    cue_rare_test: float = 0.0
    cue_other_test: float = 0.2

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InputError(f"seed must be 0 or more. Received: {self.seed}.")
        if self.size_px < SMALLEST_SIZE_PX:
            raise InputError(
                f"size_px must be at least {SMALLEST_SIZE_PX} to show the pattern. Received {self.size_px}."
            )
        for split in SPLITS:
            counts = getattr(self, f"{split}_counts")
            if len(counts) != len(CLASSES) or min(counts) < 1:
                raise InputError(
                    f"{split}_counts must be {len(CLASSES)} counts of 1 or more, one for each of "
                    f"{', '.join(CLASSES)}. Received: {counts}."
                )
        if not 0 < self.pattern_contrast <= 1:
            raise InputError(f"pattern_contrast must be in (0, 1]. Received: {self.pattern_contrast}.")
        for name in ("cue_rare_train", "cue_other_train", "cue_rare_test", "cue_other_test"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is a probability, in [0, 1]. Received: {getattr(self, name)}.")

    @property
    def num_images(self) -> int:
        return sum(sum(getattr(self, f"{split}_counts")) for split in SPLITS)

    def images(self) -> Iterator[LesionImage]:
        """Draws every image, split by split and class by class; a lesion (`group`) has one or two images."""
        for split_id, split in enumerate(SPLITS):
            for class_id, (label, count) in enumerate(zip(CLASSES, getattr(self, f"{split}_counts"), strict=True)):
                cue_rate = self._cue_rate(split, label)
                for number in range(count):
                    # Two images of three share a lesion. Each has its own stream, so that a larger count only adds.
                    lesion_id = number - (number % 3 == 1)
                    stream = (self.seed, split_id, class_id)
                    view = np.random.default_rng((*stream, 1, number))
                    has_cue = bool(view.random() < cue_rate)
                    lesion = np.random.default_rng((*stream, 0, lesion_id))
                    image, box = draw_lesion(label, has_cue, self.size_px, self.pattern_contrast, lesion, view)
                    yield LesionImage(image, box, label, split, f"{split}-{label}-{lesion_id}", has_cue)

    def write(self, output: str | os.PathLike, overwrite: bool = False) -> Path:
        """Writes `images/*.jpg`, `manifest.csv` and `truth.csv` into the folder `output`, whole or not at all.

        The manifest has boxes for the rare class in `train` and for every image in the other splits, where they
        serve evaluation only. `truth.csv` has box and cue of every image.

        Args:
          output: A folder that does not exist or is empty.
          overwrite: Also replaces a folder that an earlier call wrote.

        Returns:
          The manifest's path.

        Raises:
          InputError: `output` is a file, or a folder with something in it that `overwrite` does not cover.
        """
        output = Path(output)
        _check_output(output, overwrite)
        with atomic_path(output) as folder:
            (folder / "images").mkdir(parents=True)
            manifest: list[tuple] = [("image", "label", "boxes", "group", "split")]
            truth: list[tuple] = [("image", "label", "split", "has_cue", "boxes")]
            for number, drawn in enumerate(self.images()):
                name = f"images/{drawn.split}_{number:05d}.jpg"
                _write_jpeg(folder / name, drawn.image)
                box = json.dumps([drawn.box])
                shown = box if drawn.split != "train" or drawn.label == RARE_CLASS else ""
                manifest.append((name, drawn.label, shown, drawn.group, drawn.split))
                truth.append((name, drawn.label, drawn.split, int(drawn.has_cue), box))
            _write_csv(folder / "manifest.csv", manifest)
            _write_csv(folder / TRUTH_FILE, truth)
        return output / "manifest.csv"

    def _cue_rate(self, split: str, label: str) -> float:
        if split == "train":
            return self.cue_rare_train if label == RARE_CLASS else self.cue_other_train
        return self.cue_rare_test if label == RARE_CLASS else self.cue_other_test


def _check_output(output: Path, overwrite: bool) -> None:
    if output.exists() and not output.is_dir():
        raise InputError(f"The output must be a folder, and {output} is a file. Give another path.")
    if not output.exists() or not any(output.iterdir()):
        return
    if not overwrite:
        raise InputError(f"The output folder {output} is not empty. Give another one, or use overwrite to replace it.")
    if not (output / TRUTH_FILE).is_file():
        raise InputError(
            f"overwrite replaces only a folder of synthetic lesions, and {output} has no {TRUTH_FILE}. "
            "Give another path."
        )


def _write_jpeg(path: Path, image: np.ndarray) -> None:
    import cv2

    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    path.write_bytes(encoded.tobytes())


def _write_csv(path: Path, rows: list[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
