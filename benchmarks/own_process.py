"""Steps measured in a process of their own: care_tf's of a point, and PyTorch's. Needs the standard library only."""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from records import Record, add_output, print_record, write_records
from step_points import Point, add_points, points_of, torch_points

HERE = Path(__file__).resolve().parent


def measure_point(script: str, point: Point, other: Any) -> Any:
    """What a script's `measure` returns for this point and one more argument."""
    return _output([sys.executable, str(HERE / script), "--part", part_text(point, other)])


def part_text(point: Point, other: Any) -> str:
    """The two as a word of a command line."""
    return json.dumps([dataclasses.asdict(point), other])


def part_of(text: str) -> tuple[Point, Any]:
    """In that process: the point and the other."""
    fields, other = json.loads(text)
    return Point(**{**fields, "variants": tuple(fields["variants"])}), other


def run_script(
    description: str | None,
    measure: Callable[[Point, Any], Any],
    all_records: Callable[[Sequence[Point], int, str], Iterable[Record]],
    num_rounds: int,
) -> None:
    """What a script of this kind does: prints every record of its points, and writes them; or measures one part.

    Args:
      description: Of the script.
      measure: A point and one more argument -> what can be JSON, in a process of its own.
      all_records: Points, rounds and the interpreter that has PyTorch -> records.
      num_rounds: By default.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_points(parser)
    parser.add_argument("--rounds", type=int, default=num_rounds, help=f"rounds that count (default {num_rounds})")
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter that has PyTorch")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    add_output(parser)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(measure(*part_of(arguments.part))))
        return
    records: list[Record] = []
    for each in all_records(points_of(arguments), arguments.rounds, arguments.torch_python):
        print_record(each)
        records.append(each)
        write_records(arguments.output, records)  # each time: what was measured outlives an interruption


def points_in_torch(points: Sequence[Point], python: str) -> list[Point]:
    """Those that PyTorch's steps stand beside; none where this interpreter has no PyTorch."""
    beside = torch_points(points)
    return beside if beside and has_torch(python) else []


def has_torch(python: str) -> bool:
    """Whether this interpreter has PyTorch; a line says so where it has not."""
    try:
        there = not subprocess.run([python, "-c", "import torch"], capture_output=True).returncode
    except OSError:
        there = False
    if not there:
        print(f"PyTorch is not installed for {python}: its steps are left out (requirements-torch.txt).", flush=True)
    return there


def measure_in_torch(python: str, point: Point, *words: str) -> Any:
    """What benchmarks/torch_step.py prints for this point."""
    command = [python, str(HERE / "torch_step.py")]
    for name in ("network", "size", "batch", "classes", "masked"):
        command += [f"--{name}", str(getattr(point, name))]
    return _output([*command, *words])


def _output(command: list[str]) -> Any:
    # This checkout's package, and the transformer beside this script, come before what is installed.
    path = os.pathsep.join([str(HERE.parent), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    if done.returncode:
        raise SystemExit(f"{done.stderr}\nThis failed: {' '.join(command)}")
    return json.loads(done.stdout.splitlines()[-1])
