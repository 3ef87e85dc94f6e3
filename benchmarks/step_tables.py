"""The step-cost section of a page, from the records of benchmarks/run.py. Needs the standard library only.

Example: python benchmarks/step_tables.py benchmarks.json --docs docs/performance.md
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from records import Record, machine_text, put_between_marks, read_records
from step_points import MAPS, STEPS, TORCH_STEPS

BENCHMARKS = ("step_cost", "step_memory")
BESIDE = STEPS[1:]
TIME, PROCESSOR, MEMORY = "s a step", "processor s a step", "MiB at the peak"
MEASURES = (
    ("by the clock, s", TIME, "{:.3f}"),
    ("of processor time, s", PROCESSOR, "{:.3f}"),
    ("memory, MiB", MEMORY, "{:.0f}"),
)


def section(machine: dict[str, Any], records: Iterable[Record]) -> str:
    """The machine; a table of all points by each measure; the maps, and PyTorch."""
    found: dict[str, dict[tuple[str, str], Record]] = {}
    for each in records:
        if each["benchmark"] in BENCHMARKS:
            found.setdefault(each["case"], {})[each["variant"], each["unit"]] = each
    tables = [_points(found, *measure) for measure in MEASURES]
    return "\n\n".join(part for part in [machine_text(machine), *tables, _maps(found), _torch(found)] if part)


def _points(found, what: str, unit: str, form: str) -> str:
    lines = [
        f"| {what} | plain Keras | CARE / plain | nested tapes / plain | two passes / plain |",
        "|---|---|---|---|---|",
    ]
    for case, records in found.items():
        if ("plain", unit) in records:
            ratios = [_ratio(records, step, unit) for step in BESIDE]
            lines.append(f"| {case} | {' | '.join([_number(records, 'plain', unit, form), *ratios])} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _maps(found) -> str:
    lines = []
    for case, records in found.items():
        for what, unit in (("processor time", PROCESSOR), ("memory", MEMORY)):
            measured = [variant for variant in MAPS if (variant, unit) in records]
            cells = [f"{variant.removeprefix('care ')} {_ratio(records, variant, unit)}" for variant in measured]
            if cells:
                lines.append(f"Other activation maps, {case}, {what} / plain: {', '.join(cells)}.")
    return "\n\n".join(lines)


def _torch(found) -> str:
    lines = [
        "| in PyTorch | plain | `create_graph=True` / plain | two passes / plain | CARE here / `create_graph=True` |",
        "|---|---|---|---|---|",
    ]
    for case, records in found.items():
        for what, unit, form in MEASURES:
            if ("PyTorch plain", unit) in records:
                plain = _number(records, "PyTorch plain", unit, form)
                ratios = [_ratio(records, f"PyTorch {step}", unit) for step in TORCH_STEPS[1:]]
                both = [records.get((step, unit), {}).get("median") for step in ("care", "PyTorch care nested")]
                beside = f"{both[0] / both[1]:.2f}" if all(both) else ""
                lines.append(f"| {case}, {what} | {' | '.join([plain, *ratios, beside])} |")
    return "\n".join(lines) if len(lines) > 2 else ""


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
