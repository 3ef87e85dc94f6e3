"""The measurements that are kept, written to one file, and what has become slower since an earlier one.

--quick takes one to two hours on two cores, most of them for step_cost and step_memory, --full many. Every script runs
in a process of its own and prints what it finds; the records of all go into --output after each script, so that one
that fails costs only its own. With --compare the exit code is 1 where a ratio has become larger beyond its spread on
the same kind of machine (benchmarks/changes.py).

Example: python benchmarks/run.py --only step_cost strategy_cost --output now.json --compare before.json
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from changes import print_changes
from records import Record, machine, read_records, write_records

HERE = Path(__file__).resolve().parent
# Script -> its words for --quick, and those for --full. The quick ones are the smallest that still measure something.
BENCHMARKS: dict[str, tuple[str, str]] = {
    "step_cost": ("--quick", "--full --rounds 9"),
    "step_memory": ("--quick", "--full"),
    "attention_forms": ("--batch 16 --masked 2 --repeats 7", ""),
    "strategy_cost": ("--batch 32 --repeats 7", ""),
    "input_pipeline": ("--rounds 5", "--images 5000"),
    "augmentation_choice": ("--batches 4 --rounds 5", ""),
    "shards": ("--images 300 --rounds 5", ""),
    "sampling": ("--images 300 --rounds 7", ""),
    "cached_activations": ("--images 160 --rounds 3", ""),
    "saliency_speed": ("--images 2 --rounds 3", ""),
    "memory": ("--steps 800", ""),
    "many_rows": ("", "--images 10000 100000"),
}
WITH_TORCH = ("step_cost", "step_memory")


def run_script(name: str, words: list[str]) -> tuple[list[Record], bool]:
    """The records of one script, and whether it came to its end: what was measured before a failure counts."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "records.json"
        done = subprocess.run([sys.executable, HERE / f"{name}.py", *words, "--output", output])
        return read_records(output)[1] if output.exists() else [], not done.returncode


def main() -> None:
    """Runs the scripts, writes the file, prints what changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), metavar="NAME")
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="one to two hours on two cores (the default)")
    extent.add_argument("--full", action="store_true", help="many hours on two cores")
    parser.add_argument("--output", type=Path, default=Path("benchmarks.json"), help="(default benchmarks.json)")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="an earlier file to compare with")
    parser.add_argument("--torch-python", help="interpreter that has PyTorch, for step_cost and step_memory")
    arguments = parser.parse_args()
    # Before the measurements: a wrong path should not wait for them, and --output may replace this file.
    old = read_records(arguments.compare) if arguments.compare else None
    records: list[Record] = []
    failed = []
    for name in arguments.only:
        words = BENCHMARKS[name][arguments.full].split()
        if name in WITH_TORCH and arguments.torch_python:
            words += ["--torch-python", arguments.torch_python]
        print(f"== {name} {' '.join(words)}", flush=True)
        found, is_done = run_script(name, words)
        records += found
        failed += [] if is_done else [name]
        write_records(arguments.output, records)
    print(f"wrote {arguments.output}")
    slower = 0 if old is None else print_changes(old, (machine(), records))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    sys.exit(2 if failed else slower)


if __name__ == "__main__":
    main()
