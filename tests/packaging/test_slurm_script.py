"""docs/scaling/slurm.sbatch, with programs of the same names in place of Slurm's and of care."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "scaling" / "slurm.sbatch"
PROGRAMS = {
    "scontrol": 'if [ "$1" = show ]; then printf "node1\\nnode2\\n"; else echo "$@" >> asked; fi',
    # Two nodes: each has its number, and the worst exit code is srun's.
    "srun": "shift; worst=0\n"
    "for SLURM_PROCID in 0 1; do\n"
    '  export SLURM_PROCID; code=0; "$@" || code=$?; [ $code -le $worst ] || worst=$code\n'
    "done; exit $worst",
    "care": 'echo "$TF_CONFIG" >> workers; [ "$SLURM_PROCID" = 0 ] || exit "$OTHER"; '
    'if [ "$FIRST" = sleeps ]; then touch begun; exec sleep 60; fi; exit "$FIRST"',
}


@pytest.fixture
def start(tmp_path):
    """Begins the job in a folder, its workers ending with two exit codes."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    (tmp_path / "bin").mkdir()
    for name, body in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/bash\n{body}\n")
        program.chmod(0o755)
    slurm = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node[1-2]"}
    environment = {**os.environ, **slurm, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    begun = []

    def begin(first, other=0):
        codes = {"FIRST": str(first), "OTHER": str(other)}
        begun.append(subprocess.Popen(["bash", str(SCRIPT)], env=environment | codes, start_new_session=True))
        return begun[-1]

    yield begin
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def asked(folder):
    path = folder / "asked"
    return path.read_text().splitlines() if path.exists() else []


def test_a_run_that_has_finished_is_not_started_again_and_every_worker_knows_all(start, tmp_path):
    assert start(0).wait(30) == 0 and asked(tmp_path) == []
    cluster = '{"cluster": {"worker": ["node1:12345","node2:12345"]}, "task": {"type": "worker", "index": %d}}'
    assert (tmp_path / "workers").read_text().splitlines() == [cluster % 0, cluster % 1]


@pytest.mark.parametrize("codes", [(2, 0), (2, 143)])
def test_what_was_refused_is_not_started_again(start, tmp_path, codes):
    assert start(*codes).wait(30) == max(codes) and asked(tmp_path) == []


def test_after_a_lost_worker_the_job_is_started_again_five_times(start, tmp_path):
    assert [start(75, 137).wait(30) for _ in range(7)] == [137] * 7
    assert asked(tmp_path) == ["requeue 7"] * 5


def test_when_its_time_is_up_the_job_goes_back_into_the_queue(start, tmp_path):
    for number in range(7):  # as often as the run needs
        (tmp_path / "begun").unlink(missing_ok=True)
        process = start("sleeps")
        deadline = time.monotonic() + 30
        while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGUSR1)
        assert process.wait(30) == 0 and asked(tmp_path) == ["requeue 7"] * (number + 1)
        os.killpg(process.pid, signal.SIGKILL)  # what Slurm does with the rest of the job
