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
    arguments = parser.parse_args(argv)

    quiet_tensorflow()
    from care_tf.runs import comparison as runs

    overrides = [entry for entry in arguments.configs if "=" in entry]
    paths = [entry for entry in arguments.configs if "=" not in entry]
    methods = runs.read_methods(paths, overrides)
    seeds = _integers(arguments.seeds) if arguments.seeds else None
    folds = arguments.folds.split(",") if arguments.folds else None
    cells = runs.plan_cells(methods, folds, seeds, arguments.output)
    if not arguments.table_only:
        runs.run_cells(cells, command=["tools/compare.py", *sys.argv[1:]])
    print(runs.write_tables(methods, cells, arguments.output, arguments.resamples))
    print(f"wrote {arguments.output}/comparison.csv, cells.csv, comparison.md and comparison.png")


def _integers(text: str) -> list[int]:
    from care_tf.errors import InputError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--seeds must be whole numbers separated by commas. Received {text!r}.") from error


if __name__ == "__main__":
    run_tool(main)
