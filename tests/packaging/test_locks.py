"""The locked versions are within the ranges that the package declares, and every file has its hash."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCKS = {
    "current": ("", "-dev", "-docs", "-dicom", "-dask", "-onnx"),
    "tf215": ("", "-dev", "-tf215", "-dicom", "-dask"),
}


def locked(name):
    """Distribution -> its versions, one for each range of Pythons and platforms; and how many lack a hash."""
    entries = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8").split("\n\n")[-1]
    found, without = {}, []
    for entry in re.split(r"\n(?=[a-z0-9])", entries.strip()):
        distribution, version = re.match(r"([\w.-]+)==([\w.+!]+)", entry).groups()
        found.setdefault(distribution, []).append(Version(version))
        if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry):
            without.append(distribution)
    return found, without


def requirements(suffix):
    for line in (ROOT / f"requirements{suffix}.txt").read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text and not text.startswith("-r"):
            yield Requirement(text)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_within_the_ranges_and_has_every_hash(lock):
    found, without = locked(lock)
    assert not without and len(found) > 100
    for requirement in (each for suffix in LOCKS[lock] for each in requirements(suffix)):
        versions = found[re.sub(r"[-_.]+", "-", requirement.name).lower()]
        assert all(version in requirement.specifier for version in versions), requirement
