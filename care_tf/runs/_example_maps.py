"""Attention maps of a run on a few of its images."""

import dataclasses
import os
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from care_tf.box_geometry import union_mask
from care_tf.data import Manifest, encoded_inputs, evaluation_dataset, read_manifest
from care_tf.errors import InputError
from care_tf.evaluation.map_overlay import resized
from care_tf.images.outside_boxes import cropped, region_of_boxes, region_of_mask
from care_tf.images.outside_choice import CROP
from care_tf.images.pixels import read_image, read_mask
from care_tf.images.resizing import map_of_image
from care_tf.keras_generation import set_weights
from care_tf.metrics import attention_inside_share
from care_tf.runs import _folder as run_folder
from care_tf.runs._folder import LoadedRun
from care_tf.runs._progress import load_checkpoint
from care_tf.runs._training_rows import select_rows
from care_tf.runs.config import Selection

_NUM_EXAMPLES = 8


def selected_rows(
    run: LoadedRun,
    part: Literal["validation", "test"],
    manifest: str | os.PathLike | None,
    split: str | None,
    folds: Sequence[str] | None,
    inputs: Sequence[str],
) -> Manifest:
    """The rows that a run is looked at on: a split and folds of a manifest; a part of its own data where none is named.

    They have the further columns `inputs`.
    """
    source = run.config.data.manifest if manifest is None else manifest
    rows = read_manifest(source, class_names=run.class_names, inputs=inputs, **run.config.data.reading)
    if split is None and folds is None:
        selection = getattr(run.config.data, part)
        if selection is None:
            raise InputError(
                f"{run.folder} must have data.{part}, or be given rows. Received neither. Name a split or folds that "
                "it was not trained on."
            )
        return select_rows(rows, selection, f"data.{part}")
    return select_rows(rows, Selection(split=split, folds=None if folds is None else tuple(folds)), "--split/--folds")


def example_maps(run: LoadedRun, rows: Manifest, rarest: str) -> list[dict[str, Any]]:
    """Images, those with boxes and the rarest class first, as `write_report` takes them.

    They have the true class's attention before and after the attention stage, and the predicted class's.
    """
    chosen = first_examples(rows, [rarest], _NUM_EXAMPLES)
    examples = drawn_examples(run, chosen)
    earlier = run_folder.weights_before_attention(run)
    if earlier is not None:
        weights = run.care_model.classifier.get_weights()
        load_checkpoint(run.care_model.classifier, earlier)
        for example, before in zip(examples, drawn_examples(run, chosen), strict=True):
            for key in ("attention", "inside", "predicted"):
                example[f"{key}_before"] = before[f"{key}_after"]
        set_weights(run.care_model.classifier, weights)
    return examples


def drawn_examples(run: LoadedRun, rows: Manifest, probabilities: np.ndarray | None = None) -> list[dict[str, Any]]:
    """Images as they are, not as the network sees them, with the true and the predicted class's attention.

    Args:
      run: The run.
      rows: The images.
      probabilities: (n, C), what the run said of them before, where that is known: a near tie may fall the other way
        in a batch of another size.

    Returns:
      What `example_card` and `gallery_card` take: "..._after" is what the run does now.
    """
    batch = run.config.training.batch_size
    examples = []
    for start in range(0, len(rows), batch):
        part = rows.subset(range(start, min(start + batch, len(rows))))
        examples += _drawn_batch(run, part, None if probabilities is None else probabilities[start : start + batch])
    return examples


def _drawn_batch(run: LoadedRun, rows: Manifest, probabilities: np.ndarray | None) -> list[dict[str, Any]]:
    images, masks, labels = read_images(run, rows)
    prepared = prepared_inputs(run, rows, images)
    model = run.care_model
    if probabilities is None:
        probabilities = model.class_probabilities(model(prepared, training=False)).numpy()
    predicted = probabilities.argmax(axis=1)
    maps = {"after": model.attention_map(prepared, labels), "predicted": model.attention_map(prepared, predicted)}
    inside = {which: attention_inside_share(of_class, masks).numpy() for which, of_class in maps.items()}
    examples = []
    for index, (label, guess) in enumerate(zip(labels, predicted, strict=True)):
        image, mask, to_image = _shown(run, rows, index)
        examples.append(
            {
                "name": os.path.basename(rows.image_paths[index]),
                "image": image,
                "mask": mask,
                "label": run.class_names[label],
                "predicted_after": run.class_names[guess],
                "probability_true": probabilities[index, label],
                "probability_predicted": probabilities[index, guess],
                **{f"attention_{which}": to_image(of_class[index]) for which, of_class in maps.items()},
                **{f"inside_{which}": shares[index] for which, shares in inside.items()},
            }
        )
    return examples


def _shown(
    run: LoadedRun, rows: Manifest, index: int
) -> tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """An image in its own proportions, where its boxes are, and what lays the network's maps over it.

    Of an image that the run crops, it is the part that is left.
    """
    from PIL import Image

    pixels = read_image(rows.image_paths[index], run.config.data.max_pixel_value)
    boxes = np.asarray(rows.boxes[index], np.float32).reshape(-1, 4)
    drawn = read_mask(rows.mask_paths[index]) if rows.mask_paths[index] else None
    if run.config.data.test_reading["outside_boxes"] == CROP:
        pixels, boxes, drawn = _cropped(pixels, boxes, drawn)
    image = resized(pixels)
    size, original = image.shape[:2], tf.constant(pixels.shape[:2])
    if drawn is not None:
        mask = np.asarray(Image.fromarray(drawn).resize(size[::-1], Image.Resampling.NEAREST))
    else:
        mask = union_mask(boxes * (np.array(size * 2)[::-1] / np.array(pixels.shape[:2] * 2)[::-1]), *size)
        mask = mask if len(boxes) else np.zeros(size, bool)

    def to_image(attention: np.ndarray) -> np.ndarray:
        maps = tf.constant(attention[np.newaxis])
        return map_of_image(maps, original, run.image_size, run.config.data.resize, size)[0].numpy()

    return image, mask, to_image


def _cropped(
    pixels: np.ndarray, boxes: np.ndarray, drawn: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """What the pipeline leaves of an image, its boxes, and its mask."""
    from PIL import Image

    size = pixels.shape[:2]
    if drawn is None:
        region = region_of_boxes(tf.constant(boxes), tf.constant(size))
    else:
        drawn = np.asarray(Image.fromarray(drawn).resize(size[::-1], Image.Resampling.NEAREST))
        region = region_of_mask(tf.constant(drawn[..., np.newaxis] > 0, tf.int32))
        drawn = cropped(drawn, region.numpy())
    region = region.numpy()
    return cropped(pixels, region), boxes - np.tile(region[:2], 2).astype(np.float32), drawn


def first_examples(rows: Manifest, class_names: Collection[str], most: int) -> Manifest:
    """The rows to look at first: those with boxes, of some classes before the others, by the names of their images."""
    has_boxes = rows.has_boxes
    order = sorted(
        range(len(rows)),
        key=lambda i: (not has_boxes[i], rows.class_names[rows.labels[i]] not in class_names, rows.image_paths[i]),
    )
    return rows.subset(order[:most])


def read_images(run: LoadedRun, rows: Manifest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All images of the rows at the run's size, RGB 0..255 (n,H,W,3), their masks (n,H,W), and labels (n,)."""
    rows = dataclasses.replace(rows, **run.config.data.test_reading)
    inputs, labels = next(iter(evaluation_dataset(rows, run.image_size, len(rows), masks=True)))
    return inputs["image"].numpy(), inputs["mask"].numpy()[..., 0], labels.numpy()


def prepared_inputs(run: LoadedRun, rows: Manifest, images: np.ndarray) -> Any:
    """What the run's network takes of some rows: their images, preprocessed, and further inputs, encoded."""
    further = encoded_inputs(rows, run.inputs)
    image = run.preprocess(tf.constant(images)).numpy()
    return {"image": image, **further} if further else image


def maps_and_classes(run: LoadedRun, prepared: Any, labels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The true classes' attention maps of `prepared_inputs`, and the names of the classes predicted."""
    model = run.care_model
    probabilities = model.class_probabilities(model(prepared, training=False)).numpy()
    return model.attention_map(prepared, labels), [run.class_names[index] for index in probabilities.argmax(axis=1)]
