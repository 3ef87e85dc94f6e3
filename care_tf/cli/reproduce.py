"""`care reproduce`."""

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from care_tf.cli.commands import Command
from care_tf.cli.compare import check_changes, comparison_options, run_comparison, variants, workers_of
from care_tf.errors import InputError
from care_tf.files import atomic_path, write_text
from care_tf.tensorflow_start import quiet_tensorflow
from care_tf.text_files import read_text

_RAREST = {"isic2018": "DF", "rsna": "Lung Opacity"}


@click.command(
    "reproduce",
    cls=Command,
    example="care reproduce table6 --folds 1,2 --seeds 0 with=hardware/squeezenet_two_cores",
)
@click.argument("name", metavar="TABLE|FIGURE")
@click.argument("changes", nargs=-1, metavar="[key=value ...]")
@click.option("--dataset", type=click.Choice(list(_RAREST)), default="isic2018")
@comparison_options(
    "runs/reproduce/DATASET", "Other values of what the table varies, such as model.backbone=squeezenet1_1,resnet18."
)
@click.pass_context
def reproduce(
    context: click.Context,
    name: str,
    changes: tuple[str, ...],
    dataset: str,
    varied: tuple[str, ...],
    folds: list[str] | None,
    seeds: list[int] | None,
    output: Path | None,
    num_resamples: int,
    table_only: bool,
    **workers: Any,
) -> None:
    """Run a table or a figure of the paper beside ours.

    table2 to table10, fig8 to fig14. Each is a comparison as of `care compare`: it continues where it stopped, and
    takes folds and seeds one after the other. All share their runs; each has a folder of its own in --output, with
    paper.md beside the comparison's files, or with the figure as a PNG; with --vary the folder is
    called by the values, too. results.md has all tables so far.
    """
    wrong = [change for change in changes if "=" not in change]
    if wrong:
        raise InputError(f"After the table or figure come changes, key=value. Received {wrong[0]!r}.")
    quiet_tensorflow()
    from care_tf.runs.comparison_runs import comparison_notes
    from care_tf.runs.reproduced_figures import table_of
    from care_tf.runs.reproduced_summary import PAGE, read_comparison
    from care_tf.runs.reproduced_tables import beside_paper
    from care_tf.runs.reproduction import UNPUBLISHED

    table, figure = table_of(name, dataset)
    runs = output if output is not None else Path("runs/reproduce", dataset)
    others = variants(varied)
    folder = runs / _folder_name(name, others)
    picture = folder / f"{name}.png"
    if table is None:
        _refuse_ignored(context, name)
        check_changes(changes, seeds, {})
        _draw_boxes(dataset, changes, picture)
        return
    names = [f"{dataset}/{config}" for config in table.configs]
    if not set(others) <= set(table.varied):
        known = ", ".join(table.varied) or "nothing"
        raise InputError(f"--vary must name what {name} varies: {known}. Received {', '.join(others)}.")
    asked = (folds, seeds, runs, num_resamples, table_only, workers_of(**workers))
    cells = run_comparison(context, names, list(changes), {**table.varied, **others}, *asked, folder)
    rows = read_comparison(folder / "comparison.csv")
    if figure is not None and figure.draw is not None:
        shown = figure.draw(cells, rows, picture)
        print(f"wrote {picture}, which shows {shown}")
        return
    if figure is not None:
        with atomic_path(picture) as temporary:  # the comparison's own plot is the figure
            shutil.copyfile(folder / "comparison.png", temporary)
    configs = {cell.method: cell.config for cell in cells}
    methods = configs if others else table.rows
    table = dataclasses.replace(table, rows={method: table.rows.get(method, UNPUBLISHED) for method in methods})
    compared = beside_paper(table, rows, _RAREST[dataset], configs)
    given = "; ".join(f"{key} {', '.join(values)}" for key, values in others.items())
    title = f"{name}, {dataset}: {table.title}{f', here {given}' if given else ''}"
    changed = f"Run with `{' '.join(changes)}`.\n\n" if changes else ""
    text = f"## {title}\n\n{changed}{compared}\n\n{comparison_notes(configs, cells)}\n"
    write_text(folder / PAGE, text)
    write_text(runs / "results.md", _results(runs, _RAREST[dataset]))
    print(f"{text}\nwrote {folder / PAGE}, and all that was reproduced in {runs / 'results.md'}")


def _results(runs: Path, rarest: str) -> str:
    """All tables of a folder below what they say together."""
    from care_tf.runs.reproduced_summary import PAGE, summary_of_folder

    def order(page: Path) -> tuple[int, str]:
        name = page.parent.name
        return len(name.partition("_")[0]), name

    pages = [read_text(page) for page in sorted(runs.glob(f"*/{PAGE}"), key=order)]
    summary = summary_of_folder(runs, rarest)
    return "\n".join([*([f"{summary}\n"] if summary else []), *pages])


def _folder_name(name: str, others: Mapping[str, Sequence[str]]) -> str:
    """The table's or figure's own, or with the values that it is asked for instead: table7_lam=2,3."""
    from care_tf.runs.named_configs import value_name

    parts = [name]
    for key, given in others.items():
        values = (Path(value).stem if "/" in value else value_name(value) for value in given)
        parts.append(f"{key.rpartition('.')[2]}={','.join(values)}")
    return "_".join(parts)


def _refuse_ignored(context: click.Context, name: str) -> None:
    """Refuses the options of a comparison for a figure that shows no runs."""
    takes = {"name", "changes", "dataset", "output"}
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name not in takes
        and context.get_parameter_source(str(option.name)) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise InputError(f"{name} shows no runs: it takes --dataset and --output. Received {', '.join(given)}.")


def _draw_boxes(dataset: str, changes: tuple[str, ...], picture: Path) -> None:
    """Fig. 13, which needs boxes and no run."""
    from care_tf.runs.config import load_config
    from care_tf.runs.reproduced_boxes import write_box_figure

    made = []
    for title in ("DSR", "Segmentation"):
        data = load_config(f"{dataset}/care_boxes_{title.lower()}", changes).data
        boxes = Path(str(data.train_boxes))
        made.append((title, boxes, boxes.with_name(f"{boxes.stem}_maps")))
    write_box_figure(data.manifest, made, picture, _RAREST[dataset])
    print(f"wrote {picture}")
