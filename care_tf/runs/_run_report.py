"""From an evaluated run to what its report shows."""

import io
from collections.abc import Mapping, Sequence

import numpy as np

from care_tf.data.class_focus import focus_classes
from care_tf.data.groups import groups_or_none
from care_tf.evaluation import Report, ReportedRun
from care_tf.evaluation.class_curves import class_curves
from care_tf.evaluation.curve_figures import insertion_deletion_figure, reliability_figure
from care_tf.evaluation.decision_thresholds import CallScores, call_scores
from care_tf.evaluation.insertion_deletion import Curves
from care_tf.evaluation.pictures import BASELINE, INK, RUN, Picture
from care_tf.evaluation.scores import Estimate, checked_groups
from care_tf.runs._decision_file import num_chosen_on
from care_tf.runs._example_maps import example_maps
from care_tf.runs._folder import LoadedRun, read_environment
from care_tf.runs._gallery_maps import gallery_groups
from care_tf.runs._progress import HISTORY
from care_tf.runs._run_predictions import EvaluatedRun
from care_tf.runs.config import dump_config
from care_tf.text_files import read_bytes


def run_report(
    own: EvaluatedRun,
    baseline: EvaluatedRun | None,
    differences: Mapping[str, Estimate] | None,
    calls: tuple[list[CallScores], str],
) -> Report:
    """What the report of a run shows.

    Args:
      own: The run.
      baseline: Another run on the same images, or None.
      differences: Of `paired_difference`, or None.
      calls: Of `calls_of`.
    """
    import pandas as pd

    run, history, focus = own.run, own.run.folder / HISTORY, focus_class(own)
    names = display_names(run, baseline.run if baseline else None)
    mistakes, right = gallery_groups(own, baseline, names, focus)
    return Report(
        title=run.config.title or run.folder.name,
        run=_reported(own, names[1]),
        baseline=_reported(baseline, names[0]) if baseline else None,
        differences=differences,
        focus_classes=[focus],
        history=pd.read_csv(io.BytesIO(read_bytes(history))) if history.exists() else pd.DataFrame(),
        examples=example_maps(run, own.rows, focus),
        mistakes=mistakes,
        right=right,
        reliability=_reliability(own, baseline, names),
        calls=calls[0],
        decision_note=calls[1],
        insertion_deletion=curves_picture([baseline, own] if baseline else [own], names, focus),
        config_text=dump_config(run.config),
        environment=read_environment(run.folder),
        image_notes=_image_notes(own, baseline, names),
    )


def _image_notes(own: EvaluatedRun, baseline: EvaluatedRun | None, names: tuple[str, str]) -> list[str]:
    runs = [(names[1], own)] if baseline is None else [(names[1], own), (names[0], baseline)]
    return [f"{name}: {note}" for name, each in runs for note in each.run.config.data.notes]


def focus_class(own: EvaluatedRun) -> str:
    """The class the run is about: of those tested, the one with the fewest training images among those with boxes.

    Those with boxes are the ones that the run names (data.mask_classes), or that have some among the images tested;
    without any, all classes.
    """
    rows = own.rows
    in_training = read_environment(own.run.folder).get("training_images", rows.class_counts)
    tested = {name: in_training.get(name, 0) for name, count in rows.class_counts.items() if count}
    with_boxes = own.run.config.data.mask_classes or {rows.class_names[label] for label in rows.labels[rows.has_boxes]}
    return focus_classes(tested, with_boxes)[0]


def display_names(run: LoadedRun, baseline: LoadedRun | None) -> tuple[str, str]:
    """What figures call the baseline ("" without one) and the run: their titles, or folders where those are one."""
    own = run.config.title or run.folder.name
    other = "" if baseline is None else baseline.config.title or baseline.folder.name
    if own != other or baseline is None:
        return other, own
    return str(baseline.folder), str(run.folder)


def curves_picture(runs: Sequence[EvaluatedRun], names: Sequence[str], class_name: str) -> Picture | None:
    """Insertion and deletion of a class; None where a run has no curve of it.

    Args:
      runs: The baseline, where there is one, and the run, on the same images.
      names: Of both, as of `display_names`.
      class_name: The class.
    """
    rows = runs[-1].rows
    is_shown = rows.labels == rows.class_names.index(class_name)
    for run in runs:
        if run.predictions.curves is None:
            return None
        is_shown = is_shown & ~np.isnan(run.predictions.curves.insertion).any(axis=1)
    if not is_shown.any():
        return None
    shown = [
        (name, color, Curves(*(curve[is_shown] for curve in run.predictions.curves or ())))
        for run, name, color in zip(runs, names[-len(runs) :], (BASELINE, RUN)[-len(runs) :], strict=True)
    ]
    groups = checked_groups(groups_or_none(rows.groups), len(rows))
    return insertion_deletion_figure(class_name, shown, groups[is_shown])


def calls_of(own: EvaluatedRun, num_resamples: int) -> tuple[list[CallScores], str]:
    """What the run's thresholds find on these images, and what to say of them."""
    run, rows = own.run, own.rows
    if run.decision is None:
        return [], f"No thresholds have been chosen. On validation images: care calibrate {run.folder}"
    num_known = num_chosen_on(run.folder, rows)
    if num_known:
        return [], f"The thresholds were chosen on {num_known} of these images, which therefore cannot judge them."
    probabilities, groups = own.predictions.probabilities, groups_or_none(rows.groups)
    calls = call_scores(rows.labels, probabilities, run.decision, groups, num_resamples)
    note = "A class is called where its calibrated probability reaches the threshold chosen on validation images."
    return calls, note


def _reported(each: EvaluatedRun, name: str) -> ReportedRun:
    rows, probabilities = each.rows, each.predictions.probabilities
    curves = class_curves(rows.labels, probabilities, rows.class_names, groups_or_none(rows.groups))
    return ReportedRun(name, each.scores, curves)


def _reliability(own: EvaluatedRun, baseline: EvaluatedRun | None, names: tuple[str, str]) -> Picture:
    shown = [] if baseline is None else [(names[0], BASELINE, baseline.predictions.probabilities)]
    shown.append((names[1], RUN, own.predictions.probabilities))
    decision = own.run.decision
    if decision is not None:
        name = f"{names[1]}, temperature {decision.temperature:.2f}"
        shown.append((name, INK, decision.calibrated(own.predictions.probabilities)))
    return reliability_figure(own.rows.labels, shown)
