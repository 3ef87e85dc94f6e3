"""What is finished of a long run, kept on disk beside its output, so that the same command continues after a kill."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from care_tf.errors import InputError
from care_tf.file_lock import open_locked, try_lock

_FORMAT = 1


class ProgressJournal:
    """JSON lines: first what the run is, then one line per finished item, appended as it finishes.

    A last line cut off by a kill is dropped, and so is a line that is no JSON. The open file is locked: a second run
    on the same output is refused. The lock belongs to the process, so a killed run leaves none behind.

    Args:
      output: The file that the run will write; the journal lies beside it, `.NAME.progress.jsonl`.
      fingerprint: What a finished item depends on beside its own file: method, settings, versions. JSON values.
      refusal: What the error says where the journal was begun with another fingerprint; None starts it anew.

    Raises:
      InputError: Another run works on the same output, its folder cannot be written to, or `refusal`.

    Example:
      >>> import tempfile
      >>> output = Path(tempfile.mkdtemp()) / "boxes.csv"
      >>> with ProgressJournal(output, {"threshold": 0.5}) as journal:
      ...     journal.append({"image": "a.jpg"})
      >>> with ProgressJournal(output, {"threshold": 0.5}) as journal:
      ...     journal.entries
      [{'image': 'a.jpg'}]
      >>> with ProgressJournal(output, {"threshold": 0.4}) as journal:
      ...     journal.entries, journal.changes
      ([], ['threshold: 0.5 -> 0.4'])
    """

    def __init__(self, output: str | os.PathLike, fingerprint: Mapping[str, Any], refusal: str | None = None):
        self._output = Path(output)
        self._refusal = refusal
        self.path = journal_path(self._output)
        self.entries: list[dict[str, Any]] = []
        self.changes: list[str] = []
        # As JSON reads it back: a tuple is a list there, and 1.0 == 1.
        self._fingerprint = json.loads(json.dumps({"format": _FORMAT, **fingerprint}, default=str))
        self._file: IO[bytes] | None = None

    def __enter__(self) -> "ProgressJournal":
        self._file = open_locked(self.path, str(self._output))
        first, entries, num_good_bytes = _read(self._file)
        if first == self._fingerprint:
            self.entries = entries
            self._file.truncate(num_good_bytes)
        else:
            self.changes = list(_differences(first, self._fingerprint)) if first is not None else []
            if self.changes and self._refusal is not None:
                self._file.close()
                raise InputError(f"{self._refusal} ({'; '.join(self.changes)}). Choose another output.")
            self._file.truncate(0)
            self._write(self._fingerprint)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if self._file is not None:
            # Closing writes what is left, which a full disk refuses again: the first error is the one to tell.
            with contextlib.suppress(OSError) if error is not None else contextlib.nullcontext():
                self._file.close()  # and with it goes the lock
            self._file = None

    def append(self, entry: Mapping[str, Any]) -> None:
        """Adds a finished item; it is with the operating system, safe from a kill, when this returns."""
        self._write(entry)

    def remove(self) -> None:
        """Deletes the journal, once the run's output is in its place."""
        self.path.unlink(missing_ok=True)

    def _write(self, entry: Mapping[str, Any]) -> None:
        if self._file is None:
            raise RuntimeError("a journal is written inside its `with` block only")
        try:
            self._file.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be written to: {error.strerror}; what it holds is kept: make room, start again."
            ) from error


def journal_path(output: Path) -> Path:
    """Where the journal of an output lies, `.NAME.progress.jsonl` beside it."""
    return output.with_name(f".{output.name}.progress.jsonl")


def remove_finished(output: Path) -> None:
    """Removes the journal of a run that was killed after it had written its output; one that can continue stays."""
    path = journal_path(output)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_mtime_ns <= output.stat().st_mtime_ns and (lock := try_lock(path)) is not None:
            with lock:
                path.unlink()


def _read(file: IO[bytes]) -> tuple[Any, list[dict[str, Any]], int]:
    """The first line, the entries after it, and where the last whole line ends; None for a first line not there."""
    file.seek(0)
    first: Any = None
    entries, num_good_bytes = [], 0
    for number, line in enumerate(file):
        if not line.endswith(b"\n"):
            break
        num_good_bytes += len(line)
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if number == 0:
            first = value
        elif isinstance(value, dict):
            entries.append(value)
    return first, entries, num_good_bytes


def _differences(old: Any, new: dict[str, Any]) -> Iterator[str]:
    """What changed, one "key: old -> new" each, nested keys with dots."""
    old_values, new_values = _flat(old), _flat(new)
    for key in sorted(old_values.keys() | new_values.keys()):
        before, after = old_values.get(key), new_values.get(key)
        if before != after:
            yield f"{key}: {before} -> {after}"


def _flat(value: Any, *keys: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {".".join(keys): value}
    return {name: leaf for key, inner in value.items() for name, leaf in _flat(inner, *keys, key).items()}
