"""How much memory a CARE training step takes beside a plain Keras step, at the points of benchmarks/step_cost.py.

The peak resident set of a process that traces the step, and trains three more: the most of those three. Each variant
has a process of its own, --rounds several in turn. Other programs on the machine do not change it.

Example: python benchmarks/step_memory.py --network resnet50 --batch 8 --size 224
         python benchmarks/step_memory.py --quick --output memory.json
"""

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence

from own_process import measure_in_torch, measure_point, points_in_torch, run_script
from records import Record, records_of
from rounds import peaks_mib
from step_points import TORCH_STEPS, Point


def measure(point: Point, variant: str) -> float | None:
    """Peak memory of this process, MiB, over three steps; None where the network has no such variant."""
    from step_variants import make_step, set_precision

    warnings.filterwarnings("ignore", message="CARE trains no attention")
    set_precision(point.precision)
    step = make_step(variant, point)
    return None if step is None else max(peaks_mib(lambda: step(1)))


def all_records(points: Sequence[Point], num_rounds: int, torch_python: str) -> Iterator[Record]:
    """Those of all points, PyTorch's directly after ours."""
    beside = points_in_torch(points, torch_python)
    for point in points:
        own = functools.partial(measure_point, "step_memory.py", point)
        yield from memory_records(
            point, {variant: functools.partial(own, variant) for variant in point.variants}, num_rounds
        )
        if point in beside:
            steps = {
                f"PyTorch {each}": functools.partial(torch_peak, torch_python, point, each) for each in TORCH_STEPS
            }
            yield from memory_records(point, steps, num_rounds)


def torch_peak(python: str, point: Point, variant: str) -> float:
    """As `measure`, of a step in PyTorch."""
    return max(measure_in_torch(python, point, "--memory-of", variant))


def memory_records(point: Point, processes: Mapping[str, Callable[[], float | None]], num_rounds: int) -> list[Record]:
    """A record for each variant that the network has, beside the first one; processes take turns."""
    rounds = [{variant: run() for variant, run in processes.items()} for _ in range(num_rounds)]
    there = [variant for variant, peak in rounds[0].items() if peak is not None]
    peaks = {variant: [each[variant] for each in rounds] for variant in there}
    return records_of("step_memory", str(point), "MiB at the peak", peaks, there[0])


if __name__ == "__main__":
    run_script(__doc__, measure, all_records, num_rounds=1)
