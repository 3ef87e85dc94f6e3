"""Does the data have a cue? A finished run, asked by its outputs and by its attention, becomes a page."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from care_tf import run_files
from care_tf.data import Manifest
from care_tf.data.groups import groups_or_none
from care_tf.errors import InputError
from care_tf.evaluation.bootstrap import group_bootstrap
from care_tf.evaluation.check_size import CHECK_IMAGES
from care_tf.evaluation.cue_page import CueCheck, write_cue_page
from care_tf.evaluation.cue_verdict import cue_verdict
from care_tf.evaluation.headline import as_difference
from care_tf.evaluation.scores import Estimate, checked_groups
from care_tf.images.decoding import corrupt_files_refused
from care_tf.images.outside_choice import CROP
from care_tf.runs._example_maps import drawn_examples, selected_rows
from care_tf.runs._folder import LoadedRun, input_names, load_run
from care_tf.runs._run_predictions import EvaluatedRun, evaluated, reference_shares
from care_tf.runs._run_report import curves_picture, display_names, focus_class

_NUM_CROPS = 12


@corrupt_files_refused()
def check_run(
    folder: str | os.PathLike,
    output: str | os.PathLike | None = None,
    manifest: str | os.PathLike | None = None,
    split: str | None = None,
    folds: Sequence[str] | None = None,
    num_resamples: int = 1000,
    check_images: int = CHECK_IMAGES,
) -> str:
    """Checks whether a run goes by the lesions of its rare class, and writes a page.

    Args:
      folder: Run folder.
      output: The HTML file; None: check.html in the run folder.
      manifest, split, folds: The images, as for `evaluate_run`.
      num_resamples: Bootstrap resamples over groups.
      check_images: So many images of each class with boxes are looked at.

    Returns:
      The verdict and its figures, as text.

    Raises:
      InputError: The folder is not a finished run, its images are cropped to their boxes, or no image of the class has
        a box that leaves something around it.
    """
    run = load_run(folder)
    _check_has_surroundings(run)
    rows = selected_rows(run, "test", manifest, split, folds, input_names([folder]))
    if not rows.has_boxes.any():
        raise _nothing_to_check("", rows)
    own = evaluated(run, rows, num_resamples, check_images)
    name = focus_class(own)
    scores = next(each for each in own.scores.classes if each.name == name)
    is_checked = (rows.labels == rows.class_names.index(name)) & ~np.isnan(_checked_column(own))
    if not is_checked.any():
        raise _nothing_to_check(f" of {name}, the class in focus,", rows)
    groups = checked_groups(groups_or_none(rows.groups), len(rows))
    beyond = _beyond_uniform(own, is_checked, groups, num_resamples)
    verdict = cue_verdict(scores, len(np.unique(groups[is_checked])), beyond)
    target = Path(output) if output is not None else run.folder / run_files.CHECK
    names = display_names(run, None)
    write_cue_page(
        target,
        CueCheck(
            name=names[1],
            class_name=name,
            scores=own.scores,
            verdict=verdict,
            beyond_uniform=beyond,
            curves=curves_picture([own], names, name),
            examples=_most_outside(own, is_checked),
        ),
    )
    return "\n".join(
        [
            verdict.sentence,
            f"  lesion reliance of {name}: {as_difference('', scores.lesion_reliance)}, {scores.num_checked} images",
            f"  attention inside {name} less a uniform map: {as_difference('', beyond)}",
            f"wrote {target}",
        ]
    )


def _check_has_surroundings(run: LoadedRun) -> None:
    data = run.config.data
    if data.changes_tests and data.outside_boxes == CROP:
        raise InputError(
            f"A check needs what surrounds the lesions. Received a run with data.outside_boxes={CROP} and "
            f"data.outside_boxes_in=everywhere ({run.folder}), whose images end at their boxes. Check one with "
            "data.outside_boxes_in=training."
        )


def _nothing_to_check(of_class: str, rows: Manifest) -> InputError:
    return InputError(
        f"A check needs images{of_class} with boxes or masks that leave some of the frame outside. Received none among "
        f"{len(rows)} images of {rows.source}. Name others with --manifest, --split or --folds."
    )


def _checked_column(own: EvaluatedRun) -> np.ndarray:
    unchecked = np.full(len(own.rows), np.nan)
    return own.predictions.lesion_check.get("probability_lesion_hidden", unchecked)


def _beyond_uniform(own: EvaluatedRun, chosen: np.ndarray, groups: np.ndarray, num_resamples: int) -> Estimate:
    """Attention inside the box less that of a uniform map, the mean over the images chosen."""
    uniform = reference_shares(own.run, own.rows, own.predictions)["uniform"]
    difference = (own.predictions.attention_inside - uniform)[chosen]

    def mean(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"mean": weights @ difference / weights.sum(axis=1)}

    return Estimate.of(difference.mean(), group_bootstrap(mean, groups[chosen], num_resamples)["mean"])


def _most_outside(own: EvaluatedRun, chosen: np.ndarray) -> list[dict]:
    """The images chosen with the least attention inside, drawn."""
    candidates = np.flatnonzero(chosen)
    order = np.argsort(own.predictions.attention_inside[candidates], kind="stable")
    first = candidates[order][:_NUM_CROPS]
    return drawn_examples(own.run, own.rows.subset(first), own.predictions.probabilities[first])
