"""Kills the commands at random moments, starts them again, and compares what they end with: `make soak`.

Each trial works in a folder of its own, with its own seed, and starts the same command until it ends; then every file
of its output must be that of a run that nobody disturbed, and nothing else may be left. Stopped and started again, it
continues. The processes are forked from this one, which has imported TensorFlow and computed nothing: that saves its
start. The undisturbed commands run in processes of their own.

Example: python tools/soak/soak.py --output build/soak --trials 300 --docs docs/reliability.md
"""

import argparse
import csv
import importlib.metadata
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import killed_command
import numpy as np
from interrupted_commands import PARTS, Part, Trial
from killed_command import Moment
from PIL import Image

from care_tf.csv_files import write_table
from care_tf.datasets.synthetic_lesions import SyntheticLesions
from care_tf.files import atomic_path
from care_tf.time_left import as_duration, seconds_left

ROOT, HERE = Path(__file__).resolve().parents[2], Path(__file__).resolve().parent
MOST_TRIES, SHORTER = 10, 0.8
MARKS = "<!-- soak: start -->", "<!-- soak: end -->"
_CONFIG = """output: out
seed: 0
data:
  manifest: {data}/manifest.csv
  train: {{split: train}}
  test: {{split: test}}
  image_size_px: 32
  cache: memory
model: {{backbone: "networks:tiny"}}
training: {{batch_size: 8}}
every_stage: {{augmentation: {{rotation_degrees: 0, brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.0}}}}
stages:
  pretrain: {{epochs: 4, alpha: 0.0, learning_rate: 2.0e-3}}
  finetune: {{epochs: 4, alpha: {alpha}, learning_rate: 5.0e-4}}
"""
_PATH = {
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]),
    "CARE_TF_TRUST": "networks",  # the backbone is code of ours
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


def main() -> int:
    """Runs the trials that are not done, and writes the table; returns 1 where a trial of the folder found a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "soak", help="folder, to continue in")
    parser.add_argument("--trials", type=int, default=300, help="of all parts together (default 300)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--docs", type=Path, help="page to put the table into, with all that is in the folder")
    parser.add_argument("--table-only", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    output = arguments.output.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends blocks, as Ctrl-C does
    if not arguments.table_only:
        run_trials(output, [PARTS[name] for name in arguments.parts], arguments.trials, arguments.seed)
    trials = read_trials(output)
    text = table(trials)
    print(text)
    if arguments.docs:
        page, (start, end) = arguments.docs.read_text(), MARKS
        arguments.docs.write_text(re.sub(f"(?s)(?<={start}\n).*(?={end})", lambda _: f"\n{text}\n\n", page))
    return int(any(trial["problems"] or trial["left"] for trial in trials))


def run_trials(output: Path, parts: list[Part], num_trials: int, seed: int) -> None:
    """Runs the parts in turn, a trial of each, so that a soak that is stopped has some of all."""
    write_data(output / "data")
    os.environ.update(_PATH)
    killed_command.warm_up()
    share = num_trials / sum(part.weight for part in PARTS.values())
    done = {(each["part"], each["number"], each["seed"]) for each in read_trials(output)}
    waiting = [
        (number / wanted, part, number)
        for part in parts
        for wanted in [max(1, round(share * part.weight))]
        for number in range(wanted)
        if (part.name, number, seed) not in done
    ]
    waiting.sort(key=lambda each: each[0])
    seconds: list[float] = []
    for count, (_, part, number) in enumerate(waiting, start=1):
        start = time.monotonic()
        try:
            entry = one_trial(output, part, number, seed)
        except Exception as error:
            traceback.print_exc()
            entry = {"kills": [], "problems": [f"the trial itself failed: {error!r}"], "left": []}
        seconds.append(time.monotonic() - start)
        entry |= {"part": part.name, "number": number, "seed": seed, "seconds": round(seconds[-1], 1)}
        path = trial_path(output, part, number, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(entry, indent=1) + "\n")
        faults = "; ".join([*entry["problems"], *(f"left: {name}" for name in entry["left"])]) or "exact"
        left = as_duration(seconds_left(seconds, len(waiting) - count))
        print(
            f"{count}/{len(waiting)} {part.name} {number}: {len(entry['kills'])} kills, {faults}; {left} left",
            flush=True,
        )


def one_trial(output: Path, part: Part, number: int, seed: int) -> dict[str, Any]:
    """Does one trial; its folder is kept where something went wrong.

    A command that has ended before it was disturbed tries nothing: then comes another moment, of a shorter time.
    """
    undisturbed = reference(output, PARTS[part.reference or part.name])
    seconds = json.loads((undisturbed / "seconds.json").read_text())
    for again in range(MOST_TRIES):
        name = f"{part.name}-{number}-{seed}" + (f"-{again}" if again else "")
        trial = new_trial(output, part, name, undisturbed / "out", seconds * SHORTER**again)
        if part.begins_with:
            shutil.copytree(beginning(output, part), trial.folder, dirs_exist_ok=True)
        part.trial(trial)
        if trial.problems or trial.left:
            break
        if not trial.kills and again == MOST_TRIES - 1:
            trial.problems.append(f"ended before it was disturbed, {MOST_TRIES} times")
            break
        shutil.rmtree(trial.folder)
        for log in trial.folder.parent.glob(f"{trial.folder.name}.*log"):
            log.unlink()
        if trial.kills:
            break
    return {"kills": trial.kills, "problems": trial.problems, "left": trial.left}


def new_trial(output: Path, part: Part, name: str, undisturbed: Path, seconds: float = 0.0) -> Trial:
    """A trial with an empty folder, but for what the part needs."""
    folder = output / "trials" / name
    if os.path.ismount(folder / "out"):  # of a soak that was killed
        subprocess.run(["umount", folder / "out"], check=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if part.needs:
        (folder / "run").symlink_to(output / "undisturbed" / part.needs / "out")
    return Trial(part, folder, output / "data", random.Random(name), seconds, undisturbed)


def reference(output: Path, part: Part) -> Path:
    """The folder with the output of the part's command, undisturbed, and in seconds.json what a forked one takes.

    Raises:
      RuntimeError: The forked one gives something else: nothing could be compared.
    """
    folder = output / "undisturbed" / part.name
    if folder.exists():
        return folder
    if part.needs:
        reference(output, PARTS[part.needs])
    print(f"{part.name}: undisturbed", flush=True)
    first = new_trial(output, part, f"{part.name}-first", Path())
    second = new_trial(output, part, f"{part.name}-second", first.folder / "out")
    if part.undisturbed is not None:
        part.undisturbed(first)
    else:
        for words in filter(None, (part.words, part.then)):
            command = [sys.executable, "-m", "care_tf", *first.words(words)]
            subprocess.run(command, cwd=first.folder, check=True, capture_output=True)
    start = time.monotonic()
    if part.undisturbed is not None:
        part.undisturbed(second)
        second.compare()
    else:
        second.finish()
    seconds = time.monotonic() - start
    if first.problems or second.problems or second.left:
        raise RuntimeError(f"{part.name}, undisturbed: {[*first.problems, *second.problems, *second.left]}")
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        shutil.move(first.folder / "out", temporary / "out")
        (temporary / "seconds.json").write_text(json.dumps(seconds))
    shutil.rmtree(second.folder)
    return folder


def beginning(output: Path, part: Part) -> Path:
    """What a kill at the part's `begins_with` leaves."""
    folder = output / "undisturbed" / f"{part.name}-beginning"
    if not folder.exists():
        trial = new_trial(output, part, f"{part.name}-beginning", Path())
        if not trial.run(Moment(signal.SIGKILL, 0.0, part.begins_with)).was_killed:
            raise RuntimeError(f"{part.name} ended before {part.begins_with} was there: {trial.last_line()}")
        with atomic_path(folder) as temporary:
            shutil.move(trial.folder, temporary)
    return folder


def write_data(folder: Path) -> None:
    """Drawn lesions with manifests for training, masks and review, the decisions and the configurations."""
    if folder.exists():
        return
    with atomic_path(folder) as temporary:
        counts = (8, 6, 6, 4), (1, 1, 1, 1), (3, 3, 3, 3)
        SyntheticLesions(0, 32, *counts).write(temporary)
        with open(temporary / "truth.csv", newline="") as file:
            truth = list(csv.DictReader(file))
        rows = {"masks.csv": [["image", "label", "mask"]], "proposed.csv": [["image", "label", "boxes", "box_source"]]}
        decisions = []
        for number, row in enumerate(truth):
            ((x0, y0, x1, y1),) = json.loads(row["boxes"])
            mask = np.zeros((32, 32), np.uint8)
            mask[y0:y1, x0:x1] = 255
            name = Path(row["image"]).stem
            (temporary / "masks").mkdir(exist_ok=True)
            Image.fromarray(mask).save(temporary / "masks" / f"{name}.png")
            rows["masks.csv"].append([row["image"], row["label"], f"masks/{name}.png"])
            rows["proposed.csv"].append([row["image"], row["label"], row["boxes"], "bms"])
            kind, boxes = [("accept", [[x0, y0, x1, y1]]), ("accept", [[x0, y0, x1, y1 - 2]]), ("reject", [])][
                number % 3
            ]
            decisions.append({"name": Path(row["image"]).name, "decision": kind, "boxes": boxes})
        for name, table_rows in rows.items():
            write_table(temporary / name, table_rows)
        (temporary / "decisions.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in decisions))
        for name, alpha in (("care", 0.5), ("baseline", 0.0)):
            (temporary / f"{name}.yaml").write_text(_CONFIG.format(data=folder, alpha=alpha))


def trial_path(output: Path, part: Part, number: int, seed: int) -> Path:
    """Where the outcome of a trial is kept."""
    return output / "outcomes" / f"{part.name}-{number}-{seed}.json"


def was_disturbed(trial: dict[str, Any]) -> bool:
    """Whether an outcome is one: a command that ended before its kill shows nothing."""
    return bool(trial["kills"] or trial["problems"] or trial["left"])


def read_trials(output: Path) -> list[dict[str, Any]]:
    """The outcomes of all trials that were done."""
    outcomes = [json.loads(path.read_text()) for path in sorted((output / "outcomes").glob("*.json"))]
    return [each for each in outcomes if was_disturbed(each)]


def table(trials: list[dict[str, Any]]) -> str:
    """A Markdown table: a part a line."""
    lines = ["| part | trials | kills | exact | left-over files |", "|---|---|---|---|---|"]
    every = [(part.title, [trial for trial in trials if trial["part"] == part.name]) for part in PARTS.values()]
    for title, own in [*every, ("**all**", trials)]:
        if own:
            figures = (
                len(own),
                sum(len(trial["kills"]) for trial in own),
                sum(not trial["problems"] for trial in own),
                sum(len(trial["left"]) for trial in own),
            )
            lines.append(f"| {title} | {' | '.join(map(str, figures))} |")
    kills = [kill for trial in trials for kill in trial["kills"]]
    signals = ", ".join(f"{sum(name in kill for kill in kills)} {name}" for name in ("SIGKILL", "SIGTERM", "SIGINT"))
    seeds = ", ".join(map(str, sorted({trial["seed"] for trial in trials})))
    version = importlib.metadata.version("tensorflow")
    return "\n".join(
        [
            *lines,
            "",
            f"TensorFlow {version}, {os.cpu_count()} cores, seeds {seeds}: {signals}; the rest were full disks.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
