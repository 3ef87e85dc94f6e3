"""The report of a run: one HTML file that holds everything it shows."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from care_tf.data.class_focus import rarest_class
from care_tf.errors import InputError
from care_tf.evaluation._curves import curves_figure, history_rows
from care_tf.evaluation._example_images import ExampleCard, example_card, gallery_card
from care_tf.evaluation._figures import (
    attention_figure,
    confusion_figure,
    difference_figure,
    recall_figure,
)
from care_tf.evaluation._lesion_table import lesion_table
from care_tf.evaluation._operating_points import FIXED
from care_tf.evaluation._weighted_statistics import CLASS_FIGURES
from care_tf.evaluation.class_curves import ClassCurves
from care_tf.evaluation.curve_figures import class_curves_figure
from care_tf.evaluation.decision_thresholds import CallScores
from care_tf.evaluation.gallery_choice import MAX_MISTAKES, MAX_RIGHT_CLASSES
from care_tf.evaluation.headline import as_interval, as_value, headlines
from care_tf.evaluation.page import render_page
from care_tf.evaluation.pictures import BASELINE, RUN, Picture, shortened
from care_tf.evaluation.scores import ClassScores, Estimate, Scores
from care_tf.files import write_text

_COLUMNS = {
    "recall": "Recall",
    "precision": "Precision",
    "f1": "F1",
    "auc": "AUC",
    "average_precision": "Average precision",
    "sensitivity_at_specificity": f"Sensitivity at {100 * FIXED:.0f} % specificity",
    "specificity_at_sensitivity": f"Specificity at {100 * FIXED:.0f} % sensitivity",
    "attention_inside": "Attention inside the box",
}

_TEMPLATE = Path(__file__).with_name("report.html.j2")


@dataclasses.dataclass(frozen=True)
class ReportedRun:
    """What a report shows of one run.

    Attributes:
      name: What figures and tables call it.
      scores: Of `evaluate_predictions`.
      curves: Of `class_curves`.
    """

    name: str
    scores: Scores
    curves: Sequence[ClassCurves] = ()


@dataclasses.dataclass(frozen=True)
class GalleryGroup:
    """Images of one kind in a report's gallery.

    Attributes:
      title: What they have in common.
      examples: Those shown, see `gallery_card`.
      total: How many there are.
    """

    title: str
    examples: Sequence[Mapping[str, Any]]
    total: int


@dataclasses.dataclass(frozen=True)
class Report:
    """What a report shows.

    Attributes:
      title: Heading of the page.
      run: The run that it is about.
      baseline: The run that it is compared with, on the same images, or None.
      differences: Run minus baseline, of `paired_difference`, or None.
      focus_classes: Classes the run is about, named in the headline; the rarest class when None.
      history: The run's epochs, see `curves_figure`.
      examples: Example images, see `example_card`.
      mistakes, right: Galleries of images that are predicted wrong, and right.
      reliability: Of `reliability_figure`.
      calls: Of `call_scores`: what the run's thresholds find on these images.
      insertion_deletion: Of `insertion_deletion_figure`: the class in focus, or None.
      decision_note: Where the thresholds come from, or why there are none.
      config_text: The resolved configuration as YAML.
      environment: Versions, seed, command, data fingerprint: name -> value.
      image_notes: What a reader must know of the images that the runs were given.
    """

    title: str
    run: ReportedRun
    baseline: ReportedRun | None = None
    differences: Mapping[str, Estimate] | None = None
    focus_classes: Sequence[str] | None = None
    history: Any = ()
    examples: Sequence[Mapping[str, Any]] = ()
    mistakes: Sequence[GalleryGroup] = ()
    right: Sequence[GalleryGroup] = ()
    reliability: Picture | None = None
    calls: Sequence[CallScores] = ()
    insertion_deletion: Picture | None = None
    decision_note: str = ""
    config_text: str = ""
    environment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    image_notes: Sequence[str] = ()

    @property
    def names(self) -> tuple[str, str]:
        """Of the baseline ("" without one) and of the run."""
        return self.baseline.name if self.baseline else "", self.run.name

    @property
    def focus(self) -> list[str]:
        """The classes in focus."""
        if self.focus_classes is not None:
            return list(self.focus_classes)
        return [rarest_class({c.name: c.num_images for c in self.run.scores.classes})]


def write_report(path: str | os.PathLike, report: Report) -> None:
    """Writes the report; the file needs no network, no other file and no script.

    Args:
      path: The HTML file to write.
      report: What it shows.

    Raises:
      InputError: A baseline with other classes, differences without a baseline, an unknown class in focus, or
        examples and history that `example_card`, `gallery_card` and `curves_figure` refuse.
    """
    _check_comparable(report)
    page = {
        "title": report.title,
        "scores": report.run.scores,
        "names": report.names,
        "short_name": shortened(report.names[0]),
        "colors": {"run": RUN, "baseline": BASELINE},
        "focus": [c for c in report.run.scores.classes if c.name in report.focus],
        "examples": [example_card(example) for example in report.examples],
        "mistakes": _gallery(report.mistakes),
        "right": _gallery(report.right),
        "never_right": [c.name for c in report.run.scores.classes if c.num_images and not c.num_correct],
        "num_right_classes": sum(c.num_correct > 0 for c in report.run.scores.classes),
        "max_right_classes": MAX_RIGHT_CLASSES,
        "max_mistakes": MAX_MISTAKES,
        "num_mistakes": sum(c.num_images - c.num_correct for c in report.run.scores.classes),
        "num_stages": len({row["stage"] for row in history_rows(report.history)}),
        "calls": [_call_row(each) for each in report.calls],
        "decision_note": report.decision_note,
        "lesions": lesion_table([(run.name, run.scores) for run in (report.baseline, report.run) if run]),
        "calibration_error": _with_interval("calibration_error", report.run.scores.calibration_error),
        "class_figures": {key: _COLUMNS[key] for key in CLASS_FIGURES},
        "table": [_table_row(c) for c in report.run.scores.classes],
        "config_text": report.config_text,
        "environment": report.environment,
        "image_notes": report.image_notes,
        **_figures(report),
    }
    html = render_page(_TEMPLATE, page)
    write_text(path, html)


def _gallery(groups: Sequence[GalleryGroup]) -> list[tuple[str, list[ExampleCard], int]]:
    return [(group.title, [gallery_card(each) for each in group.examples], group.total) for group in groups]


def _figures(report: Report) -> dict[str, Any]:
    scores, names, differences = report.run.scores, report.names, report.differences
    baseline = report.baseline.scores if report.baseline else None
    return {
        "headlines": headlines(scores, report.focus, baseline, differences, shortened(names[0])),
        "recall": recall_figure(scores, baseline, names),
        "attention": attention_figure(scores, baseline, names) if _has_attention(scores) else None,
        "differences": difference_figure(differences, _difference_labels(scores), names) if differences else None,
        "confusion": confusion_figure(scores),
        "curves": curves_figure(report.history),
        "class_curves": _curve_pictures(report),
        "reliability": report.reliability,
        "insertion_deletion": report.insertion_deletion,
    }


def _check_comparable(report: Report) -> None:
    if report.baseline is None:
        if report.differences:
            raise InputError("Differences are shown beside a baseline. Received: none. Pass baseline as well.")
        return
    own, other = ([(c.name, c.num_images) for c in run.scores.classes] for run in (report.run, report.baseline))
    if own != other:
        raise InputError(
            "A baseline is compared on the same images of the same classes. "
            f"Received: {other} images for the baseline and {own} for the run. Evaluate both on one manifest and split."
        )


def _has_attention(scores: Scores) -> bool:
    return any(c.num_boxes and c.attention_inside.value is not None for c in scores.classes)


def _difference_labels(scores: Scores) -> dict[str, str]:
    labels = {"mean_class_accuracy": "Mean class accuracy", "macro_auc": "Macro AUC"}
    names = [c.name for c in sorted(scores.classes, key=lambda c: c.num_images)]
    for name in names:
        labels |= {f"recall/{name}": f"Recall {name}", f"recall_at_equal_calls/{name}": f"{name} at equal calls"}
    labels |= {f"average_precision/{name}": f"Average precision {name}" for name in names}
    labels |= {f"attention_inside/{name}": f"Attention {name}" for name in names}
    return labels | {f"lesion_reliance/{name}": f"Lesion reliance {name}" for name in names}


def _curve_pictures(report: Report) -> dict[str, Picture]:
    """Class -> its picture, the rarest class first."""
    others = {each.name: each for each in (report.baseline.curves if report.baseline else ())}
    ordered = sorted(report.run.curves, key=lambda each: each.num_positive)
    return {each.name: class_curves_figure(each, others.get(each.name), report.names) for each in ordered}


def _call_row(calls: CallScores) -> dict[str, Any]:
    shares = ("sensitivity", "specificity", "precision")
    texts = {key: _with_interval(key, getattr(calls, key)) for key in shares}
    return {"name": calls.name, "threshold": f"{calls.threshold:.3f}", "calls": calls.num_calls, **texts}


def _with_interval(key: str, estimate: Estimate) -> tuple[str, str]:
    return as_value(key, estimate.value), "" if estimate.value is None else as_interval(key, estimate)


def _table_row(c: ClassScores) -> dict[str, Any]:
    row: dict[str, Any] = {"name": c.name, "images": c.num_images, "groups": c.num_groups}
    row |= {"calls": "n/a" if c.num_calls is None else c.num_calls, "correct": c.num_correct}
    for key in CLASS_FIGURES:
        row[key] = _with_interval(f"{key}/", getattr(c, key))
    return row
