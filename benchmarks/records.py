"""What a benchmark writes down: the machine, and one record for each thing measured; as a file, and on a page.

A record is a mapping: benchmark, case (with what), variant (of what), unit, median, low, high, and where there is
something to compare with, base (the variant) and ratio: {median, low, high} of the rounds' ratios. Less is better in
every unit. Needs the standard library only.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rounds import Spread, ratios, spread

Record = dict[str, Any]
PACKAGES = ("care_tf", "tensorflow", "keras", "numpy", "torch")


def record(
    benchmark: str,
    case: str,
    variant: str,
    unit: str,
    values: Sequence[float],
    base: str | None = None,
    base_values: Sequence[float] | None = None,
) -> Record:
    """One thing measured.

    Args:
      benchmark: The script's name.
      case: With what: network, sizes, ...
      variant: Of what.
      unit: Such as "s a step"; less is better.
      values: One of each round.
      base: The variant that it is compared with.
      base_values: Its values of the same rounds.
    """
    made = {"benchmark": benchmark, "case": case, "variant": variant, "unit": unit, **spread(values)._asdict()}
    if base is not None and base_values is not None:
        made |= {"base": base, "ratio": ratios(values, base_values)._asdict()}
    return made


def records_of(benchmark: str, case: str, unit: str, values: Mapping[str, Sequence[float]], base: str) -> list[Record]:
    """A record for each variant, all beside one of them."""
    return [
        record(benchmark, case, variant, unit, own, *((base, values[base]) if variant != base else ()))
        for variant, own in values.items()
    ]


def add_output(parser: argparse.ArgumentParser) -> None:
    """The option that every script here has."""
    parser.add_argument("--output", type=Path, help="JSON file to write the records to")


def write_records(path: Path | None, records: Iterable[Record]) -> None:
    """Writes the machine and the records; nowhere where there is no path."""
    if path is not None:
        lines = ",\n".join(json.dumps(each) for each in records)
        path.write_text(f'{{"machine": {json.dumps(machine())},\n"records": [\n{lines}\n]}}\n')


def read_records(path: Path) -> tuple[dict[str, Any], list[Record]]:
    """The machine and the records of a file.

    Raises:
      SystemExit: It cannot be read, or is none of `write_records`.
    """
    try:
        content = json.loads(path.read_text())
        return content["machine"], content["records"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise SystemExit(f"{path} must be a file that benchmarks/run.py wrote. Reading it gave {reason}.") from error


def print_record(each: Record) -> None:
    """For people, in a line."""
    ratio = f"  {Spread(**each['ratio'])} of {each['base']}" if "ratio" in each else ""
    print(f"{each['case']}  {each['variant']:22} {each['median']:9.3f} {each['unit']}{ratio}", flush=True)


def machine() -> dict[str, Any]:
    """Processor, cores, memory, GPUs, and the versions of what does the work."""
    versions = {name: version for name in PACKAGES if (version := _version(name))}
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpus": _gpus(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **versions,
    }


def machine_text(described: Mapping[str, Any]) -> str:
    """The machine in a sentence."""
    gpus = "".join(f", {gpu}" for gpu in described["gpus"])
    versions = ", ".join(f"{name} {described[name]}" for name in PACKAGES if name in described and name != "care_tf")
    return f"{described['cores']} cores of {described['processor']}, {described['memory_gib']} GiB{gpus}; {versions}."


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """By nvidia-smi: TensorFlow would make this process large, and take the GPU's memory."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []


def put_between_marks(page: Path, name: str, text: str) -> None:
    """Replaces what stands between `<!-- NAME: start -->` and `<!-- NAME: end -->`."""
    before, start, rest = page.read_text().partition(f"<!-- {name}: start -->\n")
    _, end, after = rest.partition(f"<!-- {name}: end -->")
    if not start or not end:
        raise SystemExit(f"{page} must have the marks <!-- {name}: start --> and <!-- {name}: end -->.")
    page.write_text(f"{before}{start}\n{text}\n\n{end}{after}")
