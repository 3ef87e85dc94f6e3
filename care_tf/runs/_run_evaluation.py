"""A run folder becomes scores, predictions and a report."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from care_tf import run_files
from care_tf.data import Manifest
from care_tf.data.groups import groups_or_none
from care_tf.errors import InputError
from care_tf.evaluation import Report, paired_difference, write_report
from care_tf.evaluation.check_size import CHECK_IMAGES
from care_tf.evaluation.decision_thresholds import CallScores
from care_tf.evaluation.estimate_text import estimate_text
from care_tf.evaluation.headline import estimate_of
from care_tf.evaluation.pictures import shortened
from care_tf.evaluation.scores import Estimate
from care_tf.files import files_together, sole_work, write_json
from care_tf.images.decoding import corrupt_files_refused
from care_tf.runs._cell_record import cell_record
from care_tf.runs._changed_images import check_changed_alike
from care_tf.runs._example_maps import selected_rows
from care_tf.runs._folder import LoadedRun, input_names, load_run
from care_tf.runs._progress import finished_stages
from care_tf.runs._run_groups import GroupColumns, GroupFigures, group_figures
from care_tf.runs._run_predictions import EvaluatedRun, evaluated, write_predictions
from care_tf.runs._run_report import calls_of, run_report
from care_tf.runs._source_files import FileStates, files_of_rows, write_states
from care_tf.text_files import read_text


@corrupt_files_refused()
def evaluate_run(
    folder: str | os.PathLike,
    manifest: str | os.PathLike | None = None,
    split: str | None = None,
    folds: Sequence[str] | None = None,
    baseline: str | os.PathLike | None = None,
    output: str | os.PathLike | None = None,
    num_resamples: int = 1000,
    group: str | None = None,
    pairs: str | None = None,
    check_images: int = CHECK_IMAGES,
) -> str:
    """Evaluates a finished run and writes metrics.json, predictions.csv and report.html.

    Those of an earlier evaluation stay until all three are written. Where metrics.json is, all are of one evaluation.

    Args:
      folder: Run folder.
      manifest: Manifest of labeled images; None takes the run's own.
      split: Rows with this split; with `folds` None too, the run's `data.test` is taken.
      folds: Rows of these folds.
      baseline: Another run folder, compared image by image.
      output: Where to write; None means the run folder.
      num_resamples: Bootstrap resamples over groups.
      group: Column of the manifest, such as "cue": recall is shown for each of its values, and the lowest.
      pairs: Column that names pairs of images with two values of `group`: how often the call changes in a pair.
      check_images: So many images of each class with boxes are predicted again with the lesion, or all but it, hidden,
        and with parts blurred; 0: none.

    Returns:
      The headline figures as text.

    Raises:
      InputError: A folder is not a finished run, the rows are empty, the runs have different classes, the columns say
        nothing of some image, a run changes images by their boxes and that would tell their class, the output holds a
        comparison's run and the rows are not those that it is tested on, or another process works in the output.
    """
    columns = GroupColumns(group, pairs)
    run = load_run(folder)
    other = None if baseline is None else load_run(baseline)
    if other is not None and other.class_names != run.class_names:
        raise InputError(
            f"{folder} and {baseline} have different classes, {run.class_names} and {other.class_names}: their "
            "figures cannot be compared."
        )
    inputs = input_names([folder] if baseline is None else [folder, baseline])
    inputs += [name for name in columns.names if name not in inputs]
    rows = selected_rows(run, "test", manifest, split, folds, inputs)
    for each in (run,) if other is None else (run, other):
        check_changed_alike(each.config.data, rows, "the images to evaluate")
    target = Path(output) if output is not None else run.folder
    is_cell = (target / run_files.CELL_RECORD).exists()
    if is_cell:
        _check_cell(target, run, rows)
    with sole_work(target):
        sources = FileStates().of(files_of_rows(rows)) if is_cell else None
        own = evaluated(run, rows, num_resamples, check_images)
        compared = None if other is None else evaluated(other, rows, num_resamples, check_images)
        differences = None if compared is None else _differences(own, compared, num_resamples)
        in_groups = group_figures(own, compared, columns, num_resamples)
        calls = calls_of(own, num_resamples)
        report = run_report(own, compared, differences, calls)
        with files_together(target, run_files.METRICS) as folder:
            write_predictions(folder, rows, own.predictions)
            if sources is not None:
                write_states(folder / run_files.PREDICTED_FILES, sources)
            write_report(folder / run_files.REPORT, report)
            _write_metrics(folder, own, compared, differences, calls[0], in_groups)
    return "\n".join(text for text in (_summary(report, target), in_groups.text) if text)


def _check_cell(target: Path, run: LoadedRun, rows: Manifest) -> None:
    """Refuses to replace the predictions that a comparison's tables are made of by those of another run or rows."""
    columns = {name: rows.inputs[name] for name in input_names([run.folder])}
    tested = dataclasses.replace(rows, inputs=columns, outside_boxes=run.config.data.test_reading["outside_boxes"])
    record = cell_record(finished_stages(run.folder), tested, run.config.care)
    if not os.path.samefile(target, run.folder) or record != read_text(target / run_files.CELL_RECORD):
        raise InputError(
            f"{target} is a run of a comparison, whose tables are made of its predictions: only this run on the rows "
            f"that it is tested on may be evaluated there. Received {run.folder} on {len(rows)} images of "
            f"{rows.source}. Choose another --output."
        )


def _differences(own: EvaluatedRun, baseline: EvaluatedRun, num_resamples: int) -> dict[str, Estimate]:
    return paired_difference(
        own.rows.labels,
        baseline.predictions.probabilities,
        own.predictions.probabilities,
        own.rows.class_names,
        groups=groups_or_none(own.rows.groups),
        baseline_attention_inside=baseline.predictions.attention_inside,
        attention_inside=own.predictions.attention_inside,
        num_resamples=num_resamples,
        baseline_lesion_check=baseline.predictions.lesion_check,
        lesion_check=own.predictions.lesion_check,
    )


def _write_metrics(
    folder: Path,
    own: EvaluatedRun,
    baseline: EvaluatedRun | None,
    differences: Mapping[str, Estimate] | None,
    calls: Sequence[CallScores],
    in_groups: GroupFigures,
) -> None:
    metrics: dict[str, Any] = {"manifest": os.path.basename(own.rows.source), "scores": own.scores.to_dict()}
    if baseline is not None:
        metrics["baseline"] = {"run": str(baseline.run.folder), "scores": baseline.scores.to_dict()}
        metrics["differences"] = {name: dataclasses.asdict(value) for name, value in (differences or {}).items()}
    if in_groups.own is not None:
        metrics["groups"] = in_groups.own
    if in_groups.baseline is not None:
        metrics["baseline"]["groups"] = in_groups.baseline
        metrics["differences"] |= {name: dataclasses.asdict(value) for name, value in in_groups.differences.items()}
    metrics["calls"] = [dataclasses.asdict(each) for each in calls]
    write_json(folder / run_files.METRICS, metrics, indent=2)


def _summary(report: Report, target: Path) -> str:
    focus, runs = report.focus[0], [run for run in (report.run, report.baseline) if run]
    figures = {
        "mean_class_accuracy": "mean class accuracy",
        "macro_auc": "macro AUC",
        f"recall/{focus}": f"recall of {focus}",
        f"recall_at_equal_calls/{focus}": "  at equal calls",
        f"precision/{focus}": f"precision of {focus}",
        f"average_precision/{focus}": f"average precision of {focus}",
        f"auc/{focus}": f"AUC of {focus}",
        f"attention_inside/{focus}": f"attention inside {focus}",
        f"lesion_reliance/{focus}": f"lesion reliance of {focus}",
    }
    width = max(map(len, figures.values())) + 2
    columns = [shortened(run.name, 22) for run in runs]
    columns += ["difference"] if report.differences else []
    scores = report.run.scores
    lines = [f"{scores.num_images} images, {scores.num_groups} groups; 95 % intervals over groups"]
    lines.append(f"{'':{width}}{''.join(f'{name:24}' for name in columns)}".rstrip())
    for key, title in figures.items():
        estimates: list[Estimate | None]
        if key.startswith("recall_at_equal_calls/"):
            if not report.differences:
                continue
            estimates = [None, None]
        else:
            estimates = [estimate_of(run.scores, key) for run in runs]
        estimates += [report.differences[key]] if report.differences else []
        texts = [f"{estimate_text(estimate, undefined='-'):24}" for estimate in estimates]
        lines.append(f"{title:{width}}{''.join(texts)}".rstrip())
    return "\n".join([*lines, *report.image_notes, f"wrote {target / run_files.REPORT}"])
