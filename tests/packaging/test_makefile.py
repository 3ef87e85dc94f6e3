"""What the Makefile refuses before it makes an environment."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_an_unknown_installer_is_refused():
    def dry_run(installer):
        command = ["make", "--dry-run", f"INSTALLER={installer}", "help"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert dry_run("uv").returncode == dry_run("pip").returncode == 0
    refused = dry_run("poetry")
    assert refused.returncode and "INSTALLER must be pip or uv, not 'poetry'" in refused.stderr
