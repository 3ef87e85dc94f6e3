"""Completion as a shell runs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from care_tf.cli.completion import completion

ROOT = Path(__file__).resolve().parents[2]


def completed(*words):
    """What the program answers to a shell that completes the last of the words."""
    environment = {**os.environ, "_CARE_COMPLETE": "bash_complete", "PYTHONPATH": str(ROOT)}
    environment |= {"COMP_WORDS": " ".join(["care", *words]), "COMP_CWORD": str(len(words))}
    command = [sys.executable, "-m", "care_tf"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


def test_commands_options_and_configurations_are_completed():
    assert completed("tr") == ["plain,train"]
    assert completed("boxes", "make", "--ov") == ["plain,--overwrite"]
    assert "plain,isic2018/care_csl" in completed("train", "isic2018/care_c")
    assert completed("train", "mine/") == ["file,mine/"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script(run, shell):
    code, out, _ = run(completion, shell)
    assert code == 0 and f"_CARE_COMPLETE={shell}_complete" in out


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes(run, tmp_path):
    _, script, _ = run(completion, "bash")
    program = tmp_path / "care"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m care_tf "$@"\n')
    program.chmod(0o755)
    typed = 'COMP_WORDS=(care boxes r); COMP_CWORD=2; _care_completion care; echo "${COMPREPLY[@]}"'
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{typed}"], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "review\n"
