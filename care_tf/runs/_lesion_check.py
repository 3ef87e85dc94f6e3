"""What a run says of images with a part hidden: their lesion, all but the lesion, or what its map ranks first."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tqdm

from care_tf.data import Manifest, evaluation_dataset
from care_tf.evaluation.insertion_deletion import Curves, area_under, insertion_deletion
from care_tf.evaluation.lesion_figures import LESION_COLUMNS
from care_tf.evaluation.occlusion import gaussian_blur, occluded
from care_tf.runs._folder import LoadedRun


def check_lesions(run: LoadedRun, rows: Manifest, chosen: np.ndarray) -> tuple[dict[str, np.ndarray], Curves]:
    """Predicts images of `rows` again with parts hidden: 34 passes of each image.

    Args:
      run: The run.
      rows: n images.
      chosen: Positions of those to check, with boxes or masks that leave some of the frame outside.

    Returns:
      `LESION_COLUMNS` -> float32 (n,); and the curves, (n, steps + 1) each. NaN where an image was not checked.
    """
    rows = dataclasses.replace(rows, **run.config.data.test_reading)
    batch_size = run.config.training.batch_size
    dataset = evaluation_dataset(rows.subset(chosen), run.image_size, batch_size, masks=True, inputs=run.inputs)
    probabilities_of = _predictor(run)
    total = -(-len(chosen) // batch_size)
    parts = [
        _checked_batch(run, probabilities_of, inputs, labels.numpy())
        for inputs, labels in tqdm.tqdm(dataset, total=total, desc=f"check {run.folder.name}", unit="batch")
    ]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    placed = {name: _in_place(values, chosen, len(rows)) for name, values in found.items()}
    curves = Curves(placed.pop("insertion"), placed.pop("deletion"))
    return {name: placed[name] for name in LESION_COLUMNS}, curves


def _predictor(run: LoadedRun) -> Callable[[dict[str, Any]], np.ndarray]:
    """Inputs with images RGB 0..255 -> probabilities (B, C)."""
    model = run.care_model

    @tf.function(autograph=False, reduce_retracing=True)
    def step(inputs):
        prepared = {**inputs, "image": run.preprocess(inputs["image"])}
        return model.class_probabilities(model(prepared, training=False))

    return lambda inputs: step(inputs).numpy()


def _checked_batch(
    run: LoadedRun, probabilities_of: Callable, inputs: dict[str, Any], labels: np.ndarray
) -> dict[str, np.ndarray]:
    images, masks = inputs["image"].numpy(), inputs["mask"].numpy()[..., 0]
    further = {name: values for name, values in inputs.items() if name not in ("image", "mask")}
    found = {}

    def predicted(changed: np.ndarray) -> np.ndarray:
        return probabilities_of({"image": tf.constant(changed), **further})

    def of_true_class(changed: np.ndarray) -> np.ndarray:
        return predicted(changed)[np.arange(len(labels)), labels]

    for name, changed in occluded(images, masks)._asdict().items():
        probabilities = predicted(changed)
        found[f"probability_{name}"] = probabilities[np.arange(len(labels)), labels]
        found[f"right_{name}"] = (probabilities.argmax(axis=1) == labels).astype(np.float32)
    maps = run.care_model.attention_map({"image": run.preprocess(tf.constant(images)), **further}, labels)
    curves = insertion_deletion(of_true_class, images, gaussian_blur(images), maps)
    areas = {f"{name}_area": area_under(curve) for name, curve in curves._asdict().items()}
    return found | curves._asdict() | areas


def _in_place(values: np.ndarray, chosen: np.ndarray, num_images: int) -> np.ndarray:
    """The values (m, ...) at the positions `chosen` of (n, ...), NaN elsewhere."""
    placed = np.full((num_images, *values.shape[1:]), np.nan, np.float32)
    placed[chosen] = values
    return placed
