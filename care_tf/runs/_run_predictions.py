"""What a run says of every image of a manifest, and how good that is."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import tensorflow as tf
import tqdm

from care_tf import run_files
from care_tf.csv_files import relative_to
from care_tf.data import Manifest, evaluation_dataset
from care_tf.data.groups import groups_or_none
from care_tf.evaluation import attention_references, evaluate_predictions
from care_tf.evaluation.scores import Scores
from care_tf.files import atomic_path
from care_tf.images.resize_choice import PAD
from care_tf.metrics import attention_inside_share
from care_tf.runs._folder import LoadedRun

_REFERENCE_SIZE = (128, 128)  # of the masks that reference maps are held against


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model says of every image of a manifest.

    Attributes:
      probabilities: float32 (n, C); a binary classifier's one unit as two columns.
      attention_inside: float32 (n,), share of the true class's attention inside the image's boxes; NaN without boxes.
    """

    probabilities: np.ndarray
    attention_inside: np.ndarray


@dataclasses.dataclass(frozen=True)
class EvaluatedRun:
    """A run, the images it is looked at on, what it says of them, and its scores."""

    run: LoadedRun
    rows: Manifest
    predictions: Predictions
    scores: Scores


def evaluated(run: LoadedRun, rows: Manifest, num_resamples: int) -> EvaluatedRun:
    """Predicts every image and scores the predictions, with intervals from so many resamples."""
    predictions = predict_manifest(run, rows)
    return EvaluatedRun(run, rows, predictions, _scores(run, rows, predictions, num_resamples))


def predict_manifest(run: LoadedRun, rows: Manifest) -> Predictions:
    """Predicts every image and measures the true class's attention where an image has boxes."""
    batch_size = run.config.training.batch_size
    rows = dataclasses.replace(rows, **run.config.data.test_reading)
    dataset = evaluation_dataset(
        rows, run.image_size, batch_size, preprocess=run.preprocess, masks=True, inputs=run.inputs
    )
    model = run.care_model

    @tf.function(autograph=False, reduce_retracing=True)
    def step(inputs, labels):
        predictions, attention = model.predictions_and_attention(inputs, labels)
        share = attention_inside_share(attention, inputs["mask"])
        has_mask = tf.reduce_any(inputs["mask"] > 0, axis=(1, 2, 3))
        return model.class_probabilities(predictions), tf.where(has_mask, share, float("nan"))

    probabilities, shares = [], []
    total = -(-len(rows) // batch_size)
    for inputs, labels in tqdm.tqdm(dataset, total=total, desc=f"predict {run.folder.name}", unit="batch"):
        part, share = step(inputs, labels)
        probabilities.append(part.numpy())
        shares.append(share.numpy())
    return Predictions(np.concatenate(probabilities), np.concatenate(shares))


def write_predictions(target: Path, rows: Manifest, result: Predictions) -> None:
    """Writes predictions.csv: image, label, group, the classes' probabilities and the attention inside the boxes."""
    import pandas as pd

    relative = relative_to(os.path.dirname(os.path.abspath(rows.source)))
    table = pd.DataFrame(result.probabilities, columns=list(rows.class_names))
    table.insert(0, "image", list(map(relative, rows.image_paths)))
    table.insert(1, "label", np.array(rows.class_names, object)[rows.labels])
    table.insert(2, "group", list(rows.groups))
    table["attention_inside"] = result.attention_inside
    with atomic_path(target / run_files.PREDICTIONS, durable=True) as temporary:
        table.to_csv(temporary, index=False)


def _scores(run: LoadedRun, rows: Manifest, result: Predictions, num_resamples: int) -> Scores:
    references = None
    with_box = np.flatnonzero(~np.isnan(result.attention_inside))
    if len(with_box):
        boxed = dataclasses.replace(rows.subset(with_box), **run.config.data.test_reading)
        height, width = _REFERENCE_SIZE
        if boxed.resize == PAD:  # how much is padded depends on the frame's proportions
            height, width = (max(round(side * height / max(run.image_size)), 1) for side in run.image_size)
        batches = evaluation_dataset(boxed, (height, width), 32, masks=True)
        found = attention_references(mask for inputs, _ in batches for mask in inputs["mask"].numpy())
        references = {name: np.full(len(rows), np.nan) for name in found}
        for name, values in found.items():
            references[name][with_box] = values
    return evaluate_predictions(
        rows.labels,
        result.probabilities,
        rows.class_names,
        groups=groups_or_none(rows.groups),
        attention_inside=result.attention_inside,
        attention_references=references,
        num_resamples=num_resamples,
    )
