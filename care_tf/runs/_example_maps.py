"""Attention maps of a run on a few of its images."""

import dataclasses
import os
from collections.abc import Collection, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from care_tf.data import Manifest, encoded_inputs, evaluation_dataset, read_manifest
from care_tf.errors import InputError
from care_tf.keras_generation import set_weights
from care_tf.runs import _folder as run_folder
from care_tf.runs._folder import LoadedRun
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
    images, masks, labels = read_images(run, chosen)
    prepared = prepared_inputs(run, chosen, images)
    after_maps, after_classes = maps_and_classes(run, prepared, labels)
    predicted = np.array([run.class_names.index(name) for name in after_classes])
    predicted_maps = run.care_model.attention_map(prepared, predicted)
    before_maps: Any = [None] * len(chosen)
    before_classes: Any = before_maps
    earlier = run_folder.weights_before_attention(run)
    if earlier is not None:
        weights = run.care_model.classifier.get_weights()
        run.care_model.classifier.load_weights(str(earlier))
        before_maps, before_classes = maps_and_classes(run, prepared, labels)
        set_weights(run.care_model.classifier, weights)
    return [
        {
            "name": os.path.basename(chosen.image_paths[index]),
            "image": images[index].round().astype(np.uint8),
            "mask": masks[index],
            "label": run.class_names[labels[index]],
            "attention_before": before_maps[index],
            "attention_after": after_maps[index],
            "attention_predicted": predicted_maps[index],
            "predicted_before": before_classes[index],
            "predicted_after": after_classes[index],
        }
        for index in range(len(chosen))
    ]


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
    rows = dataclasses.replace(rows, **run.config.data.reading)
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
