"""A review in progress: which images, in which order, what was decided, and the file that holds it."""

import dataclasses
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from care_tf.box_geometry import validate_boxes
from care_tf.boxes.review._decisions import decision_of, reviewed_source
from care_tf.boxes.review._doubt import Doubt
from care_tf.data.manifest import Manifest, write_manifest
from care_tf.errors import InputError
from care_tf.images.header import read_image_header
from care_tf.time_left import seconds_left

DECISIONS = ("accept", "reject")
_BREAK_SECONDS = 120.0  # a longer gap between two decisions was no work on an image
_NUM_TIMED, _MIN_TIMED = 20, 3


@dataclasses.dataclass(frozen=True)
class ReviewProgress:
    """How far a review is: numbers of images, and the seconds left at the present pace (None: not known yet)."""

    total: int
    accepted: int
    corrected: int
    rejected: int
    seconds_left: float | None

    @property
    def reviewed(self) -> int:
        return self.accepted + self.corrected + self.rejected


class ReviewSession:
    """Holds the decisions about a queue of images and writes the whole manifest at every one.

    Safe to use from several threads. Nothing is kept in memory that is not on disk: where writing fails, the decision
    is taken back and the caller gets the error.

    Args:
      manifest: The proposals; never changed.
      queue: Positions in `manifest` with their doubt, in the order to show them; images with a mask cannot be in it.
      output: The CSV file to write.
      decided: Decisions of an earlier sitting, position -> (boxes, box_source).
      clock: Seconds that only go up; for the time left.
    """

    def __init__(
        self,
        manifest: Manifest,
        queue: Sequence[tuple[int, Doubt]],
        output: Path,
        *,
        decided: dict[int, tuple[np.ndarray, str]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.manifest = manifest
        self.queue = tuple(queue)
        self.output = Path(output)
        self.num_masks = sum(mask != "" for mask in manifest.mask_paths)
        self._doubts = dict(self.queue)
        self._boxes, self._sources = list(manifest.boxes), list(manifest.box_sources)
        for number, (boxes, source) in (decided or {}).items():
            self._boxes[number], self._sources[number] = boxes, source
        self._clock = clock
        self._last_decision: float | None = None
        self._seconds: deque[float] = deque(maxlen=_NUM_TIMED)
        self._lock = threading.RLock()
        self._version = file_version(self.output)

    def image_path(self, number: int) -> str:
        """The file of a queued image.

        Raises:
          InputError: The image is not in the queue.
        """
        if number not in self._doubts:
            raise InputError(f"Image {number} is not under review.")
        return self.manifest.image_paths[number]

    def items(self) -> list[dict[str, Any]]:
        """All images in order, ready for JSON; see `item`."""
        with self._lock:
            return [self.item(number) for number, _ in self.queue]

    def progress(self) -> ReviewProgress:
        """The counts of decisions so far, earlier sittings included."""
        with self._lock:
            counts = Counter(decision_of(self._sources[number]) or "undecided" for number in self._doubts)
            left = seconds_left(self._seconds, counts["undecided"]) if len(self._seconds) >= _MIN_TIMED else None
            return ReviewProgress(len(self._doubts), counts["accepted"], counts["corrected"], counts["rejected"], left)

    def decide(self, number: int, decision: str, boxes: Any = ()) -> ReviewProgress:
        """Takes a decision and writes the output.

        Args:
          number: The image's position in the manifest.
          decision: "accept" (the image has these boxes) or "reject" (it has no lesion box).
          boxes: (k,4) numbers x0,y0,x1,y1 in the oriented image's pixels; at least one for "accept", none for "reject".

        Returns:
          The progress after it.

        Raises:
          InputError: The image is not in the queue, the decision is unknown or contradicts the boxes, a box is not
            four finite numbers inside the image, or another program changed the output. Nothing is saved then.
          OSError: The output cannot be written. Nothing is saved then.
        """
        path = self.image_path(number)
        if decision not in DECISIONS:
            raise InputError(f"The decision must be one of {', '.join(DECISIONS)}. Received {decision!r}.")
        header = read_image_header(path)
        checked = validate_boxes(boxes, header.width, header.height, Path(path).name)
        if decision == "reject" and len(checked):
            raise InputError(f"An image that is rejected has no boxes. Received {len(checked)}. Accept it instead.")
        if decision == "accept" and not len(checked):
            raise InputError("An image that is accepted has at least one box. Received none. Reject it instead.")
        source = reviewed_source(self.manifest.box_sources[number], self.manifest.boxes[number], checked)
        with self._lock:
            before = self._boxes[number], self._sources[number]
            self._boxes[number], self._sources[number] = checked, source
            try:
                self._save()
            except BaseException:
                self._boxes[number], self._sources[number] = before
                raise
            self._note_time()
            return self.progress()

    def item(self, number: int) -> dict[str, Any]:
        """One image of the queue: number, name, label, boxes as they stand, proposed boxes, doubt, reason, decision."""
        doubt = self._doubts[number]
        with self._lock:
            return {
                "number": number,
                "name": Path(self.manifest.image_paths[number]).name,
                "label": self.manifest.class_names[self.manifest.labels[number]],
                "boxes": self._boxes[number].tolist(),
                "proposed": self.manifest.boxes[number].tolist(),
                "source": self.manifest.box_sources[number],
                "doubt": doubt.value,
                "reason": doubt.reason,
                "decision": decision_of(self._sources[number]),
            }

    def _note_time(self) -> None:
        now = self._clock()
        if self._last_decision is not None and now - self._last_decision <= _BREAK_SECONDS:
            self._seconds.append(now - self._last_decision)
        self._last_decision = now

    def _save(self) -> None:
        if file_version(self.output) != self._version:
            raise InputError(
                f"{self.output} was changed by another program since this review wrote or read it; "
                "nothing was saved. Stop this review and start it again."
            )
        reviewed = dataclasses.replace(
            self.manifest, boxes=tuple(self._boxes), box_sources=tuple(self._sources), source=str(self.output)
        )
        write_manifest(reviewed, self.output, durable=True)
        self._version = file_version(self.output)


def file_version(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written; None where there is no file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
