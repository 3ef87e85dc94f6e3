"""The command `care` in a process that is forked from this one, which has imported TensorFlow, and killed."""

import atexit
import contextlib
import dataclasses
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

_POLL_SECONDS = 0.001
HANGS = "hangs"
_PATIENCE_SECONDS = 300.0  # for a process that has got a signal, or should end by itself


@dataclasses.dataclass(frozen=True)
class Moment:
    """When a signal is sent: some seconds after the start, or after a path of this pattern appears in the folder."""

    signal: signal.Signals
    seconds: float
    pattern: str = ""

    def found(self, folder: Path) -> frozenset[Path]:
        """What is there of its pattern."""
        return frozenset(folder.glob(self.pattern)) if self.pattern else frozenset()

    def __str__(self) -> str:
        after = f"after {self.pattern}" if self.pattern else "after the start"
        return f"{self.signal.name} {self.seconds:.3f} s {after}"


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, -N after signal N; whether it was sent a signal before; seconds; problems."""

    code: int
    was_killed: bool
    seconds: float
    problems: tuple[str, ...] = ()


def warm_up() -> None:
    """Imports what the commands need. TensorFlow must not compute anything here: its threads would not be in a fork."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import care_tf.boxes.making.manifest_boxes
    import care_tf.boxes.review.server
    import care_tf.boxes.segmentation.segmentation_training
    import care_tf.cli.boxes_make
    import care_tf.cli.boxes_review
    import care_tf.cli.compare
    import care_tf.cli.evaluate
    import care_tf.cli.export
    import care_tf.cli.segment_train
    import care_tf.cli.train
    import care_tf.runs.comparison_runs
    import care_tf.serving  # noqa: F401


def start(
    words: Sequence[str],
    folder: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
    limit_bytes: int | None = None,
) -> int:
    """Starts `care` with these words in a folder; returns the process's id, which is that of its group, too."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        with contextlib.suppress(OSError):  # the child does it as well: whoever is first
            os.setpgid(process, process)
        return process
    code = 1
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        os.chdir(folder)
        os.environ.update(environment or {})
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        code = _main(words)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main(words: Sequence[str]) -> int:
    from care_tf.cli import main

    sys.argv = ["care", *words]
    code = 0
    try:
        main()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    threading._shutdown()  # type: ignore[attr-defined]  # as an interpreter does: here it would wait for a lost lock
    atexit._run_exitfuncs()
    return code


def end(process: int, folder: Path, moment: Moment | None = None, before: frozenset[Path] = frozenset()) -> Ended:
    """Waits for a process that `start` started, and sends it a signal at the moment; `before` lay there already."""
    try:
        return _ended(process, folder, moment, before)
    except BaseException:  # the soak itself is stopped
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        raise


def _ended(process: int, folder: Path, moment: Moment | None, before: frozenset[Path]) -> Ended:
    began = time.monotonic()
    due = None if moment is None or moment.pattern else began + moment.seconds
    code = None
    while code is None and (due is None or time.monotonic() < due):
        code = _exit_code(process)
        if moment is not None and due is None and moment.found(folder) - before:
            due = time.monotonic() + moment.seconds
        if time.monotonic() - began > 4 * _PATIENCE_SECONDS:
            break
        time.sleep(_POLL_SECONDS)
    was_killed = code is None and moment is not None and due is not None
    if was_killed and moment is not None:
        # Ctrl-C reaches all processes of a terminal.
        (os.killpg if moment.signal == signal.SIGINT else os.kill)(process, moment.signal)
        patience = time.monotonic() + _PATIENCE_SECONDS
        while code is None and time.monotonic() < patience:
            code = _exit_code(process)
            time.sleep(_POLL_SECONDS)
    problems = []
    if code is None:
        problems.append(HANGS)
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        code = os.waitstatus_to_exitcode(status)
    if not _is_gone(process):
        problems.append("leaves processes behind")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
    return Ended(code, was_killed, time.monotonic() - began, tuple(problems))


def _exit_code(process: int) -> int | None:
    found, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _is_gone(group: int, seconds: float = 20.0) -> bool:
    """Whether no process of the group is left, after some seconds at most."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False
