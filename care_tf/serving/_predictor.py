"""A trained classifier that takes image files: a run, or the SavedModel that was exported from one."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from care_tf.errors import InputError, clause, did_you_mean, reason
from care_tf.file_in_memory import AnyFile, FileInMemory
from care_tf.file_work import results_in_threads
from care_tf.files import files_sha256
from care_tf.images.resize_choice import STRETCH
from care_tf.images.resizing import map_of_image, resize_images
from care_tf.run_files import check_model
from care_tf.serving._attention_box import attention_box
from care_tf.serving._description import ModelDescription, read_description
from care_tf.serving._image_files import read_pixels
from care_tf.serving._signatures import Outputs, ServedClassifier

_BATCH_SIZE = 32


class ImageFile(NamedTuple):
    """An image, and the cells of its row in a manifest: what the network takes beside it.

    Attributes:
      path: The file, or the name of one that is in memory.
      cells: Column -> cell.
      contents: Of a file in memory; None reads `path`.
    """

    path: str
    cells: Mapping[str, str] = {}
    contents: bytes | None = None

    @property
    def file(self) -> AnyFile:
        """What to read."""
        return self.path if self.contents is None else FileInMemory(self.path, self.contents)


class Prediction(NamedTuple):
    """What a model says of one image.

    Attributes:
      image: The file.
      size: Height and width of its image, px.
      probabilities: float32 (C,).
      attention_map: float32 (H,W) in [0, 1] of one class, over the whole image; None where not asked for.
      box: float32 (4,), half-open x0,y0,x1,y1 px of the file's image, around what the map marks; zeros for none.
      thumbnail: What the caller made of the image's pixels.
    """

    image: ImageFile
    size: tuple[int, int]
    probabilities: np.ndarray
    attention_map: np.ndarray | None = None
    box: np.ndarray | None = None
    thumbnail: np.ndarray | None = None


class BadImage(NamedTuple):
    """An image that could not be read, and why."""

    image: ImageFile
    reason: str


class Explanation(NamedTuple):
    """What a model says of images, and where it saw it.

    Attributes:
      probabilities: float32 (N,C).
      attention_maps: float32 (N,H,W) in [0, 1] of the explained classes, each over its whole image, at `image_size`.
      boxes: float32 (N,4), half-open x0,y0,x1,y1 px of the images, around what the maps mark; zeros where nothing is.
    """

    probabilities: np.ndarray
    attention_maps: np.ndarray
    boxes: np.ndarray


class _Read(NamedTuple):
    image: ImageFile
    resized: np.ndarray
    size: tuple[int, int]
    thumbnail: np.ndarray | None


class Predictor:
    """Predicts image files as training and evaluation read them; see `load`.

    Args:
      description: How the model takes images.
      classify: (images float32 (B,H,W,3) RGB 0..255, further inputs as a manifest has them) -> `probabilities`.
      explain: The same -> `attention_map` and `box`, too.
      sha256: Of what the predictions come from.
      explain_class: (Images, further inputs, `class_index` int32 (B,)) -> the same of these classes; None where the
        model was exported without.

    Attributes:
      class_names: In the order of the probabilities.
      image_size: Height and width the classifier works at, px.
      focus_class: The class it was trained for; None where unknown.
      inputs: How further inputs are encoded.
      decision: How its probabilities are calibrated, and from where on a class is called; None where nobody chose.
      explains_any_class: Whether maps of other classes than the predicted ones can be had.
    """

    def __init__(
        self,
        description: ModelDescription,
        classify: Callable[[tf.Tensor, dict[str, tf.Tensor]], Outputs],
        explain: Callable[[tf.Tensor, dict[str, tf.Tensor]], Outputs],
        sha256: str,
        explain_class: Callable[[tf.Tensor, dict[str, tf.Tensor], tf.Tensor], Outputs] | None = None,
    ):
        self.class_names, self.image_size = description.class_names, description.image_size
        self.focus_class, self.inputs = description.focus_class, description.inputs
        self.decision, self.sha256 = description.decision, sha256
        self._max_pixel_value, self._resize = description.max_pixel_value, description.resize
        self._classify, self._explain, self._explain_class = classify, explain, explain_class
        self.explains_any_class = explain_class is not None

    def predict(
        self, paths: Sequence[str | os.PathLike], inputs: Mapping[str, Sequence[Any]] | None = None
    ) -> np.ndarray:
        """The probabilities of images.

        Args:
          paths: N PNG, JPEG, TIFF or DICOM files.
          inputs: What the network takes beside the image: column of the manifest -> N values, "" for missing.

        Returns:
          float32 (N,C), in the order of `class_names`.

        Raises:
          InputError: An image cannot be read, or inputs are missing or have values that training did not have.
        """
        found = self._all(paths, inputs, attention=False)
        return np.array([each.probabilities for each in found], np.float32).reshape(-1, len(self.class_names))

    def explain(
        self,
        paths: Sequence[str | os.PathLike],
        inputs: Mapping[str, Sequence[Any]] | None = None,
        class_name: str | None = None,
    ) -> Explanation:
        """The probabilities of images, and where one class was seen.

        Args:
          paths: As in `predict`.
          inputs: As in `predict`.
          class_name: Whose attention, one of `class_names`; None: of each image's predicted class.

        Returns:
          Float32 arrays: (N,C), (N,H,W) in [0, 1], and (N,4) px.

        Raises:
          InputError: As in `predict`; or there is no such class, or its maps cannot be had.
        """
        found = self._all(paths, inputs, attention=True, class_name=class_name)
        shapes = {"probabilities": (len(self.class_names),), "attention_map": self.image_size, "box": (4,)}
        return Explanation(
            *(
                np.array([getattr(each, name) for each in found], np.float32).reshape(-1, *shape)
                for name, shape in shapes.items()
            )
        )

    def batches(
        self,
        images: Sequence[ImageFile],
        *,
        attention: bool,
        class_name: str | None = None,
        batch_size: int = _BATCH_SIZE,
        thumbnail: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> Iterator[list[Prediction | BadImage]]:
        """Predicts images batch by batch, in order; one batch is read ahead, and no more is kept.

        Args:
          images: The files.
          attention: Whether attention maps and boxes are asked for.
          class_name: Of which class; None: of each image's predicted one.
          batch_size: Images per batch.
          thumbnail: uint8 (h,w,3) RGB -> what is kept of the pixels with the prediction; None keeps nothing.

        Raises:
          InputError: Images lack the cells of an input, there is no such class, or its maps cannot be had.
        """
        self.check_cells(images)
        class_index = None if class_name is None else self._checked_class(class_name)
        for batch in _read_ahead(lambda image: self._read(image, thumbnail), images, batch_size):
            predicted = iter(
                self._predicted([each for each in batch if isinstance(each, _Read)], attention, class_index)
            )
            yield [next(predicted) if isinstance(each, _Read) else each for each in batch]

    def _checked_class(self, class_name: str) -> int:
        if class_name not in self.class_names:
            raise InputError(
                f"The class to explain must be one of {', '.join(self.class_names)}. Received {class_name!r}."
                f"{did_you_mean(class_name, self.class_names)}"
            )
        if not self.explains_any_class:
            raise InputError(
                f"The SavedModel must have the signature explain_class to explain {class_name}. Received one of an "
                "earlier version. Export the run again, or leave the class out."
            )
        return self.class_names.index(class_name)

    def _all(
        self,
        paths: Any,
        inputs: Mapping[str, Sequence[Any]] | None,
        attention: bool,
        class_name: str | None = None,
    ) -> list[Prediction]:
        paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        for name, values in (inputs or {}).items():
            if len(values) != len(paths):
                raise InputError(f"{name} needs one value per image ({len(paths)}). Received {len(values)}.")
        found = []
        for batch in self.batches(
            [
                ImageFile(os.fspath(path), {name: str(values[row]) for name, values in (inputs or {}).items()})
                for row, path in enumerate(paths)
            ],
            attention=attention,
            class_name=class_name,
        ):
            for each in batch:
                if isinstance(each, BadImage):
                    raise InputError(f"{clause(each.reason)}.")
                found.append(each)
        return found

    def check_cells(self, images: Sequence[ImageFile]) -> None:
        """Raises an InputError where images lack the cells of an input."""
        names = [encoding.name for encoding in self.inputs]
        lacking = next((image for image in images if not set(names) <= set(image.cells)), None)
        if lacking is not None:
            raise InputError(
                f"The model takes {', '.join(names)} beside each image. Received {lacking.path} without. Give a CSV "
                f"file with the columns image, {', '.join(names)}, or in Python inputs=."
            )

    def _read(self, image: ImageFile, thumbnail: Callable[[np.ndarray], np.ndarray] | None) -> _Read | BadImage:
        problems = [text for encoding in self.inputs if (text := encoding.problem(image.cells[encoding.name]))]
        if problems:
            return BadImage(image, f"{image.path}: {'; '.join(problems)}.")
        try:
            pixels = read_pixels(image.file, self._max_pixel_value)
            resized = resize_images(tf.constant(pixels), self.image_size, self._resize).numpy()
            shown = None if thumbnail is None else thumbnail(pixels)
        except Exception as error:  # one file in a thousand must not end the work on the others
            return BadImage(image, reason(error))
        return _Read(image, resized, pixels.shape[:2], shown)

    def _predicted(self, batch: Sequence[_Read], attention: bool, class_index: int | None) -> list[Prediction]:
        if not batch:
            return []
        images = tf.constant(np.stack([each.resized for each in batch]))
        cells = {each.name: each.values([read.image.cells[each.name] for read in batch]) for each in self.inputs}
        if attention and self._explain_class is not None and class_index is not None:
            outputs = self._explain_class(images, cells, tf.fill((len(batch),), class_index))
        else:
            outputs = (self._explain if attention else self._classify)(images, cells)
        found = {name: outputs[name].numpy() for name in ("probabilities", "attention_map", "box") if name in outputs}
        predictions = []
        for row, (image, _, size, shown) in enumerate(batch):
            given = {name: values[row] for name, values in found.items()}
            if attention and self._resize != STRETCH:  # of the frame that was sent: the image's own part of it
                maps = tf.constant(given["attention_map"][np.newaxis])
                own = map_of_image(maps, tf.constant(size), self.image_size, self._resize, self.image_size)
                given |= {"attention_map": own[0].numpy(), "box": attention_box(own)[0].numpy()}
            if "box" in given:  # from the classifier's pixels to the image's own
                given["box"] = given["box"] * np.tile(np.divide(size, self.image_size)[::-1], 2).astype(np.float32)
            predictions.append(Prediction(image, size, **given, thumbnail=shown))
        return predictions


def load(path: str | os.PathLike) -> Predictor:
    """Loads a trained classifier to predict image files with.

    Args:
      path: A finished run (`care train`), or a SavedModel of `care export` or `export_saved_model`.

    Returns:
      The model; both kinds of one run give the same probabilities.

    Raises:
      InputError: The path is neither.
    """
    path = Path(path)
    return _from_saved_model(path) if (path / "saved_model.pb").exists() else _from_run(path)


def _from_run(folder: Path) -> Predictor:
    check_model(folder)
    from care_tf.runs import load_run

    run = load_run(folder)
    run.check_needs_no_boxes()
    description = ModelDescription(
        run.class_names,
        run.image_size,
        run.config.data.max_pixel_value,
        run.inputs,
        run.decision,
        run.focus_class,
        run.config.data.resize,
    )
    served = ServedClassifier(run.care_model, run.preprocess, description)

    def call(name: str) -> Any:
        # Looked up at each call: the lambda keeps `served`, which its functions refer to weakly.
        return lambda images, further, *index: getattr(served, name)(images, *index, *([further] if further else []))

    return Predictor(description, call("serve_images"), call("explain"), run.sha256, call("explain_class"))


def _from_saved_model(folder: Path) -> Predictor:
    description = read_description(folder)
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # whatever its readers raise
        raise InputError(f"{folder} cannot be loaded as a SavedModel: {str(error).splitlines()[0]}.") from error
    taken = set(loaded.signatures["explain"].structured_input_signature[1])
    unknown = taken - {"images", *(encoding.name for encoding in description.inputs)}
    if unknown:
        raise InputError(
            f"The SavedModel must say how its further inputs are encoded. Received one that takes {', '.join(unknown)} "
            f"as numbers ({folder}). Export it with inputs=."
        )

    def call(name: str) -> Any:
        return lambda images, further: loaded.signatures[name](images=images, **further)

    def explain_class(images: tf.Tensor, further: dict[str, tf.Tensor], index: tf.Tensor) -> Any:
        return loaded.signatures["explain_class"](images=images, class_index=index, **further)

    contents = [folder / "saved_model.pb", *sorted((folder / "variables").iterdir())]
    any_class = explain_class if "explain_class" in loaded.signatures else None  # earlier exports have none
    return Predictor(description, call("serving_default"), call("explain"), files_sha256(contents), any_class)


def _read_ahead(
    read: Callable[[ImageFile], _Read | BadImage], images: Sequence[ImageFile], batch_size: int
) -> Iterator[list[_Read | BadImage]]:
    """Reads batches in threads; while one is used, the next is being read."""
    with contextlib.closing(results_in_threads(read, images, os.cpu_count() or 1, batch_size)) as results:
        for _ in range(0, len(images), batch_size):
            yield list(itertools.islice(results, batch_size))
