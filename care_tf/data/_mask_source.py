"""Where the pipeline gets a mask from: an image's boxes, or its mask file; and the part of an image that they mark."""

from collections.abc import Callable

import tensorflow as tf

from care_tf.data._file_contents import contents_reader
from care_tf.data.manifest import Manifest
from care_tf.images.decoding import decode_mask_at, decode_mask_named, resized_mask
from care_tf.images.outside_boxes import cropped, region_of_boxes, region_of_mask, size_of_region
from care_tf.images.outside_choice import CROP
from care_tf.images.rasterizing import rasterize_boxes
from care_tf.images.resize_choice import STRETCH
from care_tf.images.resizing import placement

SizedLoader = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def mask_loader(manifest: Manifest, image_size: tuple[int, int]) -> SizedLoader:
    """(index, original size) -> mask float32 (H,W,1): from the boxes, or from the mask file where there is one.

    Where the manifest's images are cropped, it is the mask of the part that is left.
    """
    boxes_of = _box_reader(manifest)

    def from_boxes(index: tf.Tensor, original_size: tf.Tensor) -> tf.Tensor:
        boxes = boxes_of(index)
        if manifest.outside_boxes == CROP:
            region = region_of_boxes(boxes, original_size)
            boxes -= tf.cast(tf.tile(region[:2], [2]), tf.float32)
            original_size = size_of_region(region)
        place = placement(original_size, image_size, manifest.resize)
        scale_xy = tf.cast(place.size[::-1], tf.float32) / tf.cast(original_size[::-1], tf.float32)
        offset_xy = None if manifest.resize == STRETCH else tf.cast((place.left, place.top), tf.float32)
        return rasterize_boxes(boxes, scale_xy, *image_size, offset_xy)

    def from_file(contents: tf.Tensor, path: tf.Tensor, original_size: tf.Tensor) -> tf.Tensor:
        if manifest.outside_boxes == CROP:
            mask = decode_mask_at(contents, path, original_size)
            part = cropped(mask, region_of_mask(mask))
            place = placement(tf.shape(part)[:2], image_size, manifest.resize)
            return resized_mask(part, image_size, place)
        place = placement(original_size, image_size, manifest.resize)
        return decode_mask_named(contents, path, image_size, place)

    return _from_boxes_or_file(manifest, from_boxes, from_file)


def region_loader(manifest: Manifest) -> SizedLoader:
    """(index, original size) -> the part of the image that its boxes or its mask mark, as of `region_of_boxes`."""
    boxes_of = _box_reader(manifest)
    return _from_boxes_or_file(
        manifest,
        lambda index, original_size: region_of_boxes(boxes_of(index), original_size),
        lambda contents, path, original_size: region_of_mask(decode_mask_at(contents, path, original_size)),
    )


def _box_reader(manifest: Manifest) -> Callable[[tf.Tensor], tf.Tensor]:
    boxes, starts = tf.constant(manifest.flat_boxes.flat), tf.constant(manifest.flat_boxes.starts)
    return lambda index: boxes[starts[index] : starts[index + 1]]


def _from_boxes_or_file(
    manifest: Manifest, from_boxes: SizedLoader, from_file: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
) -> SizedLoader:
    """(index, original size) -> what one of the two gives."""
    has_mask_files = any(manifest.mask_paths)
    mask_paths = tf.constant(manifest.mask_paths if has_mask_files else ())
    read = contents_reader(manifest.mask_paths, "mask")

    @tf.autograph.experimental.do_not_convert
    def load(index: tf.Tensor, original_size: tf.Tensor) -> tf.Tensor:
        if not has_mask_files:
            return from_boxes(index, original_size)
        path = mask_paths[index]
        return tf.cond(
            tf.equal(path, ""),
            lambda: from_boxes(index, original_size),
            lambda: from_file(read(index, path), path, original_size),
        )

    return load
