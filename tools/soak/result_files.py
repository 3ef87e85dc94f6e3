"""What is compared of the files of two runs: everything but times, and what changes from process to process."""

import csv
import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from care_tf.run_files import CELL_RECORD

_TIMES = {"seconds", "started", "date_saved"}  # columns and keys
# A network's file holds the time of its writing and addresses in memory, so its digest changes, too.
_OF_A_PROCESS = {"command", "shared_object_id", "sha256"}


def contents(folder: Path) -> dict[str, str]:
    """Path below the folder -> digest of what is in the file, for all files that are not hidden."""
    return {str(path.relative_to(folder)): _digest(path) for path in _files(folder) if not is_hidden(path, folder)}


def hidden_files(folder: Path) -> list[str]:
    """What a finished command should have removed: temporary, hidden and lock files, and folders."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name.startswith("."))


def broken_files(folder: Path) -> list[str]:
    """Files under their own names, hence taken for whole, that cannot be read."""
    broken = []
    for path in _files(folder):
        if not is_hidden(path, folder):
            try:
                _digest(path)
            except Exception as error:  # whatever its reader raises
                broken.append(f"{path.relative_to(folder)} cannot be read: {error}")
    return broken


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """What is missing, what is too much and what is other."""
    return [
        f"{name} is {'missing' if name not in found else 'new' if name not in expected else 'other'}"
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]


def is_hidden(path: Path, folder: Path) -> bool:
    """Whether the path or a folder above it, below `folder`, is a hidden one."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _digest(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".h5":
        return _of_arrays(path)
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as weights:
            config = _timeless(json.loads(archive.read("config.json")))
            return _of(json.dumps(config).encode(), _of_arrays(weights).encode())
    if path.suffix == ".json" and path.name != CELL_RECORD:  # that one is a bare digest
        return _of(json.dumps(_timeless(json.loads(data))).encode())
    if path.suffix == ".csv":
        rows = list(csv.reader(data.decode().splitlines()))
        if not data.endswith(b"\n"):
            raise ValueError("its last line is cut off")
        kept = [i for i, name in enumerate(rows[0]) if name not in _TIMES]
        return _of(json.dumps([[row[i] for i in kept] for row in rows]).encode())
    if path.name.endswith(".files.npy"):  # sizes and times of the images
        return _of(np.load(path)[:, 0].tobytes())
    if path.suffix == ".pb":  # the order of its parts changes from process to process: `exported` compares predictions
        return "" if data else "empty"
    return _of(data)


def _of_arrays(file: Any) -> str:
    digest = hashlib.sha256()
    with h5py.File(file) as arrays:

        def add(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                digest.update(f"{name} {item.shape} {item.dtype}".encode() + item[()].tobytes())

        arrays.visititems(add)
    return digest.hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in {*_TIMES, *_OF_A_PROCESS}}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


def _of(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
