"""What a run says of every image of a manifest, and how good that is."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
import tqdm

from care_tf import run_files
from care_tf.data import Manifest, evaluation_dataset
from care_tf.data.groups import groups_or_none
from care_tf.evaluation import attention_references, evaluate_predictions
from care_tf.evaluation.insertion_deletion import Curves
from care_tf.evaluation.lesion_figures import chosen_for_check
from care_tf.evaluation.occlusion import LARGEST_LESION
from care_tf.evaluation.scores import Scores
from care_tf.files import atomic_path
from care_tf.images.outside_choice import CROP
from care_tf.images.resize_choice import PAD
from care_tf.metrics import attention_inside_share
from care_tf.runs._folder import LoadedRun
from care_tf.runs._lesion_check import check_lesions

_REFERENCE_SIZE = (128, 128)  # of the masks that reference maps are held against


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model says of every image of a manifest.

    Attributes:
      probabilities: float32 (n, C); a binary classifier's one unit as two columns.
      attention_inside: float32 (n,), share of the true class's attention inside the image's boxes; NaN without boxes,
        and where the image was cropped to them, so that they fill the frame.
      can_be_checked: bool (n,), whether the image has boxes that leave some of the frame outside.
      lesion_check: Of `check_lesions`: columns of the images whose lesion was hidden; {} where that was not tried.
      curves: Likewise, the curves of insertion and deletion, (n, steps + 1) each; None where they were not.
    """

    probabilities: np.ndarray
    attention_inside: np.ndarray
    can_be_checked: np.ndarray
    lesion_check: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    curves: Curves | None = None


@dataclasses.dataclass(frozen=True)
class EvaluatedRun:
    """A run, the images it is looked at on, what it says of them, and its scores."""

    run: LoadedRun
    rows: Manifest
    predictions: Predictions
    scores: Scores


def evaluated(run: LoadedRun, rows: Manifest, num_resamples: int, check_images: int = 0) -> EvaluatedRun:
    """Predicts every image and scores the predictions.

    Args:
      run: The run.
      rows: The images.
      num_resamples: Bootstrap resamples of the intervals.
      check_images: So many images of each class with boxes are predicted again with parts hidden.
    """
    predictions = with_lesion_check(run, rows, predict_manifest(run, rows), check_images)
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
        covered = tf.reduce_mean(tf.cast(inputs["mask"] > 0, tf.float32), axis=(1, 2, 3))
        return model.class_probabilities(predictions), share, covered

    total = -(-len(rows) // batch_size)
    batches = tqdm.tqdm(dataset, total=total, desc=f"predict {run.folder.name}", unit="batch")
    parts = [[each.numpy() for each in step(inputs, labels)] for inputs, labels in batches]
    probabilities, shares, covered = map(np.concatenate, zip(*parts, strict=True))
    is_filled = covered > LARGEST_LESION
    # A lesion that fills its photograph keeps its figure; of one that was cut out it would be 1 whatever the network.
    is_undefined = (covered == 0) | (is_filled & (rows.outside_boxes == CROP))
    shares[is_undefined] = np.nan
    return Predictions(probabilities, shares, (covered > 0) & ~is_filled)


def with_lesion_check(run: LoadedRun, rows: Manifest, predictions: Predictions, images_per_class: int) -> Predictions:
    """The predictions with what `check_lesions` finds; as they are where no image can be checked."""
    chosen = chosen_for_check(rows.image_paths, rows.labels, predictions.can_be_checked, images_per_class)
    if not len(chosen):
        return predictions
    columns, curves = check_lesions(run, rows, chosen)
    return dataclasses.replace(predictions, lesion_check=columns, curves=curves)


def write_predictions(target: Path, rows: Manifest, result: Predictions) -> None:
    """Writes predictions.csv: image, label, group, probabilities, attention inside the boxes, and what was checked.

    What was kept of the files that earlier predictions came from is removed.
    """
    import pandas as pd

    table = pd.DataFrame(result.probabilities, columns=list(rows.class_names))
    table.insert(0, "image", rows.image_names)
    table.insert(1, "label", np.array(rows.class_names, object)[rows.labels])
    table.insert(2, "group", list(rows.groups))
    table["attention_inside"] = result.attention_inside
    for name, values in result.lesion_check.items():
        table[name] = values
    (target / run_files.PREDICTED_FILES).unlink(missing_ok=True)
    with atomic_path(target / run_files.PREDICTIONS, durable=True) as temporary:
        table.to_csv(temporary, index=False)


def reference_shares(run: LoadedRun, rows: Manifest, result: Predictions) -> dict[str, np.ndarray]:
    """`attention_references` of the images with boxes, (n,) each, NaN for the others; {} where none has any."""
    references = {}
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
    return references


def _scores(run: LoadedRun, rows: Manifest, result: Predictions, num_resamples: int) -> Scores:
    return evaluate_predictions(
        rows.labels,
        result.probabilities,
        rows.class_names,
        groups=groups_or_none(rows.groups),
        attention_inside=result.attention_inside,
        attention_references=reference_shares(run, rows, result),
        num_resamples=num_resamples,
        lesion_check=result.lesion_check,
    )
