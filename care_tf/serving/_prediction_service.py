"""Uploads to what a model says of them, as JSON: one at a time, and without a file being written."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from care_tf.box_geometry import shortest
from care_tf.errors import InputError, clause
from care_tf.evaluation.map_overlay import resized
from care_tf.evaluation.pictures import jpeg_picture
from care_tf.file_in_memory import FileInMemory
from care_tf.serving._heatmap import heatmap
from care_tf.serving._image_files import refuse_large
from care_tf.serving._predictor import BadImage, ImageFile, Prediction, Predictor
from care_tf.serving._reading_warnings import reading_warnings


class PredictionService:
    """What a server answers; it may be called from several threads, and predicts one image at a time.

    Args:
      model: Of `care_tf.serving.load`.
      name: What the page calls it.
    """

    def __init__(self, model: Predictor, name: str):
        self._model, self._name = model, name
        self._one_at_a_time = threading.Lock()  # bounds the memory, and warnings are recorded for the whole process

    def description(self) -> dict[str, Any]:
        """What a client must know of the model."""
        model = self._model
        thresholds = None
        if model.decision is not None:
            thresholds = dict(zip(model.class_names, model.decision.thresholds, strict=True))
        return {
            "name": self._name,
            "class_names": model.class_names,
            "inputs": [{"name": each.name, "categories": each.categories} for each in model.inputs],
            "temperature": None if model.decision is None else model.decision.temperature,
            "thresholds": thresholds,
            "explains_any_class": model.explains_any_class,
        }

    def answer(
        self, file: FileInMemory, cells: Mapping[str, str], class_name: str | None = None, pictures: bool = False
    ) -> dict[str, Any]:
        """What the model says of one image.

        Args:
          file: The upload.
          cells: What the network takes beside the image.
          class_name: Whose attention; None: the predicted class's.
          pictures: Whether to draw the image and the attention, too.

        Raises:
          TooLargeError: By its header, the image has too many pixels.
          InputError: It cannot be read, there is no such class, or cells are missing or wrong.
        """
        lacking = [each.name for each in self._model.inputs if each.name not in cells]
        if lacking:
            raise InputError(
                f"The request must say {', '.join(lacking)} of the image. Received none. Add a field for it."
            )
        with self._one_at_a_time, reading_warnings() as warned:
            refuse_large(file)
            image = ImageFile(file.name, cells, file.contents)
            thumbnail = resized if pictures else None
            ((found,),) = self._model.batches([image], attention=True, class_name=class_name, thumbnail=thumbnail)
            if isinstance(found, BadImage):
                raise InputError(f"{clause(found.reason)}.")
            answer = self._answer(found, class_name)
        return {**answer, "warnings": warned}

    def stop(self) -> None:
        """Waits for the image under way; no other is begun."""
        self._one_at_a_time.acquire()

    def _answer(self, found: Prediction, class_name: str | None) -> dict[str, Any]:
        height, width = found.size
        top = self._model.class_names[int(found.probabilities.argmax())]
        box = [round(each, 1) for each in found.box.tolist()] if found.box is not None and found.box.any() else None
        attention: dict[str, Any] = {"class": class_name or top, "box": box}
        answer = {
            **{"name": found.image.path, "width": width, "height": height, "top_class": top},
            **{"probabilities": self._by_class(found.probabilities), "attention": attention},
        }
        if self._model.decision is not None:
            row = found.probabilities[np.newaxis]
            answer["calibrated"] = self._by_class(self._model.decision.calibrated(row)[0])
            called = np.flatnonzero(self._model.decision.calls(row)[0])
            answer["called"] = [self._model.class_names[index] for index in called]
        if found.thumbnail is not None:
            answer["picture"] = jpeg_picture(found.thumbnail, "").uri
            attention["picture"] = jpeg_picture(heatmap(found, found.thumbnail), "").uri
        return answer

    def _by_class(self, values: Sequence[float] | np.ndarray) -> dict[str, float]:
        return {name: shortest(np.float32(each)) for name, each in zip(self._model.class_names, values, strict=True)}
