"""How long a CARE training step takes beside a plain Keras step of the same network, batch, optimizer and input.

The variants (benchmarks/step_variants.py) take turns in one process, each a few steps of `fit`: seconds a step by the
clock and of processor time, and the rounds' ratios. --quick and --full measure a base point and others around it
(benchmarks/step_points.py); without them it is one point, which the other options choose. The same steps in PyTorch
stand beside ResNets where PyTorch is there (benchmarks/torch_step.py).

Example: python benchmarks/step_cost.py --network resnet50 --batch 8 --size 224
         python benchmarks/step_cost.py --quick --output steps.json
"""

import warnings
from collections.abc import Iterator, Sequence

from own_process import measure_in_torch, measure_point, points_in_torch, run_script
from records import Record, records_of
from rounds import in_turns, seconds_of
from step_points import Point

# Fewer steps a round than this long would be `fit`'s own start and end.
SECONDS_A_ROUND = 1.0


def measure(point: Point, num_rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Variant -> seconds a step in every round, by the clock and of processor time."""
    from step_variants import make_step, set_precision

    warnings.filterwarnings("ignore", message="CARE trains no attention")
    set_precision(point.precision)
    made = {variant: make_step(variant, point) for variant in point.variants}
    steps = {variant: step for variant, step in made.items() if step is not None}
    for step in steps.values():
        step(1)  # traces
    once = seconds_of(lambda: steps[point.variants[0]](1)).wall
    num_steps = max(1, min(20, round(SECONDS_A_ROUND / once)))
    calls = {variant: lambda step=step: step(num_steps) for variant, step in steps.items()}
    taken = in_turns(calls, num_rounds)
    return {
        variant: [(each.wall / num_steps, each.processor / num_steps) for each in rounds]
        for variant, rounds in taken.items()
    }


def all_records(points: Sequence[Point], num_rounds: int, torch_python: str) -> Iterator[Record]:
    """Those of all points, PyTorch's directly after ours."""
    beside = points_in_torch(points, torch_python)
    for point in points:
        yield from time_records(str(point), measure_point("step_cost.py", point, num_rounds), point.variants[0])
        if point in beside:
            seconds = measure_in_torch(torch_python, point, "--rounds", str(num_rounds))
            named = {f"PyTorch {variant}": rounds for variant, rounds in seconds.items()}
            yield from time_records(str(point), named, "PyTorch plain")


def time_records(case: str, seconds: dict[str, list[tuple[float, float]]], base: str) -> list[Record]:
    """By the clock, and of processor time, which another program on the machine changes less."""
    found = []
    for column, unit in enumerate(("s a step", "processor s a step")):
        values = {variant: [each[column] for each in rounds] for variant, rounds in seconds.items()}
        found += records_of("step_cost", case, unit, values, base)
    return found


if __name__ == "__main__":
    run_script(__doc__, measure, all_records, num_rounds=5)
