"""What a CARE training step costs beside a plain Keras step of the same network, batch, optimizer and input.

Time: the variants (benchmarks/step_variants.py) take turns in one process, each a few steps of `fit`; seconds a step by
the clock and of processor time, and the rounds' ratios. Memory: the peak resident set of three steps, traced
before, in a process of its own for each variant. --quick and --full measure a base point and one axis at a time around
it; without them it is one point, which the other options choose. The same steps in PyTorch stand beside ResNets where
PyTorch is there (benchmarks/torch_step.py).

Example: python benchmarks/step_cost.py --network resnet50 --batch 8 --size 224
         python benchmarks/step_cost.py --quick --output steps.json
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from records import Record, add_output, records_of, write_records
from rounds import Spread, in_turns, peaks_mib, seconds_of

HERE = Path(__file__).resolve().parent
TORCH_NETWORKS = ("resnet18", "resnet50", "resnet152")
EFFICIENTNET, MOBILENET = "keras.applications/EfficientNetB0", "keras.applications/MobileNetV2"
VIT = "vision_transformer:vit_tiny"
MAPS = tuple(f"care {cam}" for cam in ("gradcam++", "hirescam", "layercam", "xgradcam"))
MODES, PRECISIONS = ("graph", "eager", "xla"), ("float32", "mixed_float16", "mixed_bfloat16")
# Fewer steps a round than this long would be `fit`'s own start and end.
SECONDS_A_ROUND = 1.0


@dataclasses.dataclass(frozen=True)
class Cell:
    """One point: what is trained, and which steps are compared at it.

    Attributes:
      network: A backbone's name.
      size: Height and width, px.
      batch: Images a step.
      masked: Share of them with a mask.
      classes: Number of classes.
      mode: One of `MODES`.
      precision: One of `PRECISIONS`.
      variants: Steps to compare; the first is the base.
      memory: Those whose peak memory is measured.
    """

    network: str = "resnet18"
    size: int = 128
    batch: int = 8
    masked: float = 0.25
    classes: int = 7
    mode: str = "graph"
    precision: str = "float32"
    variants: tuple[str, ...] = ("plain", "care", "care nested", "two passes")
    memory: tuple[str, ...] = ()

    def __str__(self) -> str:
        network = self.network.rpartition("/")[2].rpartition(":")[2]
        return (
            f"{network}, {self.size} px, batch {self.batch}, {self.masked:.0%} masked, {self.classes} classes, "
            f"{self.mode}, {self.precision}"
        )


def quick_cells() -> list[Cell]:
    """A small network at 128 px; two cores measure this in about an hour."""
    base = Cell()
    networks = ("resnet50", "vgg19", MOBILENET, "squeezenet1_1", EFFICIENTNET, VIT)
    return [
        dataclasses.replace(base, variants=base.variants + MAPS, memory=base.variants),
        *(dataclasses.replace(base, network=name, memory=("plain", "care")) for name in networks),
        *along(base, "batch", (1, 32)),
        *along(base, "size", (64, 224)),
        *along(base, "masked", (0.0, 1.0)),
        *along(base, "classes", (2, 100)),
        *along(base, "mode", ("eager", "xla")),
        *along(base, "precision", ("mixed_bfloat16",)),
    ]


def full_cells() -> list[Cell]:
    """ResNet50 at 224 px, the paper's setting, and more of every axis; hours on two cores."""
    base = Cell("resnet50", 224)
    networks = ("resnet18", "resnet152", "vgg19", MOBILENET, "squeezenet1_1", EFFICIENTNET, VIT)
    return [
        dataclasses.replace(base, variants=base.variants + MAPS, memory=base.variants + MAPS),
        *(dataclasses.replace(base, network=name, memory=base.variants) for name in networks),
        *(dataclasses.replace(each, memory=each.variants) for each in along(base, "batch", (1, 4, 16, 32))),
        *(dataclasses.replace(each, memory=each.variants) for each in along(base, "size", (64, 128, 320))),
        *along(base, "masked", (0.0, 0.5, 1.0)),
        *along(base, "classes", (2, 100, 1000)),
        *(dataclasses.replace(each, memory=each.variants) for each in along(base, "mode", ("eager", "xla"))),
        *(dataclasses.replace(each, memory=each.variants) for each in along(base, "precision", PRECISIONS[1:])),
    ]


def along(base: Cell, axis: str, values) -> list[Cell]:
    """The base with other values of one attribute."""
    return [dataclasses.replace(base, **{axis: value}) for value in values]


# --- in a process of its own ------------------------------------------------------------------------------------------


def measure(cell: Cell, num_rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Variant -> seconds a step in every round, by the clock and of processor time."""
    from step_variants import make_step, set_precision

    set_precision(cell.precision)
    made = {variant: make_step(variant, cell) for variant in cell.variants}
    steps = {variant: step for variant, step in made.items() if step is not None}
    for step in steps.values():
        step(1)  # traces
    once = seconds_of(lambda: steps[cell.variants[0]](1)).wall
    num_steps = max(1, min(20, round(SECONDS_A_ROUND / once)))
    calls = {variant: lambda step=step: step(num_steps) for variant, step in steps.items()}
    taken = in_turns(calls, num_rounds)
    return {
        variant: [(each.wall / num_steps, each.processor / num_steps) for each in rounds]
        for variant, rounds in taken.items()
    }


def measure_memory(cell: Cell, variant: str) -> list[float] | None:
    """Peak memory of this process, MiB, in each of three steps; None where the network has no such variant."""
    from step_variants import make_step, set_precision

    set_precision(cell.precision)
    step = make_step(variant, cell)
    return None if step is None else peaks_mib(lambda: step(1))


def run_part(words: str) -> None:
    """What a process of its own does, as JSON: [cell, variant or None, rounds]; prints the result as JSON."""
    fields, variant, num_rounds = json.loads(words)
    cell = Cell(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})
    warnings.filterwarnings("ignore", message="CARE trains no attention")
    print(json.dumps(measure(cell, num_rounds) if variant is None else measure_memory(cell, variant)))


# --- in the first process ---------------------------------------------------------------------------------------------


def output_of(command: list[str]):
    """The last line that a process prints, as JSON; what it said where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": _search_path()})
    if done.returncode:
        raise SystemExit(f"{done.stderr}\nThis failed: {' '.join(command)}")
    return json.loads(done.stdout.splitlines()[-1])


def _search_path() -> str:
    """The checkout's package, and the transformer beside this script, before what is installed."""
    return os.pathsep.join([str(HERE.parent), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])


def cell_records(cell: Cell, num_rounds: int) -> list[Record]:
    """Time of all variants of a cell, and memory of some."""

    def part(variant: str | None):
        words = json.dumps([dataclasses.asdict(cell), variant, num_rounds])
        return output_of([sys.executable, __file__, "--part", words])

    found = time_records(str(cell), part(None), cell.variants[0])
    return found + memory_records(str(cell), {variant: part(variant) for variant in cell.memory})


def time_records(case: str, seconds: dict[str, list[tuple[float, float]]], base: str) -> list[Record]:
    """By the clock, and of processor time, which another program on the machine changes less."""
    found = []
    for column, unit in enumerate(("s a step", "processor s a step")):
        values = {variant: [each[column] for each in rounds] for variant, rounds in seconds.items()}
        found += records_of("step_cost", case, unit, values, base)
    return found


def memory_records(case: str, memory: dict[str, list[float] | None]) -> list[Record]:
    """A record for each variant that the network has, beside the first one."""
    values = {variant: peaks for variant, peaks in memory.items() if peaks is not None}
    return records_of("step_cost", case, "MiB at the peak", values, next(iter(values))) if values else []


def torch_records(cell: Cell, num_rounds: int, python: str) -> list[Record]:
    """The same steps in PyTorch; none, and a line that says so, where PyTorch is not there."""
    if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode:
        print(f"PyTorch is not installed for {python}: its steps are left out (requirements-torch.txt).", flush=True)
        return []
    command = [python, str(HERE / "torch_step.py"), "--network", cell.network, "--rounds", str(num_rounds)]
    for name in ("size", "batch", "classes", "masked"):
        command += [f"--{name}", str(getattr(cell, name))]
    named = {f"PyTorch {variant}": seconds for variant, seconds in output_of(command).items()}
    memory = {f"PyTorch {each}": output_of([*command, "--memory-of", each]) for each in ("plain", "care nested")}
    case = str(cell)
    return time_records(case, named, "PyTorch plain") + memory_records(case, memory)


def all_records(cells: list[Cell], num_rounds: int, torch_python: str) -> Iterator[Record]:
    """Records of all cells, printed as they come."""
    torch_cells = [cell for cell in cells if cell.memory and cell.network in TORCH_NETWORKS and is_torch_point(cell)]
    parts = [(cell_records, (cell, num_rounds)) for cell in cells]
    parts += [(torch_records, (cell, num_rounds, torch_python)) for cell in torch_cells]
    for measured, arguments in parts:
        print(f"{arguments[0]}", flush=True)
        for each in measured(*arguments):
            print(f"  {line_of(each)}", flush=True)
            yield each


def is_torch_point(cell: Cell) -> bool:
    """Whether PyTorch's steps are written for this: one batch size, graph and float32."""
    return (cell.batch, cell.mode, cell.precision) == (8, "graph", "float32")


def line_of(each: Record) -> str:
    """A record for people."""
    ratio = f"  {Spread(**each['ratio'])} of {each['base']}" if "ratio" in each else ""
    return f"{each['variant']:22} {each['median']:9.3f} {each['unit']}{ratio}"


def main() -> None:
    """Prints every record, and writes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_const", dest="cells", const=quick_cells, help="a small network's axes")
    parser.add_argument("--full", action="store_const", dest="cells", const=full_cells, help="ResNet50's; hours")
    base = Cell()
    parser.add_argument("--network", default=base.network)
    parser.add_argument("--size", type=int, default=base.size)
    parser.add_argument("--batch", type=int, default=base.batch)
    parser.add_argument("--masked", type=float, default=base.masked, help="share of images with a mask")
    parser.add_argument("--classes", type=int, default=base.classes)
    parser.add_argument("--mode", choices=MODES, default=base.mode)
    parser.add_argument("--precision", choices=PRECISIONS, default=base.precision)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default 5)")
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter that has PyTorch")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    add_output(parser)
    arguments = parser.parse_args()
    if arguments.part:
        run_part(arguments.part)
        return
    named = ("network", "size", "batch", "masked", "classes", "mode", "precision")
    point = Cell(**{name: getattr(arguments, name) for name in named}, memory=base.variants)
    cells = arguments.cells() if arguments.cells else [point]
    records: list[Record] = []
    for each in all_records(cells, arguments.rounds, arguments.torch_python):
        records.append(each)
        write_records(arguments.output, records)  # each time: what was measured outlives an interruption


if __name__ == "__main__":
    main()
