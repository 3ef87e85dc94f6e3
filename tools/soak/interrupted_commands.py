"""The parts of the soak: a command each, with the moments at which it is killed, and what else may befall it."""

import contextlib
import dataclasses
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import killed_command
import result_files
from killed_command import Ended, Moment

from care_tf.runs.distribution import WorkerLostError

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)  # the first one twice as often
_MOST_KILLS = 3
_WEIGHTS = "out/checkpoints/.*.weights.h5.written.weights.h5"
_LAST = "out/checkpoints/last/."
_TRAIN = ("train", "{data}/care.yaml", "output=out")
_MAKE = (
    *("boxes", "make", "{data}/manifest.csv", "--method", "bms", "--classes", "dermatofibroma"),
    *("--output", "out/boxes.csv", "--keep-maps", "out/maps", "--workers", "1"),
)
_EXPORT = ("export", "run", "out/served")
_PREDICT = ("predict", "out/served", "{data}/images", "--output", "out/predicted", "--no-heatmaps")
_EVALUATE = ("evaluate", "run", "--output", "out", "--resamples", "20")


@dataclasses.dataclass(frozen=True)
class Part:
    """One command and how it is disturbed.

    Attributes:
      name: Of the part, as `--parts` takes it.
      title: Of its line in the table.
      words: The command; {data} is the folder of the data.
      then: Another one that uses what it wrote, undisturbed.
      patterns: A kill may wait for a path that one of them fits.
      share_of_patterns: Of the kills.
      span: The first share of the command's time, in which the other kills come.
      needs: Another part, whose undisturbed output is this one's folder `run`.
      begins_with: Made once and copied for every trial: what a kill at this pattern leaves.
      trial: How one trial is done.
      undisturbed: The same without the trouble; None is one process.
      reference: The part whose undisturbed output this one must end with; by default its own.
      weight: How many of 300 trials.
    """

    name: str
    title: str
    words: tuple[str, ...]
    then: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    share_of_patterns: float = 0.5
    span: float = 1.0
    needs: str = ""
    begins_with: str = ""
    trial: "Callable[[Trial], None]" = lambda trial: killed_trial(trial)
    undisturbed: "Callable[[Trial], None] | None" = None
    reference: str = ""
    weight: int = 10


@dataclasses.dataclass
class Trial:
    """One trial under way.

    Attributes:
      part: Its part.
      folder: Where it works; the commands' own is `folder`, their output `folder`/out.
      data: Folder of the data.
      random: Of its seed.
      seconds: What the undisturbed command takes.
      undisturbed: Its output.
      kills: What was done to it.
      problems: What went wrong.
      left: Hidden files at the end.
    """

    part: Part
    folder: Path
    data: Path
    random: random.Random
    seconds: float
    undisturbed: Path
    kills: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    left: list[str] = dataclasses.field(default_factory=list)

    @property
    def log(self) -> Path:
        """Where its commands' output goes."""
        return self.folder.with_suffix(".log")

    def words(self, words: tuple[str, ...]) -> list[str]:
        """A command's words with the folder of the data in them."""
        return [word.format(data=self.data) for word in words]

    def run(self, moment: Moment | None = None, **start: Any) -> Ended:
        """Runs the command, to its end or to a kill."""
        before = moment.found(self.folder) if moment is not None else frozenset()
        process = killed_command.start(self.words(self.part.words), self.folder, self.log, **start)
        ended = killed_command.end(process, self.folder, moment, before)
        self.problems += [f"{problem} ({moment})" for problem in ended.problems]
        return ended

    def finish(self, is_over: bool = False) -> None:
        """Runs the command to its end, undisturbed, and compares."""
        ended = Ended(0, False, 0.0) if is_over else self.run()
        if ended.code == 0 and self.part.then:
            process = killed_command.start(self.words(self.part.then), self.folder, self.log)
            ended = killed_command.end(process, self.folder)
        # One that was killed after it had written everything has nothing to do.
        if ended.code and "must not exist yet" not in self.last_line():
            self.problems.append(f"exit code {ended.code}: {self.last_line()}")
        self.compare()

    def compare(self) -> None:
        """Notes what differs from the undisturbed output, and what is left over."""
        found = result_files.contents(self.folder / "out")
        self.problems += result_files.differences(result_files.contents(self.undisturbed), found)
        kept = result_files.hidden_files(self.undisturbed)  # the journal of `care predict`, to which a later call adds
        self.left += [name for name in result_files.hidden_files(self.folder / "out") if name not in kept]

    def last_line(self) -> str:
        """What a command said last."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][-300:] if lines else ""


def killed_trial(trial: Trial) -> None:
    """Kills the command some times, and lets it end."""
    for _ in range(trial.random.randint(1, _MOST_KILLS)):
        ended = trial.run(moment := moment_of(trial))
        if not ended.was_killed:  # it was faster, or the one before had written everything when it was killed
            trial.finish(is_over=not ended.code)
            return
        trial.kills.append(str(moment))
        if moment.signal == signal.SIGINT and ended.code not in (0, 130):
            trial.problems.append(f"exit code {ended.code} after {moment}: {trial.last_line()}")
        trial.problems += [f"{broken} after {moment}" for broken in result_files.broken_files(trial.folder)]
    trial.finish()


def moment_of(trial: Trial) -> Moment:
    """At any time of the undisturbed command, or soon after one of the part's files appears."""
    draw, part = trial.random, trial.part
    kind = draw.choice(SIGNALS)
    if part.patterns and draw.random() < part.share_of_patterns:
        return Moment(kind, draw.choice((0.0, 0.001, 0.01, 0.1)) * draw.random(), draw.choice(part.patterns))
    return Moment(kind, draw.uniform(0, part.span * trial.seconds))


def full_disk_trial(trial: Trial) -> None:
    """Lets the room run out, on a small file system or by a limit on the size of a file; then makes room."""
    sizes = [path.stat().st_size for path in trial.undisturbed.rglob("*") if path.is_file()]
    output = trial.folder / "out"
    output.mkdir()
    share = trial.random.uniform(0.05, 0.95)
    with small_file_system(output, max(int(share * sum(sizes)), 4096)) as grow:
        limit = None if grow else max(int(share * max(sizes)), 1)
        before = trial.log.stat().st_size if trial.log.exists() else 0
        ended = trial.run(limit_bytes=limit)
        said = trial.log.read_bytes()[before:].decode(errors="replace")
        if ended.code:
            trial.kills.append(f"{share:.2f} of the room")
            lines = [line for line in said.splitlines() if line.startswith("error: ")]
            if ended.code != 2 or len(lines) != 1 or "Traceback" in said:
                trial.problems.append(f"exit code {ended.code}, not one clear line: {said[-600:]}")
            trial.problems += result_files.broken_files(output)
            # A journal is what the next start continues from.
            trial.left += [name for name in result_files.hidden_files(output) if not name.endswith(".progress.jsonl")]
        if grow:
            grow()
        trial.finish()


@contextlib.contextmanager
def small_file_system(folder: Path, num_bytes: int) -> Iterator[Callable[[], None] | None]:
    """Inside, the folder has room for so much; yields what gives it more, None where only root can."""
    options = f"size={num_bytes}"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "soak", str(folder)], capture_output=True)
    if mounted.returncode:
        yield None
        return
    try:
        yield lambda: _checked("mount", "-o", "remount,size=1g", str(folder))
    finally:
        _checked("umount", str(folder))


def _checked(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def review_trial(trial: Trial) -> None:
    """Decides about images while the server is killed; every decision that it confirmed must still be there."""
    decide(trial, trial.random.randint(1, 2 * _MOST_KILLS))
    trial.compare()


def decide(trial: Trial, num_kills: int = 0) -> None:
    """Makes all decisions, with so many kills; ends the last sitting with Ctrl-C."""
    decisions = [json.loads(line) for line in (trial.data / "decisions.jsonl").read_text().splitlines()]
    confirmed: dict[str, str] = {}
    for sitting in range(num_kills + 1):
        trial.log.write_text("")
        process = killed_command.start(trial.words(trial.part.words), trial.folder, trial.log)
        url = _address(trial.log)
        items = {item["name"]: item for item in _asked(url + "state")["items"]}
        lost = [name for name, decision in confirmed.items() if items[name]["decision"] != decision]
        trial.problems += [f"the decision about {name} is lost" for name in lost]
        killer = None
        if sitting < num_kills:
            kind, seconds = trial.random.choice(SIGNALS), trial.random.uniform(0, 0.15)
            killer = _later(process, kind, seconds)
        for each in [each for each in decisions if each["name"] not in confirmed]:
            try:
                answer = _asked(f"{url}decisions/{items[each['name']]['number']}", each)
            except (OSError, http.client.HTTPException):
                break
            confirmed[each["name"]] = answer["item"]["decision"]
        if killer is not None:
            os.waitpid(killer, 0)
            trial.kills.append(f"{kind.name} in sitting {sitting + 1}, {len(confirmed)} decisions confirmed")
        ended = killed_command.end(process, trial.folder, Moment(signal.SIGINT, 0.0) if killer is None else None)
        trial.problems += [*ended.problems, *result_files.broken_files(trial.folder)]


def _later(process: int, kind: signal.Signals, seconds: float) -> int:
    """A process that sends another one a signal after some seconds, while this one talks to it."""
    killer = os.fork()
    if not killer:
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, kind)
        os._exit(0)
    return killer


def _address(log: Path, seconds: float = 120.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = re.search(r"http://127\.0\.0\.1:\S+", log.read_text() if log.exists() else "")
        if found:
            return found.group()
        time.sleep(0.01)
    raise TimeoutError(f"the review did not start: {log.read_text()[-300:]}")


def _asked(url: str, decision: Mapping[str, Any] | None = None) -> Any:
    token = url.split("/")[3]
    origin = "/".join(url.split("/")[:3])
    headers = {"X-Review-Token": token, "Origin": origin, "Content-Type": "application/json"}
    data = None if decision is None else json.dumps(decision).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:
        return json.loads(answer.read())


def lost_worker_trial(trial: Trial) -> None:
    """Kills one of two workers; the other must say so and end; then both are started again."""
    victim = trial.random.randrange(2)
    # Both are past the start once the first epoch is written.
    moment = Moment(signal.SIGKILL, trial.random.uniform(0, 1), "out/checkpoints/last/progress.json")
    for is_killed in (True, False):
        workers = _workers(trial)
        if is_killed:
            other = workers.pop(victim)
            ended = killed_command.end(other, trial.folder, moment)
            trial.kills.append(f"worker {victim}: {moment}")
            if ended.code != -signal.SIGKILL:
                trial.problems.append(f"worker {victim} ended before: {ended.code}")
        for process in workers:
            ended = killed_command.end(process, trial.folder)
            trial.problems += ended.problems
            if ended.code != (WorkerLostError.exit_code if is_killed else 0):
                trial.problems.append(f"exit code {ended.code}: {trial.last_line()}")
    trial.compare()


def _workers(trial: Trial) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    processes = []
    for index in range(2):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        log = trial.log.with_suffix(f".{index}.log")
        processes.append(
            killed_command.start(trial.words(trial.part.words), trial.folder, log, {"TF_CONFIG": json.dumps(config)})
        )
    return processes


def undisturbed_workers(trial: Trial) -> None:
    """Two workers to their end."""
    for process in _workers(trial):
        if killed_command.end(process, trial.folder).code:
            trial.problems.append("a worker failed")


PARTS = {
    part.name: part
    for part in (
        Part(
            *("stage1", "`care train`, stage 1", _TRAIN),
            patterns=(_LAST + "1-?.weights.h5.written.weights.h5", _LAST + "progress.json.written.json"),
            span=0.5,
            weight=30,
        ),
        Part(
            *("change", "`care train`, the change of stage", _TRAIN),
            patterns=(_WEIGHTS, "out/checkpoints/1-*.h5", _LAST + "2-?.weights.h5.written.weights.h5"),
            share_of_patterns=1.0,
            reference="stage1",
            weight=30,
        ),
        Part(
            *("stage2", "`care train`, stage 2", _TRAIN),
            patterns=(_LAST + "2-?.weights.h5.written.weights.h5", "out/.model.keras.written.keras", "out/model.keras"),
            begins_with="out/checkpoints/last/2-1.weights.h5",
            reference="stage1",
            weight=30,
        ),
        Part(
            *("checkpoint", "`care train`, while a checkpoint is written", _TRAIN),
            patterns=(_LAST + "*.written*", "out/checkpoints/.*.written*", "out/.*.written*"),
            share_of_patterns=1.0,
            reference="stage1",
            weight=30,
        ),
        Part(
            *("evaluate", "`care evaluate`", _EVALUATE),
            patterns=("out/.*.written*", "out/metrics.json", "out/predictions.csv"),
            needs="stage1",
            weight=20,
        ),
        Part(
            *("export", "`care export`", _EXPORT, _PREDICT),
            patterns=("out/.served.written", "out/.served.written/variables", "out/.served.written/saved_model.pb"),
            needs="stage1",
            weight=20,
        ),
        Part(
            *("predict", "`care predict`"),
            ("predict", "run", "{data}/images", "--output", "out", "--batch-size", "4"),
            patterns=("out/heatmaps/*", "out/.*.progress.jsonl", "out/.*.written*"),
            needs="stage1",
            weight=20,
        ),
        Part(
            "compare",
            "`care compare`, two methods",
            ("compare", "{data}/baseline.yaml", "{data}/care.yaml", "--output", "out", "--resamples", "20"),
            patterns=("out/*/*/model.keras", "out/*/*/checkpoints/1-*.h5", "out/.*.written*", "out/comparison.md"),
            weight=15,
        ),
        Part(
            *("boxes", "`care boxes make`", _MAKE),
            patterns=("out/.boxes.csv.progress.jsonl", "out/maps/.*.written*", "out/.boxes.*written*"),
            weight=40,
        ),
        Part(
            *("segment", "`care segment train`"),
            (
                *("segment", "train", "{data}/masks.csv", "--output", "out", "--architecture", "deeplab_v3"),
                *("--image-size", "32x32", "--max-epochs", "2", "--batch-size", "8"),
            ),
            patterns=(
                "out/model_1.keras",
                "out/.model_?.keras.written.keras",
                "out/model_1.csv",
                "out/fingerprint.txt",
            ),
            weight=10,
        ),
        Part(
            "review",
            "`care boxes review`, the server",
            ("boxes", "review", "{data}/proposed.csv", "--output", "out/reviewed.csv", "--no-browser"),
            trial=review_trial,
            undisturbed=decide,
            weight=40,
        ),
        Part(*("full_train", "full disk: `care train`", _TRAIN), trial=full_disk_trial, reference="stage1", weight=15),
        Part(
            *("full_cache", "full disk: `care train`, cache in a folder", (*_TRAIN, "data.cache=out/cache")),
            trial=full_disk_trial,
            weight=6,
        ),
        Part(*("full_export", "full disk: `care export`", _EXPORT), trial=full_disk_trial, needs="stage1", weight=6),
        Part(
            *("full_boxes", "full disk: `care boxes make`", _MAKE), trial=full_disk_trial, reference="boxes", weight=6
        ),
        Part(
            "worker",
            "one of two workers is gone",
            (*_TRAIN, "training.distribution=multiworker"),
            trial=lost_worker_trial,
            undisturbed=undisturbed_workers,
            weight=2,
        ),
    )
}
