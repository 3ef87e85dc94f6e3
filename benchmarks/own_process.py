"""A point measured in a process of its own, and PyTorch's steps in theirs. Needs the standard library only."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from step_points import Point

HERE = Path(__file__).resolve().parent


def measured(script: str, point: Point, *others: Any) -> Any:
    """What `python SCRIPT --part [point, *others]` prints last, as JSON."""
    return _output([sys.executable, str(HERE / script), "--part", json.dumps([dataclasses.asdict(point), *others])])


def part_of(words: str) -> tuple[Point, ...]:
    """In that process: the point and the others."""
    fields, *others = json.loads(words)
    return Point(**{**fields, "variants": tuple(fields["variants"])}), *others


def has_torch(python: str) -> bool:
    """Whether this interpreter has PyTorch; a line says so where it has not."""
    there = not subprocess.run([python, "-c", "import torch"], capture_output=True).returncode
    if not there:
        print(f"PyTorch is not installed for {python}: its steps are left out (requirements-torch.txt).", flush=True)
    return there


def measured_in_torch(python: str, point: Point, *words: str) -> Any:
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
