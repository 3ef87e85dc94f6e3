"""Where the pipeline gets an image from: its file or shard, or decoded images kept in memory or in a file on disk."""

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from care_tf.data._file_contents import contents_reader
from care_tf.data._mask_source import mask_loader, region_loader
from care_tf.data.manifest import Manifest
from care_tf.disk_array import load_array, reserved_array
from care_tf.errors import InputError
from care_tf.files import atomic_path
from care_tf.images.decoding import decode_image_named, warn_of_dark_images
from care_tf.images.outside_boxes import paint_outside
from care_tf.images.outside_choice import CROP, KEEP, PAINT
from care_tf.images.resize_choice import STRETCH
from care_tf.shard_place import stored_in

ImageLoader: TypeAlias = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
Cache: TypeAlias = str | os.PathLike | ImageLoader | None


def image_loader(manifest: Manifest, image_size: tuple[int, int], cache: Cache) -> ImageLoader:
    """Builds the function that loads one image by its index, filling the cache first if there is to be one.

    Args:
      manifest: The images.
      image_size: Height and width to resize to, px; the manifest's `resize` says how, and its `outside_boxes` what is
        left of the image. What a cache keeps is the result.
      cache: None decodes the file every time; "memory" keeps the decoded images (n * H * W * 3 bytes); a folder
        keeps them there in one file, for this and later runs, under a key of the manifest's and the files' state; a
        loader made before, for the same images and size, passes through, so that datasets share what it holds.

    Returns:
      int64 scalar -> (float32 (H,W,3) RGB 0..255, int32 (2,) height and width of the file's image); the same
      numbers from all three.

    Raises:
      InputError: `cache` names a file.
    """
    if callable(cache):
        return cache
    if manifest.max_pixel_value is None:
        warn_of_dark_images(manifest.image_paths)
    if cache is None:
        return _from_files(manifest, image_size)
    if cache == "memory":
        images = np.empty((len(manifest), *image_size, 3), np.uint8)
        return _from_memory(images, _fill(images, manifest, image_size))
    return _from_folder(manifest, image_size, Path(cache))


def _from_files(manifest: Manifest, image_size: tuple[int, int]) -> ImageLoader:
    paths = tf.constant(manifest.image_paths)
    read = contents_reader(manifest.image_paths, "image")
    how = tuple(image_size), manifest.max_pixel_value, manifest.resize
    decode = _file_decoder(*how)
    region_of = region_loader(manifest) if manifest.outside_boxes == CROP else None
    load_mask = mask_loader(manifest, image_size) if manifest.outside_boxes == PAINT else None

    @tf.autograph.experimental.do_not_convert
    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        path = paths[index]
        contents = read(index, path)
        if region_of is not None:
            return decode_image_named(contents, path, *how, functools.partial(region_of, index))
        image, original_size = decode(contents, path)
        if load_mask is not None:
            image = paint_outside(image, load_mask(index, original_size))
        return image, original_size

    return load


@functools.cache  # traced once for all data sets of a process
def _file_decoder(
    image_size: tuple[int, int], max_pixel_value: int | None, resize: str
) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """(contents, path) -> as `decode_image_named`."""

    def decode(contents: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return decode_image_named(contents, path, image_size, max_pixel_value, resize)

    return tf.function(decode, input_signature=[tf.TensorSpec((), tf.string)] * 2, autograph=False)


def _from_memory(images: np.ndarray, sizes: np.ndarray) -> ImageLoader:
    image_tensor, size_tensor = tf.constant(images), tf.constant(sizes)
    return lambda index: (tf.cast(image_tensor[index], tf.float32), size_tensor[index])


def _from_folder(manifest: Manifest, image_size: tuple[int, int], cache: Path) -> ImageLoader:
    if cache.exists() and not cache.is_dir():
        raise InputError(f'cache must be "memory" or a folder. Received {cache}, which is a file.')
    folder = cache / f"images-{images_key(manifest, image_size)}"
    if not folder.exists():
        with atomic_path(folder, durable=True) as temporary:  # a later run takes it for whole
            temporary.mkdir(parents=True)
            shape = (len(manifest), *image_size, 3)
            images = reserved_array(temporary / "images.npy", shape, np.uint8)
            np.save(temporary / "sizes.npy", _fill(images, manifest, image_size))
            images.flush()
    stored = load_array(folder / "images.npy", mmap_mode="r")
    sizes = tf.constant(load_array(folder / "sizes.npy"))

    def load(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.numpy_function(lambda i: stored[i], [index], tf.uint8, stateful=False)
        return tf.cast(tf.ensure_shape(image, (*image_size, 3)), tf.float32), sizes[index]

    return load


def _fill(images: np.ndarray, manifest: Manifest, image_size: tuple[int, int]) -> np.ndarray:
    """Decodes all images into `images`; returns their original sizes, int32 (n,2)."""
    from tqdm import tqdm

    sizes = np.empty((len(manifest), 2), np.int32)
    decoded = tf.data.Dataset.range(len(manifest)).map(_from_files(manifest, image_size), tf.data.AUTOTUNE)
    progress = tqdm(decoded.prefetch(tf.data.AUTOTUNE).as_numpy_iterator(), "caching", len(manifest), unit="image")
    for i, (image, size) in enumerate(progress):
        images[i], sizes[i] = image, size
    return sizes


def images_key(manifest: Manifest, image_size: tuple[int, int]) -> str:
    """16 characters that change with the images' order, size, modification time and reading, not with labels.

    Nor do they with boxes, where these change no image.
    """
    asked = () if manifest.max_pixel_value is None else (manifest.max_pixel_value,)
    asked = asked if manifest.resize == STRETCH else (*asked, manifest.resize)
    digest = hashlib.sha256(repr((*image_size, *asked, *change_key(manifest))).encode())
    for path in manifest.image_paths:
        digest.update(_state_of(path))
    return digest.hexdigest()[:16]


def change_key(manifest: Manifest) -> tuple[str, ...]:
    """What the images owe to their boxes and masks: changes where an image does; () where they are kept whole."""
    if manifest.outside_boxes == KEEP:
        return ()
    boxes = manifest.flat_boxes
    digest = hashlib.sha256(boxes.flat.tobytes() + boxes.starts.tobytes())
    for path in manifest.mask_paths:
        digest.update(_state_of(path) if path else b"\n")
    return manifest.outside_boxes, digest.hexdigest()


def _state_of(path: str) -> bytes:
    status = os.stat(stored_in(path))
    return f"{path} {status.st_size} {status.st_mtime_ns}\n".encode()
