"""How much memory a CARE training step takes beside a plain Keras step, at the points of benchmarks/step_cost.py.

The peak resident set of three steps, traced before, in a process of its own for each variant. Other programs on the
machine do not change it.

Example: python benchmarks/step_memory.py --network resnet50 --batch 8 --size 224
         python benchmarks/step_memory.py --quick --output memory.json
"""

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence

from own_process import has_torch, measured, measured_in_torch, part_of
from records import Record, add_output, print_record, records_of, write_records
from rounds import peaks_mib
from step_points import Point, add_points, points_of, torch_points


def measure(point: Point, variant: str) -> list[float] | None:
    """Peak memory of this process, MiB, in each of three steps; None where the network has no such variant."""
    from step_variants import make_step, set_precision

    warnings.filterwarnings("ignore", message="CARE trains no attention")
    set_precision(point.precision)
    step = make_step(variant, point)
    return None if step is None else peaks_mib(lambda: step(1))


def all_records(points: Sequence[Point], torch_python: str) -> Iterator[Record]:
    """Those of all points, then PyTorch's."""
    for point in points:
        yield from memory_records(
            point, {variant: measured("step_memory.py", point, variant) for variant in point.variants}
        )
    beside = torch_points(points)
    if beside and has_torch(torch_python):
        for point in beside:
            steps = ("plain", "care nested", "two passes")
            peaks = {f"PyTorch {each}": measured_in_torch(torch_python, point, "--memory-of", each) for each in steps}
            yield from memory_records(point, peaks)


def memory_records(point: Point, peaks: Mapping[str, Sequence[float] | None]) -> list[Record]:
    """A record for each variant that the network has, beside the first one."""
    values = {variant: own for variant, own in peaks.items() if own is not None}
    return records_of("step_memory", str(point), "MiB at the peak", values, next(iter(values)))


def main() -> None:
    """Prints every record, and writes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_points(parser)
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter that has PyTorch")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    add_output(parser)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(measure(*part_of(arguments.part))))
        return
    records: list[Record] = []
    for each in all_records(points_of(arguments), arguments.torch_python):
        print_record(each)
        records.append(each)
        write_records(arguments.output, records)


if __name__ == "__main__":
    main()
