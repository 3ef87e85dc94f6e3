"""Steps measured in a process of their own: care_tf's of a point, and PyTorch's. Needs the standard library only."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from step_points import Point

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
