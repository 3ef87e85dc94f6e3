"""`care reproduce`."""

import csv
from pathlib import Path

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.cli.compare import run_comparison
from care_tf.errors import InputError
from care_tf.files import atomic_path


@click.command(
    "reproduce",
    cls=Command,
    example="care reproduce table6 --folds 1,2 --seeds 0 with=hardware/squeezenet_two_cores",
)
@click.argument("table", metavar="TABLE")
@click.argument("changes", nargs=-1, metavar="[key=value ...]")
@click.option("--dataset", type=click.Choice(["isic2018", "rsna"]), default="isic2018")
@options.folds(help="Folds to test on. [default: the configurations' own rows]", joined_by=None)
@click.option("--seeds", type=options.WholeNumbers(), metavar="SEED,...", help="[default: the configurations' own]")
@options.output(help="Folder. [default: runs/reproduce/DATASET]", required=False)
@options.resamples
@click.option("--table-only", is_flag=True, help="Train nothing: write what is finished.")
@click.pass_context
def reproduce(
    context: click.Context,
    table: str,
    changes: tuple[str, ...],
    dataset: str,
    folds: list[str] | None,
    seeds: list[int] | None,
    output: Path | None,
    num_resamples: int,
    table_only: bool,
) -> None:
    """Run a table of the paper and print its figures beside ours.

    TABLE is table2 to table10. It is a comparison as of `care compare`: it continues where it stopped, and takes
    folds and seeds one after the other. Tables share their runs, and each has a folder of its own in --output, with
    paper.md beside the comparison's files.
    """
    from care_tf.runs.reproduction import beside_paper, paper_table

    wrong = [change for change in changes if "=" not in change]
    if wrong:
        raise InputError(f"After the table come changes, key=value. Received {wrong[0]!r}.")
    published = paper_table(table, dataset)
    runs = output if output is not None else Path("runs/reproduce", dataset)
    names = [f"{dataset}/{name}" for name in published.configs]
    folder = run_comparison(
        context, names, list(changes), published.varied, folds, seeds, runs, num_resamples, table_only, runs / table
    )
    with (folder / "comparison.csv").open(newline="", encoding="utf-8") as file:
        rows = [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]
    rarest = "DF" if dataset == "isic2018" else "Lung Opacity"
    text = f"## {table}, {dataset}: {published.title}\n\n{beside_paper(published, rows, rarest)}\n"
    with atomic_path(folder / "paper.md") as temporary:
        temporary.write_text(text)
    print(text)


def _number(value: str) -> float | str | None:
    try:
        return float(value) if value else None
    except ValueError:
        return value
