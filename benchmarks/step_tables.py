"""The step-cost section of a page, from the records of benchmarks/run.py. Needs the standard library only.

Example: python benchmarks/step_tables.py benchmarks/two_cores.json --docs docs/performance.md
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from records import Record, machine_text, put_between_marks, read_records

STEPS = ("care", "care nested", "two passes")
TIME, MEMORY = "s a step", "MiB at the peak"


def section(machine: dict[str, Any], records: Iterable[Record]) -> str:
    """The machine, a table of all points, one of the maps, one of PyTorch."""
    found: dict[str, dict[tuple[str, str], Record]] = {}
    for each in records:
        if each["benchmark"] == "step_cost":
            found.setdefault(each["case"], {})[each["variant"], each["unit"]] = each
    parts = [machine_text(machine), _points(found), _maps(found), _torch(found)]
    return "\n\n".join(part for part in parts if part)


def _points(found) -> str:
    lines = [
        "| | plain Keras, s | CARE | nested tapes | two passes | plain, MiB | CARE | nested tapes | two passes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, records in found.items():
        cells = [_number(records, "plain", TIME, "{:.3f}"), *(_ratio(records, step, TIME) for step in STEPS)]
        cells += [_number(records, "plain", MEMORY, "{:.0f}"), *(_ratio(records, step, MEMORY) for step in STEPS)]
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _maps(found) -> str:
    lines = []
    for case, records in found.items():
        maps = [variant for variant, unit in records if variant.startswith("care") and unit == TIME]
        if len(maps) > len(STEPS):
            others = [variant for variant in maps if variant not in STEPS]
            cells = [f"{variant.removeprefix('care ')} {_ratio(records, variant, TIME)}" for variant in others]
            lines.append(f"Other activation maps, {case}, time / plain: {', '.join(cells)}.")
    return "\n\n".join(lines)


def _torch(found) -> str:
    lines = []
    for case, records in found.items():
        if ("PyTorch plain", TIME) in records:
            plain = _number(records, "PyTorch plain", TIME, "{:.3f}")
            nested, passes = (_ratio(records, f"PyTorch {step}", TIME) for step in ("care nested", "two passes"))
            memory = _ratio(records, "PyTorch care nested", MEMORY)
            lines.append(
                f"The same in PyTorch, {case}: a plain step takes {plain} s; beside it `create_graph=True` {nested} "
                f"(memory {memory}), two passes {passes}."
            )
    return "\n\n".join(lines)


def _number(records, variant: str, unit: str, form: str) -> str:
    return form.format(records[variant, unit]["median"]) if (variant, unit) in records else ""


def _ratio(records, variant: str, unit: str) -> str:
    if (variant, unit) not in records:
        return ""
    ratio = records[variant, unit]["ratio"]
    if ratio["low"] == ratio["high"]:
        return f"{ratio['median']:.2f}"
    return f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"


def main() -> None:
    """Prints the section, and puts it into a page between its marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, help="JSON file of benchmarks/run.py or step_cost.py")
    parser.add_argument("--docs", type=Path, help="page to put the section into")
    arguments = parser.parse_args()
    text = section(*read_records(arguments.records))
    print(text)
    if arguments.docs:
        put_between_marks(arguments.docs, "step_cost", text)


if __name__ == "__main__":
    main()
