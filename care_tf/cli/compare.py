"""`care compare`."""

from pathlib import Path

import click

from care_tf.cli import options
from care_tf.cli.commands import Command, command_line
from care_tf.errors import InputError
from care_tf.tensorflow_start import quiet_tensorflow


@click.command("compare", cls=Command, example="care compare isic2018/baseline isic2018/care --folds 1,2 --seeds 0,1")
@options.configs("CONFIG... [key=value ...]")
@options.folds(help="Folds to test on. [default: the configurations' own rows]", joined_by=None)
@click.option("--seeds", type=options.WholeNumbers(), metavar="SEED,...", help="[default: the configurations' own]")
@options.output(help="Folder. [default: runs/DATASET/comparison]", required=False)
@options.resamples
@click.option("--table-only", is_flag=True, help="Train nothing: write what is finished.")
@click.pass_context
def compare(
    context: click.Context,
    words: tuple[str, ...],
    folds: list[str] | None,
    seeds: list[int] | None,
    output: Path | None,
    num_resamples: int,
    table_only: bool,
) -> None:
    """Compare methods on the same folds and seeds.

    Trains what is not finished; methods share decoded images and every first stage that they have in common. Started
    again, it continues where it stopped. The folder gets comparison.csv, cells.csv, comparison.md, comparison.png, and
    a run folder per cell.
    """
    from care_tf.runs.named_configs import comparison_folder

    names, changes = options.split_words(words)
    _check(names, changes, seeds)
    folder = output if output is not None else comparison_folder(names)
    quiet_tensorflow()
    from care_tf.runs import comparison_plan, comparison_runs

    methods = comparison_plan.read_methods(names, changes)
    _check_writable(folder)
    cells = comparison_plan.plan_cells(methods, folds, seeds, folder)
    if not table_only:
        comparison_runs.run_cells(cells, command=command_line(context))
    print(comparison_runs.write_tables(methods, cells, folder, num_resamples))
    print(f"wrote {folder}/comparison.csv, cells.csv, comparison.md and comparison.png")


def _check(names: list[str], changes: list[str], seeds: list[int] | None) -> None:
    keys = {change.partition("=")[0] for change in changes}
    if not names:
        raise InputError("Name at least one configuration, such as isic2018/baseline. Received none.")
    if "output" in keys:
        raise InputError("The runs of a comparison lie in its own folder. Give --output FOLDER instead of output=.")
    if "seed" in keys and seeds is not None:
        raise InputError("Both --seeds and seed= were given. Leave one out.")


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise InputError(f"--output {folder} cannot be written to: {error.strerror}.") from error
