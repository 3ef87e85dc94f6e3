"""`care compare`."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from care_tf.cli import options
from care_tf.cli.commands import Command, command_line
from care_tf.errors import InputError
from care_tf.tensorflow_start import quiet_tensorflow

if TYPE_CHECKING:
    from care_tf.runs.comparison_plan import Cell
    from care_tf.workers import Workers


def comparison_options(folder: str, vary: str) -> Callable:
    """The options of a comparison, with the default of --output and the help of --vary."""
    every = (
        click.option("--vary", "varied", multiple=True, metavar="KEY=VALUE,...", help=vary),
        options.folds(help="Folds to test on. [default: the configurations' own rows]", joined_by=None),
        click.option(
            "--seeds", type=options.WholeNumbers(), metavar="SEED,...", help="[default: the configurations' own]"
        ),
        options.output(help=f"Folder. [default: {folder}]", required=False),
        options.resamples,
        options.workers(help="Runs at a time, each on a GPU or a share of the cores. [default: one after the other]"),
        options.backend,
        options.scheduler,
        click.option("--table-only", is_flag=True, help="Train nothing: write what is finished."),
    )
    return lambda command: functools.reduce(lambda decorated, option: option(decorated), reversed(every), command)


@click.command("compare", cls=Command, example="care compare isic2018/baseline isic2018/care --folds 1,2 --seeds 0,1")
@options.configs("CONFIG... [key=value ...]")
@comparison_options(
    "runs/DATASET/comparison",
    "A run for each value of a setting, such as care.tau=.2,.5,.7; several times: each combination.",
)
@options.group
@options.pairs
@click.pass_context
def compare(
    context: click.Context,
    words: tuple[str, ...],
    varied: tuple[str, ...],
    folds: list[str] | None,
    seeds: list[int] | None,
    output: Path | None,
    num_resamples: int,
    table_only: bool,
    group: str | None,
    pairs: str | None,
    **workers: Any,
) -> None:
    """Compare methods on the same folds and seeds.

    Trains what is not finished; methods share decoded images and every first stage that they have in common. Started
    again, it continues where it stopped; other methods, folds or seeds are added to what is there. With --workers,
    several runs are trained at a time. The folder gets comparison.csv, cells.csv, comparison.md, comparison.png, and a
    run folder per cell.
    """
    names, changes = options.split_words(words)
    if not names:
        raise InputError("Name at least one configuration, such as isic2018/baseline. Received none.")
    chosen = workers_of(**workers)
    asked = folds, seeds, output, num_resamples, table_only, chosen
    run_comparison(context, names, changes, variants(varied), *asked, group=group, pairs=pairs)


def run_comparison(
    context: click.Context,
    names: list[str],
    changes: list[str],
    varied: Mapping[str, Sequence[str]],
    folds: list[str] | None,
    seeds: list[int] | None,
    output: Path | None,
    num_resamples: int,
    table_only: bool,
    workers: "Workers | None" = None,
    tables: Path | None = None,
    group: str | None = None,
    pairs: str | None = None,
) -> "list[Cell]":
    """Trains what is not finished and writes and prints the tables; returns the runs in them.

    `tables` names another folder for them than that of the runs, for the configurations given and no others. The runs
    asked for come before earlier ones. `group` and `pairs` are columns of the manifest, as of `read_image_groups`.
    """
    check_changes(changes, seeds, varied)
    from care_tf.runs.named_configs import comparison_folder

    folder = output if output is not None else comparison_folder(names)
    quiet_tensorflow()
    from care_tf.runs import comparison_plan, comparison_runs
    from care_tf.runs.distribution import is_chief
    from care_tf.runs.earlier_runs import earlier_runs
    from care_tf.runs.image_groups import read_image_groups

    methods = comparison_plan.read_methods(names, changes, varied)
    _check_writable(folder)
    cells = comparison_plan.plan_cells(methods, folds, seeds, folder)
    earlier_methods, earlier_cells = earlier_runs(folder, methods, cells, with_others=tables is None)
    image_groups = read_image_groups([*earlier_cells, *cells], group, pairs)  # refused before hours of training
    if not table_only:
        comparison_runs.run_cells(cells, command=command_line(context), workers=workers)
        if not all(is_chief(cell.config.training) for cell in cells):
            context.exit()  # of several workers the chief writes the tables
    methods = {**earlier_methods, **methods}
    tables = folder if tables is None else tables
    print(comparison_runs.write_tables(methods, [*earlier_cells, *cells], tables, num_resamples, image_groups))
    print(f"wrote {tables}/comparison.csv, cells.csv, comparison.md and comparison.png")
    return [*cells, *earlier_cells]


def workers_of(
    workers: int | None, backend: Literal["local", "dask", "ray"], scheduler: str | None
) -> "Workers | None":
    """Who trains several runs at a time; None: one after the other, in this process."""
    from care_tf.workers import Workers

    chosen = Workers(backend, workers, scheduler)
    if backend != "local" and scheduler is None:
        raise InputError(
            f"--backend {backend} trains on a cluster that runs already. Received no --scheduler. Name its address, or "
            "give --workers alone to use this machine."
        )
    if chosen.num_workers != 1:
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # this process must leave the GPUs to the workers
    return None if backend == "local" and workers in (None, 1) else chosen


def check_changes(changes: Sequence[str], seeds: list[int] | None, varied: Mapping[str, Sequence[str]]) -> None:
    """Raises InputError for a change key=value that a comparison decides otherwise."""
    keys = {change.partition("=")[0] for change in changes}
    if "output" in keys:
        raise InputError("The runs of a comparison lie in its own folder. Give --output FOLDER instead of output=.")
    if "seed" in keys and seeds is not None:
        raise InputError("Both --seeds and seed= were given. Leave one out.")
    for key in keys & set(varied):
        raise InputError(f"{key} varies over {', '.join(varied[key])}, so {key}= cannot set it. Leave one out.")


def variants(varied: tuple[str, ...]) -> dict[str, list[str]]:
    """Key -> values of `--vary`."""
    from care_tf.runs.named_configs import value_name

    found: dict[str, list[str]] = {}
    for given in varied:
        key, _, values = given.partition("=")
        words = options.Words(may_be_empty=True).convert(values, None, None)
        if not key or not words or len(set(map(value_name, words))) < len(words):
            raise InputError(f"--vary takes KEY=VALUE,VALUE with different values. Received {given!r}.")
        if key in found:
            raise InputError(f"--vary must name {key} once, with all its values. Received it twice.")
        if key in ("output", "seed"):
            raise InputError(f"--vary cannot change {key}. Use --output, or --seeds 0,1.")
        found[key] = words
    return found


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink(missing_ok=True)  # another worker may be faster
    except OSError as error:
        raise InputError(f"--output {folder} cannot be written to: {error.strerror}.") from error
