"""How a run's probabilities are to be read: a temperature and a threshold for each class, from validation images."""

import dataclasses
import os
import warnings
from collections.abc import Sequence

import numpy as np

from care_tf.data import Manifest
from care_tf.data.image_identity import overlap
from care_tf.errors import InputError
from care_tf.evaluation.calibration import calibration_statistic, fit_temperature
from care_tf.evaluation.decision_thresholds import Decision, Rule, choose_thresholds
from care_tf.images.decoding import corrupt_files_refused
from care_tf.runs._changed_images import check_changed_alike
from care_tf.runs._decision_file import DECISION, write_decision
from care_tf.runs._example_maps import selected_rows
from care_tf.runs._folder import LoadedRun, input_names, load_run
from care_tf.runs._run_predictions import predict_manifest
from care_tf.runs._seen_images import seen_rows


@corrupt_files_refused()
def calibrate_run(
    folder: str | os.PathLike,
    rule: Rule | str = "f1",
    manifest: str | os.PathLike | None = None,
    split: str | None = None,
    folds: Sequence[str] | None = None,
) -> str:
    """Fits a run's temperature, chooses a threshold for each class, and writes decision.json into the run folder.

    Args:
      folder: Run folder.
      rule: What the thresholds are chosen for, a `Rule` or its text.
      manifest, split, folds: The images, as for `evaluate_run`; the run's `data.validation` where none is named.

    Returns:
      What was chosen, as text.

    Raises:
      InputError: The folder is not a finished run, it has no validation images and none are named, or it was trained
        on some of them, or copies of them.

    Warns:
      UserWarning: It was trained on other images of their patients or lesions, or it can no longer be told on which.
    """
    rule = Rule.parse(rule) if isinstance(rule, str) else rule
    run = load_run(folder)
    rows = selected_rows(run, "validation", manifest, split, folds, input_names([folder]))
    _check_unseen(run, rows)
    check_changed_alike(run.config.data, rows, "the images to choose on")
    probabilities = predict_manifest(run, rows).probabilities
    temperature = fit_temperature(rows.labels, probabilities)
    decision = Decision(run.class_names, temperature, (None,) * len(run.class_names))
    calibrated = decision.calibrated(probabilities)
    thresholds = choose_thresholds(rows.labels, calibrated, run.class_names, rule)
    decision = dataclasses.replace(decision, thresholds=thresholds)
    write_decision(run.folder, decision, rule, rows)
    before, after = (_calibration_error(rows, each) for each in (probabilities, calibrated))
    lines = [
        f"{len(rows)} images to choose on, rule {rule}",
        f"temperature {temperature:.3f}: calibration error {100 * before:.1f} % -> {100 * after:.1f} %",
        f"{'class':24}{'images':>8}{'threshold':>11}{'called':>8}{'right':>8}",
        *_class_lines(rows, decision, probabilities),
        f"wrote {run.folder / DECISION}",
    ]
    return "\n".join(lines)


def _check_unseen(run: LoadedRun, rows: Manifest) -> None:
    """Refuses images that the run was trained on, warns of their groups, and where it cannot be told."""
    known, doubt = seen_rows(run)
    if doubt:
        warnings.warn(
            f"It cannot be told which images {run.folder} was trained on: {doubt} What is chosen on any of them is too "
            "good.",
            UserWarning,
            stacklevel=3,
        )
    if known is None:
        return
    images, groups = overlap(rows, known.train)
    if images.any():
        raise InputError(
            f"Thresholds must be chosen on images that the run was not trained on. Received {images.sum()} of "
            f"{len(rows)} that it was, such as {rows.image_paths[int(images.argmax())]}. Choose other splits or folds."
        )
    if groups.any():
        warnings.warn(
            f"{run.folder} was trained on other images of the patients or lesions of {groups.sum()} of {len(rows)} "
            "images: what is chosen on them is too good. Split by group.",
            UserWarning,
            stacklevel=3,
        )


def _calibration_error(rows: Manifest, probabilities: np.ndarray) -> float:
    return float(calibration_statistic(rows.labels, probabilities)(np.ones((1, len(rows))))[0])


def _class_lines(rows: Manifest, decision: Decision, probabilities: np.ndarray) -> list[str]:
    lines, calls = [], decision.calls(probabilities)
    for index, (name, threshold) in enumerate(zip(decision.class_names, decision.thresholds, strict=True)):
        members, called = rows.labels == index, calls[:, index]
        if threshold is None:
            lines.append(f"{name:24}{members.sum():8d}       none: no threshold can be chosen by these images")
            continue
        lines.append(f"{name:24}{members.sum():8d}{threshold:11.3f}{called.sum():8d}{(called & members).sum():8d}")
    return lines
