"""The paper's figures that show runs: each drawn from the runs of one of its tables, or of a comparison of its own."""

import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from care_tf.data import read_manifest
from care_tf.data.class_focus import rarest_first
from care_tf.errors import InputError, did_you_mean
from care_tf.evaluation.class_figure import write_class_figure
from care_tf.evaluation.training_figure import write_training_figure
from care_tf.runs._progress import HISTORY
from care_tf.runs.comparison_plan import Cell
from care_tf.runs.reproduction import TABLES, PaperTable
from care_tf.runs.run_maps import write_run_maps
from care_tf.text_files import read_bytes

Draw = Callable[[Sequence[Cell], Sequence[Mapping[str, Any]], Path], str]


@dataclasses.dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper.

    Attributes:
      title: What it shows.
      draw: Draws it from the runs, those asked for before others, and the rows of `comparison_rows` into a PNG file,
        and returns what it shows; None where the comparison's own plot is the figure.
      table: The table whose runs it shows, or a comparison of its own; None where it shows no runs.
    """

    title: str
    draw: Draw | None
    table: str | PaperTable | None


def _maps(*methods: str) -> Draw:
    def draw(cells: Sequence[Cell], rows: Sequence[Mapping[str, Any]], output: Path) -> str:
        runs = _finished(cells, methods)
        write_run_maps([run.folder for run in runs], output, titles=[run.config.title or run.method for run in runs])
        return _fold_and_seed(runs[0])

    return draw


def _finished(cells: Sequence[Cell], methods: Sequence[str]) -> list[Cell]:
    """One finished run of each method, all of the first fold and seed that has them."""
    finished: dict[tuple[str, int], dict[str, Cell]] = {(cell.fold, cell.config.seed): {} for cell in cells}
    for cell in cells:
        if cell.is_finished:
            finished[cell.fold, cell.config.seed][cell.method] = cell
    for runs in finished.values():
        if set(methods) <= set(runs):
            return [runs[method] for method in methods]
    missing = min(([method for method in methods if method not in runs] for runs in finished.values()), key=len)
    raise InputError(
        f"The figure shows {', '.join(methods)}, each finished on the same fold and seed. Received no run of "
        f"{', '.join(missing)}. Leave out --table-only and --vary to train what is missing."
    )


def _fold_and_seed(run: Cell) -> str:
    return f"fold {run.fold}, seed {run.config.seed}"


def _classes(cells: Sequence[Cell], rows: Sequence[Mapping[str, Any]], output: Path) -> str:
    methods = ("baseline", "care")
    data = _finished(cells, methods)[0].config.data
    counts = read_manifest(data.manifest, class_names=data.class_names, check_images=False).class_counts
    write_class_figure(output, rows, *methods, rarest_first(counts))
    return "all finished runs"


def _training(cells: Sequence[Cell], rows: Sequence[Mapping[str, Any]], output: Path) -> str:
    import pandas as pd

    (run,) = _finished(cells, ["care_validated"])
    write_training_figure(output, pd.read_csv(io.BytesIO(read_bytes(run.folder / HISTORY))))
    return _fold_and_seed(run)


_TAUS = tuple(f"care_csl@tau={tau}" for tau in (".2", ".4", ".5", ".7", "1"))
_SCALES = (".7", ".8", ".9", "1", "1.1")
_DSR, _SEGMENTATION = "care_boxes_dsr", "care_boxes_segmentation"

FIGURES: dict[tuple[str, str], PaperFigure] = {
    ("fig8", "isic2018"): PaperFigure("CARE and the baseline class by class", _classes, "table2"),
    ("fig8", "rsna"): PaperFigure("CARE and the baseline class by class", _classes, "table2"),
    ("fig9", "isic2018"): PaperFigure(
        "The training of CARE", _training, PaperTable("The training of CARE", ("care_validated",), {})
    ),
    ("fig10", "isic2018"): PaperFigure("Maps without and with CARE", _maps("baseline", "care"), "table2"),
    ("fig10", "rsna"): PaperFigure("Maps without and with CARE", _maps("baseline", "care"), "table2"),
    ("fig11", "isic2018"): PaperFigure(
        "The size of the boxes",
        None,
        PaperTable(
            "The size of the boxes",
            ("baseline", "care"),
            {"baseline": (None, None, None)} | {f"care@train_box_scale={s}": (None, None, None) for s in _SCALES},
            {"data.train_box_scale": _SCALES},
            differs="Ours is without cost-sensitive learning. The paper's is of ResNet50(CARE), which has it in Tables "
            "4 and 5; Fig. 11 does not say.",
        ),
    ),
    ("fig12", "isic2018"): PaperFigure("Maps at every tau", _maps("csl", *_TAUS), "table6"),
    ("fig13", "isic2018"): PaperFigure("Boxes drawn and made", None, None),
    ("fig14", "isic2018"): PaperFigure(
        "Maps with drawn and with made boxes", _maps("baseline", "care", _DSR, _SEGMENTATION), "table8"
    ),
}


def table_of(name: str, dataset: str) -> tuple[PaperTable | None, PaperFigure | None]:
    """What stands behind a name of the paper: the comparison to run, and the figure to draw from it.

    Args:
      name: "table2" to "table10", or "fig8" to "fig14".
      dataset: "isic2018" or "rsna".

    Raises:
      InputError: There is no such table or figure, or not on this data set.
    """
    names = list(dict.fromkeys(name for name, _ in (*TABLES, *FIGURES)))
    if name not in names:
        raise InputError(
            f"The table or figure must be one of {', '.join(names)}. Received {name!r}.{did_you_mean(name, names)}"
        )
    if (name, dataset) in TABLES:
        return TABLES[name, dataset], None
    figure = FIGURES.get((name, dataset))
    if figure is None:
        known = ", ".join(other for other in names if {(other, dataset)} & {*TABLES, *FIGURES})
        raise InputError(
            f"Of {dataset} there are {known}. Received {name}, which is of isic2018 only: leave --dataset out."
        )
    return (TABLES[figure.table, dataset] if isinstance(figure.table, str) else figure.table), figure
