"""Feeds broken inputs to every parser and says what came of them: `make fuzz`, or this script with options.

A parser must accept an input or refuse it with an `InputError`, soon, and in bounded memory. Each works in a process of
its own, which is watched: an input that takes too long, or kills the process, is recorded, and the work goes on behind
it. An input of each kind of fault is kept in the output folder.
"""

import argparse
import json
import mmap
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from mutations import mutated
from parsers import PARSERS

_LONGEST_S, _MORE_MEMORY = 10.0, 2**30  # of processor time: another process may have the cores
_LONGEST_WAIT_S = 60.0
_NUMBERS = struct.Struct("<4Q")  # what a process tells of itself: input, whether it has begun, accepted, refused
_LONGEST_MESSAGE = 6000
_START, _END = "<!-- fuzz: start -->", "<!-- fuzz: end -->"
_ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Fuzzes the parsers asked for; returns 1 where there was a fault."""
    options = _options()
    if options.child:
        _work(options)
        return 0
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.parsers.split(","):
        found = _watched(name, options.inputs or PARSERS[name].inputs, options)
        print(_row(name, found), flush=True)
        (options.output / f"{_file_name(name)}.json").write_text(json.dumps(found, indent=1))
    found = {name: options.output / f"{_file_name(name)}.json" for name in PARSERS}
    results = {name: json.loads(path.read_text()) for name, path in found.items() if path.exists()}
    if options.docs:
        _write_table(options.docs, results)
    return int(any(result["faults"] for result in results.values()))


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--parsers", default=",".join(PARSERS), help="names, separated by commas")
    options.add_argument("--inputs", type=int, help="for each parser; by default what its cost allows")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument(
        "--output", type=Path, default=Path("build/fuzz"), help="folder of results and of faulty inputs"
    )
    options.add_argument("--docs", type=Path, help="page whose table is replaced, such as docs/reliability.md")
    options.add_argument("--child", nargs=3, metavar=("FIRST", "LAST", "RESULT"), help=argparse.SUPPRESS)
    found = options.parse_args()
    unknown = set(found.parsers.split(",")) - set(PARSERS)
    if unknown:
        options.error(f"no parser is called {', '.join(sorted(unknown))}; there are {', '.join(PARSERS)}")
    return found


def _watched(name: str, num_inputs: int, options: argparse.Namespace) -> dict:
    """Runs the parser's process, and another one behind every input that stopped it."""
    total: dict[str, Any] = {
        "inputs": 0,
        "accepted": 0,
        "refused": 0,
        "faults": {},
        "slowest_ms": 0.0,
        "memory_mb": 0,
        "seconds": 0.0,
    }
    first = 0
    while first < num_inputs:
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "result.json"
            at = Path(folder) / "at"
            at.write_bytes(bytes(_NUMBERS.size))
            command = [sys.executable, __file__, "--parsers", name, "--seed", str(options.seed)]
            command += ["--output", str(options.output), "--child", str(first), str(num_inputs), str(result)]
            process = subprocess.Popen(command, cwd=_ROOT, env={**os.environ, "PYTHONPATH": str(_ROOT)})
            stopped = _wait(process, at)
            number, _, accepted, refused = _NUMBERS.unpack(at.read_bytes())
            found = json.loads(result.read_text()) if result.exists() else {}
        if not found:
            raise SystemExit(f"{name}: the process could not start")
        # What it wrote last may be a second older than its end.
        _add(total, {**found, "inputs": number + (not stopped) - first, "accepted": accepted, "refused": refused})
        if not stopped:
            break
        valid, _ = PARSERS[name].start(Path(tempfile.mkdtemp()))
        _keep(total["faults"], stopped, _input(valid, options.seed, number), name, options.output)
        total["inputs"] += 1
        first = number + 1
    return total


def _wait(process: subprocess.Popen, at: Path) -> str:
    """Waits for a process; "" where it came to its end, else how its present input stopped it."""
    last, since, used = None, time.monotonic(), 0.0
    while process.poll() is None:
        time.sleep(0.2)
        now = at.read_bytes()
        if now != last or not _NUMBERS.unpack(now)[1]:
            last, since, used = now, time.monotonic(), _processor_seconds(process)
        elif _processor_seconds(process) - used > _LONGEST_S or time.monotonic() - since > _LONGEST_WAIT_S:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return f"took more than {_LONGEST_S:g} s"
    return f"killed the process ({process.returncode})" if process.returncode else ""


def _processor_seconds(process: subprocess.Popen) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _work(options: argparse.Namespace) -> None:
    """What the parser's process does; its result is written again and again, for when it is killed."""
    first, last, result = int(options.child[0]), int(options.child[1]), Path(options.child[2])
    warnings.simplefilter("ignore")
    from care_tf.errors import InputError

    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        os.chdir(folder)
        valid, read = PARSERS[options.parsers].start(Path(folder))
        for data in valid:  # what is loaded on first use
            _outcome(read, data, InputError)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + _MORE_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        start_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        counts: Counter = Counter()
        found: dict[str, Any] = {"faults": {}, "slowest_ms": 0.0}
        begun, written = time.monotonic(), 0.0
        with open(result.parent / "at", "r+b") as file, mmap.mmap(file.fileno(), _NUMBERS.size) as at:
            for number in range(first, last):
                data = _input(valid, options.seed, number)
                at[:] = _NUMBERS.pack(number, 1, counts["accepted"], counts["refused"])
                before = time.process_time()
                outcome = _outcome(read, data, InputError)
                took_ms = 1000 * (time.process_time() - before)
                counts[outcome if outcome in ("accepted", "refused") else "faults"] += 1
                if outcome not in ("accepted", "refused"):
                    _keep(found["faults"], outcome, data, options.parsers, _ROOT / options.output)
                if took_ms > found["slowest_ms"]:
                    found["slowest_ms"], found["slowest"] = round(took_ms, 1), number
                at[:] = _NUMBERS.pack(number, 1, counts["accepted"], counts["refused"])
                is_fault = outcome not in ("accepted", "refused")
                if time.monotonic() - written > 1 or number == last - 1 or is_fault or number == first:
                    written = time.monotonic()
                    found["memory_mb"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10) - start_mb
                    found["seconds"] = round(written - begun, 1)
                    temporary = result.with_suffix(".new")
                    temporary.write_text(json.dumps(found))
                    temporary.replace(result)
        os.chdir("/")


def _input(valid: list[bytes], seed: int, number: int) -> bytes:
    return mutated(valid, random.Random(f"{seed}/{number}"))


def _outcome(read, data: bytes, input_error: type[Exception]) -> str:
    """ "accepted", "refused", or what was raised and where."""
    try:
        read(data)
    except input_error as error:
        return "refused" if len(str(error)) <= _LONGEST_MESSAGE else "a message without end"
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "care_tf" in Path(frame.filename).parts[-4:]] or frames
        return f"{type(error).__name__} from {Path(own[-1].filename).name}:{own[-1].lineno}"
    return "accepted"


def _keep(faults: dict[str, int], outcome: str, data: bytes, name: str, output: Path) -> None:
    """Counts a fault, and keeps the smallest of its inputs."""
    faults[outcome] = faults.get(outcome, 0) + 1
    path = output / f"{_file_name(name)}-{_file_name(outcome)}"
    if not path.exists() or len(data) < path.stat().st_size:
        path.write_bytes(data)


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in text)


def _add(total: dict, found: dict) -> None:
    for key in ("inputs", "accepted", "refused", "seconds"):
        total[key] = round(total[key] + found.get(key, 0), 1)
    for key in ("slowest_ms", "memory_mb"):
        total[key] = max(total[key], found.get(key, 0))
    for outcome, count in found["faults"].items():
        total["faults"][outcome] = total["faults"].get(outcome, 0) + count


def _row(name: str, found: dict) -> str:
    faults = "; ".join(f"{count} x {text}" for text, count in sorted(found["faults"].items())) or "none"
    numbers = " | ".join(f"{int(found[key]):,}" for key in ("inputs", "accepted", "refused"))
    return f"| {name} | {numbers} | {faults} | {found['slowest_ms'] / 1000:.2f} | {found['memory_mb']} |"


def _write_table(page: Path, results: dict[str, dict]) -> None:
    text = page.read_text(encoding="utf-8")
    head = "| parser | inputs | accepted | refused | faults | slowest, s | memory added, MB |\n" + 7 * "|---" + "|"
    rows = "\n".join(_row(name, found) for name, found in results.items())
    before, after = text[: text.index(_START) + len(_START)], text[text.index(_END) :]
    page.write_text(f"{before}\n{head}\n{rows}\n{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
