"""A run folder becomes scores, predictions and a report."""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tqdm

from care_tf.csv_files import relative_to
from care_tf.data import Manifest, evaluation_dataset
from care_tf.data.class_focus import rarest_class
from care_tf.data.groups import groups_or_none
from care_tf.errors import InputError
from care_tf.evaluation import attention_references, evaluate_predictions, paired_difference, write_report
from care_tf.evaluation.class_curves import ClassCurves, class_curves
from care_tf.evaluation.curve_figures import reliability_figure
from care_tf.evaluation.decision_thresholds import CallScores, call_scores
from care_tf.evaluation.estimate_text import estimate_text
from care_tf.evaluation.headline import estimate_of
from care_tf.evaluation.pictures import BASELINE, INK, RUN, Picture
from care_tf.evaluation.scores import Scores
from care_tf.files import atomic_path
from care_tf.images.decoding import corrupt_files_refused
from care_tf.images.resize_choice import PAD
from care_tf.metrics import attention_inside_share
from care_tf.runs import _folder as run_folder
from care_tf.runs import run_files
from care_tf.runs._decision_file import num_chosen_on
from care_tf.runs._example_maps import example_maps, selected_rows
from care_tf.runs._folder import LoadedRun, input_names, load_run
from care_tf.runs._progress import HISTORY
from care_tf.runs.config import dump_config

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


@corrupt_files_refused()
def evaluate_run(
    folder: str | os.PathLike,
    manifest: str | os.PathLike | None = None,
    split: str | None = None,
    folds: Sequence[str] | None = None,
    baseline: str | os.PathLike | None = None,
    output: str | os.PathLike | None = None,
    num_resamples: int = 1000,
) -> str:
    """Evaluates a finished run and writes metrics.json, predictions.csv and report.html.

    Args:
      folder: Run folder.
      manifest: Manifest of labeled images; None takes the run's own.
      split: Rows with this split; with `folds` None too, the run's `data.test` is taken.
      folds: Rows of these folds.
      baseline: Another run folder, compared image by image.
      output: Where to write; None means the run folder.
      num_resamples: Bootstrap resamples over groups.

    Returns:
      The headline figures as text.

    Raises:
      InputError: A folder is not a finished run, the rows are empty, or the runs have different classes.
    """
    import pandas as pd

    run = load_run(folder)
    other = None if baseline is None else load_run(baseline)
    inputs = input_names([folder] if baseline is None else [folder, baseline])
    rows = selected_rows(run, "test", manifest, split, folds, inputs)
    result = predict_manifest(run, rows)
    scores = _scores(run, rows, result, num_resamples)
    metrics: dict[str, Any] = {"manifest": os.path.basename(rows.source), "scores": scores.to_dict()}
    baseline_scores = differences = other_result = None
    if other is not None:
        if other.class_names != run.class_names:
            raise InputError(
                f"{folder} and {baseline} have different classes, {run.class_names} and {other.class_names}: their "
                "figures cannot be compared."
            )
        other_result = predict_manifest(other, rows)
        baseline_scores = _scores(other, rows, other_result, num_resamples)
        differences = paired_difference(
            rows.labels,
            other_result.probabilities,
            result.probabilities,
            rows.class_names,
            groups=groups_or_none(rows.groups),
            baseline_attention_inside=other_result.attention_inside,
            attention_inside=result.attention_inside,
            num_resamples=num_resamples,
        )
        metrics["baseline"] = {"run": str(baseline), "scores": baseline_scores.to_dict()}
        metrics["differences"] = {name: dataclasses.asdict(value) for name, value in differences.items()}
    calls, decision_note = _calls(run, rows, result, num_resamples)
    metrics["calls"] = [dataclasses.asdict(each) for each in calls]
    target = Path(output) if output is not None else run.folder
    with atomic_path(target / run_files.METRICS) as temporary:
        temporary.write_text(json.dumps(metrics, indent=2) + "\n")
    write_predictions(target, rows, result)
    environment = run_folder.read_environment(run.folder)
    # The class with the fewest training images that the test has, too.
    rarest = rarest_class(environment.get("training_images", rows.class_counts), present=rows.class_counts)
    history, names = run.folder / HISTORY, _display_names(run, other)
    write_report(
        target / run_files.REPORT,
        title=run.config.title or run.folder.name,
        scores=scores,
        history=pd.read_csv(history) if history.exists() else pd.DataFrame(),
        examples=example_maps(run, rows, rarest),
        focus_classes=[rarest],
        config_text=dump_config(run.config),
        environment=environment,
        baseline_scores=baseline_scores,
        differences=differences,
        curves=_curves(rows, result),
        baseline_curves=() if other_result is None else _curves(rows, other_result),
        reliability=_reliability(run, rows, result, other_result, names),
        names=names,
        calls=calls,
        decision_note=decision_note,
    )
    return _summary(scores, rarest, baseline_scores, differences, target)


def predict_manifest(run: LoadedRun, rows: Manifest) -> Predictions:
    """Predicts every image and measures the true class's attention where an image has boxes."""
    batch_size = run.config.training.batch_size
    rows = dataclasses.replace(rows, **run.config.data.reading)
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


def _scores(run: LoadedRun, rows: Manifest, result: Predictions, num_resamples: int) -> Scores:
    references = None
    with_box = np.flatnonzero(~np.isnan(result.attention_inside))
    if len(with_box):
        boxed = dataclasses.replace(rows.subset(with_box), **run.config.data.reading)
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


def _curves(rows: Manifest, result: Predictions) -> list[ClassCurves]:
    return class_curves(rows.labels, result.probabilities, rows.class_names, groups_or_none(rows.groups))


def _display_names(run: LoadedRun, baseline: LoadedRun | None) -> tuple[str, str]:
    """What pictures call the baseline and the run: their titles, or their folders where those are one."""
    own = run.config.title or run.folder.name
    other = "baseline" if baseline is None else baseline.config.title or baseline.folder.name
    if own != other or baseline is None:
        return other, own
    return str(baseline.folder), str(run.folder)


def _reliability(
    run: LoadedRun, rows: Manifest, result: Predictions, baseline: Predictions | None, names: tuple[str, str]
) -> Picture:
    shown = [] if baseline is None else [(names[0], BASELINE, baseline.probabilities)]
    shown.append((names[1], RUN, result.probabilities))
    decision = run.decision
    if decision is not None:
        name = f"{names[1]}, temperature {decision.temperature:.2f}"
        shown.append((name, INK, decision.calibrated(result.probabilities)))
    return reliability_figure(rows.labels, shown)


def _calls(run: LoadedRun, rows: Manifest, result: Predictions, num_resamples: int) -> tuple[list[CallScores], str]:
    """What the run's thresholds find on these images, and what to say of them."""
    if run.decision is None:
        return [], f"No thresholds have been chosen. On validation images: care calibrate {run.folder}"
    num_known = num_chosen_on(run.folder, rows)
    if num_known:
        return [], f"The thresholds were chosen on {num_known} of these images, which therefore cannot judge them."
    calls = call_scores(rows.labels, result.probabilities, run.decision, groups_or_none(rows.groups), num_resamples)
    return (
        calls,
        "A class is called where its calibrated probability reaches the threshold chosen on validation images.",
    )


def write_predictions(target: Path, rows: Manifest, result: Predictions) -> None:
    """Writes predictions.csv: image, label, group, the classes' probabilities and the attention inside the boxes."""
    import pandas as pd

    relative = relative_to(os.path.dirname(os.path.abspath(rows.source)))
    table = pd.DataFrame(result.probabilities, columns=list(rows.class_names))
    table.insert(0, "image", list(map(relative, rows.image_paths)))
    table.insert(1, "label", np.array(rows.class_names, object)[rows.labels])
    table.insert(2, "group", list(rows.groups))
    table["attention_inside"] = result.attention_inside
    with atomic_path(target / run_files.PREDICTIONS) as temporary:
        table.to_csv(temporary, index=False)


def _summary(scores: Scores, rarest: str, baseline_scores, differences, target: Path) -> str:
    figures = {
        "mean_class_accuracy": "mean class accuracy",
        "macro_auc": "macro AUC",
        f"recall/{rarest}": f"recall of {rarest}",
        f"recall_at_equal_calls/{rarest}": "  at equal calls",
        f"precision/{rarest}": f"precision of {rarest}",
        f"average_precision/{rarest}": f"average precision of {rarest}",
        f"auc/{rarest}": f"AUC of {rarest}",
        f"attention_inside/{rarest}": f"attention inside {rarest}",
    }
    width = max(map(len, figures.values())) + 2
    header = f"{'':{width}}{'this run':24}" + (f"{'baseline':24}{'difference':24}" if baseline_scores else "")
    lines = [f"{scores.num_images} images, {scores.num_groups} groups; 95 % intervals over groups", header]
    for key, title in figures.items():
        if key.startswith("recall_at_equal_calls/"):
            if not baseline_scores:
                continue
            estimates = [None, None, differences[key]]
        else:
            estimates = [estimate_of(run, key) for run in (scores, baseline_scores) if run]
            estimates += [differences[key]] if baseline_scores else []
        texts = [f"{estimate_text(estimate, undefined='-'):24}" for estimate in estimates]
        lines.append(f"{title:{width}}{''.join(texts)}".rstrip())
    return "\n".join([*lines, f"wrote {target / run_files.REPORT}"])
