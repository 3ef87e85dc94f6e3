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
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from mutations import mutated
from parsers import PARSERS

_LONGEST_S, _MORE_MEMORY = 10.0, 2**30
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
    if options.table:
        _write_table(options.table, results)
    return int(any(result["faults"] for result in results.values()))


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--parsers", default=",".join(PARSERS), help="names, separated by commas")
    options.add_argument("--inputs", type=int, help="for each parser; by default what its cost allows")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--output", type=Path, default=Path("fuzz"), help="folder of results and of faulty inputs")
    options.add_argument("--table", type=Path, help="page whose table is replaced, such as docs/reliability.md")
    options.add_argument("--child", nargs=3, metavar=("FIRST", "LAST", "RESULT"), help=argparse.SUPPRESS)
    return options.parse_args()


def _watched(name: str, num_inputs: int, options: argparse.Namespace) -> dict:
    """Runs the parser's process, and another one behind every input that stopped it."""
    total = {"inputs": 0, "accepted": 0, "refused": 0, "faults": {}, "slowest_ms": 0.0, "memory_mb": 0, "seconds": 0.0}
    first = 0
    while first < num_inputs:
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "result.json"
            at = Path(folder) / "at"
            at.write_bytes(bytes(16))
            command = [sys.executable, __file__, "--parsers", name, "--seed", str(options.seed)]
            command += ["--output", str(options.output), "--child", str(first), str(num_inputs), str(result)]
            process = subprocess.Popen(command, cwd=_ROOT, env={**os.environ, "PYTHONPATH": str(_ROOT)})
            stopped = _wait(process, at)
            number = int.from_bytes(at.read_bytes()[:8], "little")
            found = json.loads(result.read_text()) if result.exists() else {}
        if not found:
            raise SystemExit(f"{name}: the process could not start")
        _add(total, found)
        if not stopped:
            break
        valid, _ = PARSERS[name].start(Path(tempfile.mkdtemp()))
        _keep(total["faults"], stopped, _input(valid, options.seed, number), name, options.output)
        total["inputs"] += 1
        first = number + 1
    return total


def _wait(process: subprocess.Popen, at: Path) -> str:
    """Waits for a process; "" where it came to its end, else how its present input stopped it."""
    last, since = None, time.monotonic()
    while process.poll() is None:
        time.sleep(0.2)
        now = at.read_bytes()
        if now != last or not int.from_bytes(now[8:], "little"):
            last, since = now, time.monotonic()
        elif time.monotonic() - since > _LONGEST_S:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return f"took more than {_LONGEST_S:g} s"
    return f"killed the process ({process.returncode})" if process.returncode else ""


def _work(options: argparse.Namespace) -> None:
    """What the parser's process does; its result is written again and again, and is there when it is killed."""
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
        found = {"faults": {}, "slowest_ms": 0.0}
        begun, written = time.monotonic(), 0.0
        with open(result.parent / "at", "r+b") as file, mmap.mmap(file.fileno(), 16) as at:
            for number in range(first, last):
                data = _input(valid, options.seed, number)
                at[:16] = number.to_bytes(8, "little") + b"\1" + bytes(7)
                before = time.monotonic()
                outcome = _outcome(read, data, InputError)
                took_ms = 1000 * (time.monotonic() - before)
                counts[outcome if outcome in ("accepted", "refused") else "faults"] += 1
                if outcome not in ("accepted", "refused"):
                    _keep(found["faults"], outcome, data, options.parsers, _ROOT / options.output)
                if took_ms > found["slowest_ms"]:
                    found["slowest_ms"], found["slowest"] = round(took_ms, 1), number
                if time.monotonic() - written > 1 or number == last - 1:
                    written = time.monotonic()
                    found |= {name: counts[name] for name in ("accepted", "refused")}
                    found["inputs"] = number + 1 - first
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
    head = "| parser | inputs | accepted | refused | faults | slowest, s | memory added, MB |\n"
    head += "|---|---|---|---|---|---|---|"
    rows = "\n".join(_row(name, found) for name, found in results.items())
    before, after = text[: text.index(_START) + len(_START)], text[text.index(_END) :]
    page.write_text(f"{before}\n{head}\n{rows}\n{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
