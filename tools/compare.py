"""Trains several methods on the same folds and seeds and writes a table with intervals and paired differences.

Methods share decoded images and every first stage that they have in common. Started again, it goes on where it stopped.
OUTPUT gets comparison.csv, cells.csv, comparison.md, comparison.png, and a run folder per cell.

Example: python tools/compare.py configs/isic2018/{baseline,care}.yaml --folds 1,2 --seeds 0 --output runs/comparison
"""

import argparse
import sys
from pathlib import Path

from command_line import quiet_tensorflow, run_tool


def main(argv: list[str]) -> None:
    """Plans the runs, trains those that are not finished, and writes the tables and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help="YAML files, and key=value for all of them")
    parser.add_argument("--folds", help="folds to test on, separated by commas; default: the configurations' own rows")
    parser.add_argument("--seeds", help="seeds, separated by commas; default: the configurations' own")
    parser.add_argument("--output", default="runs/comparison", type=Path, help="folder (default: runs/comparison)")
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples (default: 1000)")
    parser.add_argument("--table-only", action="store_true", help="train nothing: write what is finished")
    arguments = parser.parse_intermixed_args(argv)  # key=value may stand behind the options, too

    quiet_tensorflow()
    from care_tf.runs import comparison_runs as runs

    overrides = [entry for entry in arguments.configs if "=" in entry]
    paths = [entry for entry in arguments.configs if "=" not in entry]
    seeds = None if arguments.seeds is None else _integers(arguments.seeds)
    folds = None if arguments.folds is None else [fold.strip() for fold in arguments.folds.split(",")]
    _check(arguments, paths, overrides)
    methods = runs.read_methods(paths, overrides)
    cells = runs.plan_cells(methods, folds, seeds, arguments.output)
    if not arguments.table_only:
        runs.run_cells(cells, command=["tools/compare.py", *sys.argv[1:]])
    print(runs.write_tables(methods, cells, arguments.output, arguments.resamples))
    print(f"wrote {arguments.output}/comparison.csv, cells.csv, comparison.md and comparison.png")


def _check(arguments: argparse.Namespace, paths: list[str], overrides: list[str]) -> None:
    from care_tf.errors import InputError

    keys = {override.partition("=")[0] for override in overrides}
    if not paths:
        raise InputError("Name at least one configuration, such as configs/isic2018/baseline.yaml. Received none.")
    if "output" in keys:
        raise InputError("The runs of a comparison lie in its own folder. Give --output FOLDER instead of output=.")
    if "seed" in keys and arguments.seeds is not None:
        raise InputError("Both --seeds and seed= were given. Leave one out.")
    if arguments.resamples < 1:
        raise InputError(f"--resamples must be at least 1. Received {arguments.resamples}.")
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / ".writable").touch()
        (arguments.output / ".writable").unlink()
    except OSError as error:
        raise InputError(f"--output {arguments.output} cannot be written to: {error.strerror}.") from error


def _integers(text: str) -> list[int]:
    from care_tf.errors import InputError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"--seeds must be whole numbers, at least 0, separated by commas. Received {text!r}.")
    return [int(part) for part in parts]


if __name__ == "__main__":
    run_tool(main)
