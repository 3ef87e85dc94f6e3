"""The images and masks that a result comes from, as they were then: tells later that files have changed since."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from care_tf.data import Manifest
from care_tf.errors import InputError, clause, reason
from care_tf.file_work import work_on_chunks
from care_tf.files import atomic_path, file_state
from care_tf.shard_place import stored_files

_FILES_AT_ONCE = 1000


class SourceFiles(NamedTuple):
    """Files, and how they are.

    Attributes:
      paths: m files on the disk, each once; of places in shards, the shards.
      states: int64 (m,2), size in bytes and time of the last change in ns; -1 where there is no file.
    """

    paths: list[str]
    states: np.ndarray


class FileStates:
    """Asks for the state of each file once, however many runs have it."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int]] = {}

    def of(self, paths: Iterable[str]) -> SourceFiles:
        """The files that hold what paths name, as they are, or were when they were first asked for."""
        files = stored_files(paths)
        new = [file for file in files if file not in self._known]

        def ask(start: int) -> None:
            for file in new[start : start + _FILES_AT_ONCE]:
                self._known[file] = file_state(file)

        work_on_chunks(ask, range(0, len(new), _FILES_AT_ONCE))
        return SourceFiles(files, np.array([self._known[file] for file in files], np.int64).reshape(-1, 2))


def files_of_rows(rows: Manifest) -> list[str]:
    """Paths of the images and masks that predictions of some rows come from."""
    return [path for path in rows.image_paths + rows.mask_paths if path]


def write_states(record: Path, sources: SourceFiles) -> None:
    """Keeps the states of files in a .npy file; the files' names are those of the manifest's rows."""
    with atomic_path(record, durable=True) as temporary:
        np.save(temporary, sources.states)


def changes_since(records: Iterable[tuple[Path, SourceFiles]]) -> str:
    """What has changed of some files since their states were kept, as half a sentence.

    Args:
      records: File of `write_states`, and the same files now. One that does not exist says nothing.

    Returns:
      Such as "2 of 900 images and masks have changed since, 1 of them in size, the first is a.png"; "" where none has.

    Raises:
      InputError: A record is damaged.
    """
    changes: dict[str, bool] = {}  # file -> whether in size
    paths: set[str] = set()
    for record, sources in records:
        if record.exists():
            before = _read_states(record)
            is_alike = before.shape == sources.states.shape
            is_other = before != sources.states if is_alike else np.ones(sources.states.shape, bool)
            changes |= {sources.paths[row]: bool(is_other[row, 0]) for row in np.flatnonzero(is_other.any(axis=1))}
            paths.update(sources.paths)
    if not changes:
        return ""
    have, num_resized = "has" if len(changes) == 1 else "have", sum(changes.values())
    return (
        f"{len(changes):,} of {len(paths):,} images and masks {have} changed since, "
        f"{f'{num_resized:,} of them in size' if num_resized else 'by time alone'}, the first is {next(iter(changes))}"
    )


def _read_states(record: Path) -> np.ndarray:
    try:
        return np.load(record)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{record}, which says how the images were at that time, cannot be read: {clause(reason(error))}. Move "
            "it away: nobody is told then whether they have changed."
        ) from error
