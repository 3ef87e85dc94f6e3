"""Masks for a data set of one's own: added to its images in their order."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from care_tf.data._mask_source import mask_loader
from care_tf.data._shown_frames import check_frames
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.file_work import for_each_file
from care_tf.images.header import ImageHeader, read_image_header
from care_tf.images.outside_choice import KEEP
from care_tf.images.resize_choice import STRETCH
from care_tf.network_input import image_of
from care_tf.problems import raise_problems

_NUM_PROBED = 16  # images, by which it is told whether a data set has an order


def with_masks(
    dataset: tf.data.Dataset,
    boxes: Manifest | Sequence[npt.ArrayLike],
    file_paths: Sequence[str | os.PathLike] | None = None,
    *,
    resize: str = STRETCH,
) -> tf.data.Dataset:
    """A data set of images and labels with a mask for every image, as `CAREModel` takes it.

    The data set gives all its images in the same order every time: shuffle, repeat and augment it afterwards (images
    and masks together: `augment_batch`). Its first images are read twice to make sure of that.

    Args:
      dataset: Elements or batches `(x, y)` or `(x, y, sample_weight)`; x is (H,W,C) or (B,H,W,C), or a dict with it as
        "image"; H and W known.
      boxes: (k,4) half-open boxes x0,y0,x1,y1 for every image, in the data set's order and in the pixels of its images;
        or a manifest that lists all images, with boxes in the pixels of the files, or masks.
      file_paths: The images' files, in the data set's order, for a manifest to know them by. None takes
        `dataset.file_paths`, which `keras.utils.image_dataset_from_directory` sets.
      resize: How the data set brought the files to their size: "stretch", or "pad" to the middle. What was cropped has
        no place for its boxes.

    Returns:
      The data set with `{"image", "mask"}` (and the other keys of a dict) in place of x; masks float32 (..., H,W,1) in
      {0, 1}. `class_names` stays.

    Raises:
      InputError: The data set has another form, no order, or another number of images than there are boxes; the
        manifest does not list a file; a file is turned by EXIF, which Keras ignores; or the images do not show what
        `resize` says.

    Example:
      folders = manifest_from_folders("images", boxes="coco.json")
      images = keras.utils.image_dataset_from_directory("images", image_size=(224, 224), batch_size=None, shuffle=False)
      dataset = with_masks(images, folders).shuffle(10_000).batch(32)
    """
    image_size, is_batched = _image_form(dataset)
    if isinstance(boxes, Manifest):
        paths = _absolute(dataset, file_paths)
        headers = for_each_file(read_image_header, paths, where="The data set")
        if file_paths is None:
            _refuse_turned(paths, headers)
        # The data set's images are whole, whatever the manifest's own would be.
        manifest = dataclasses.replace(_of_paths(boxes, paths), resize=resize, outside_boxes=KEEP)
        sizes = [(header.height, header.width) for header in headers]
    else:
        manifest, sizes = _of_boxes(boxes, resize), [image_size] * len(boxes)
    _check_length(dataset, len(manifest), is_batched)
    shown = _first_images(dataset, is_batched)
    if isinstance(boxes, Manifest):
        check_frames(shown, manifest.image_paths[: len(shown)], resize)
    return _added(dataset, manifest, tf.constant(sizes, tf.int32), image_size, is_batched)


def _added(
    dataset: tf.data.Dataset, manifest: Manifest, sizes: tf.Tensor, image_size: tuple[int, int], is_batched: bool
) -> tf.data.Dataset:
    load = mask_loader(manifest, image_size)

    def number(first: tf.Tensor, element: tuple) -> tuple:
        count = tf.shape(image_of(element[0]))[0] if is_batched else 1
        last = first + count
        text = f"with_masks has boxes of {len(manifest)} images, and the data set has more"
        with tf.control_dependencies([tf.debugging.Assert(last <= len(manifest), [text])]):
            return tf.identity(last), (first, count, *element)

    def add(first: tf.Tensor, count: tf.Tensor, x: Any, *others: Any) -> tuple:
        if is_batched:
            spec = tf.TensorSpec((*image_size, 1), tf.float32)
            mask = tf.map_fn(lambda i: load(i, sizes[i]), first + tf.range(count), fn_output_signature=spec)
        else:
            mask = load(first, sizes[first])
        return ({**(x if isinstance(x, dict) else {"image": x}), "mask": mask}, *others)

    masked = dataset.scan(tf.constant(0), number).map(add, tf.data.AUTOTUNE, deterministic=True)
    masked = masked.prefetch(tf.data.AUTOTUNE)
    if hasattr(dataset, "class_names"):
        masked.class_names = dataset.class_names
    return masked


def _image_form(dataset: tf.data.Dataset) -> tuple[tuple[int, int], bool]:
    """Height and width of the images, and whether they come in batches."""
    spec = dataset.element_spec
    is_pair = isinstance(spec, tuple) and len(spec) in (2, 3)
    image = image_of(spec[0]) if is_pair and (not isinstance(spec[0], dict) or "image" in spec[0]) else None
    shape = getattr(image, "shape", tf.TensorShape(None))
    if shape.rank not in (3, 4) or None in shape[-3:-1]:
        raise InputError(
            "A data set needs elements (x, y), x an image (height, width, channels) of known size, a batch of them, or "
            f'a dict with them as "image". Received {spec}. Resize the images first; labels must be there.'
        )
    return tuple(shape[-3:-1]), shape.rank == 4


def _absolute(dataset: tf.data.Dataset, file_paths: Sequence[str | os.PathLike] | None) -> list[str]:
    paths = getattr(dataset, "file_paths", None) if file_paths is None else file_paths
    if paths is None:
        raise InputError(
            "A manifest knows images by their files. Received a data set without file_paths, which a transformation "
            "drops. Give file_paths in its order, or boxes in its order instead of the manifest."
        )
    return [os.path.abspath(path) for path in paths]


def _refuse_turned(paths: Sequence[str], headers: Sequence[ImageHeader]) -> None:
    turned = [path for path, header in zip(paths, headers, strict=True) if header.orientation != 1]
    text = "is turned by EXIF, which Keras ignores and boxes do not; write it upright, or use training_dataset"
    raise_problems("The data set", [f"{path} {text}" for path in turned])


def _of_paths(manifest: Manifest, paths: Sequence[str]) -> Manifest:
    """The files with the manifest's boxes and masks."""
    row_of = {os.path.abspath(path): row for row, path in enumerate(manifest.image_paths)}
    missing = [path for path in paths if path not in row_of]
    if missing:
        there = f"lists {manifest.image_paths[0]}, ..." if len(manifest) else "lists none"
        raise InputError(
            "A manifest must list all files of the data set, with or without boxes. Received "
            f"{len(missing)} of {len(paths)} that are not in {manifest.source}, such as {missing[0]}; it {there}."
        )
    return manifest.subset([row_of[path] for path in paths])


def _of_boxes(boxes: Sequence[npt.ArrayLike], resize: str) -> Manifest:
    if resize != STRETCH:
        raise InputError(
            "resize is about the files of a manifest; boxes are in the pixels of the images. Received "
            f"resize={resize!r} with boxes. Leave it out."
        )
    arrays = tuple(np.asarray(each, np.float32).reshape(-1, 4) if np.size(each) else np.zeros((0, 4)) for each in boxes)
    names = tuple(f"number {row}" for row in range(len(arrays)))
    return Manifest(names, np.zeros(len(arrays), np.int32), ("",), arrays, source="The data set")


def _check_length(dataset: tf.data.Dataset, num_images: int, is_batched: bool) -> None:
    length = int(dataset.cardinality())
    fits = length <= num_images if is_batched else length == num_images
    if length == tf.data.INFINITE_CARDINALITY or (length >= 0 and not fits):
        received = "an endless data set" if length < 0 else f"{length} {'batches' if is_batched else 'images'}"
        raise InputError(
            f"A data set must have one image for each of the boxes given ({num_images}). Received {received}. Repeat "
            "and filter it afterwards."
        )


def _first_images(dataset: tf.data.Dataset, is_batched: bool) -> np.ndarray:
    """float32 (k,H,W,C); refuses a data set that gives others the next time."""

    def read() -> np.ndarray:
        parts = [np.asarray(image_of(element[0])) for element in dataset.take(1 if is_batched else _NUM_PROBED)]
        return np.concatenate(parts) if is_batched and parts else np.asarray(parts)

    first, second = read(), read()
    if first.shape != second.shape or not np.array_equal(first, second):
        raise InputError(
            "A data set must give the same images in the same order every time, for masks are added in that order. "
            "Received one that is shuffled or augmented. Do that after with_masks; image_dataset_from_directory has "
            "shuffle=False."
        )
    return first.astype(np.float32)
