"""What `make soak` compares, and how it kills; the soak itself takes an hour."""

import dataclasses
import json
import os
import runpy
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "soak"))

import result_files  # noqa: E402
import soak  # noqa: E402


def write_results(folder, started="today", weight=1.0, row="a.jpg,0.5,1.25"):
    (folder / "checkpoints").mkdir(parents=True)
    with h5py.File(folder / "checkpoints" / "1-care.weights.h5", "w") as file:
        file["layer/kernel"] = np.float32([weight, 2.0])
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"date_saved": started}))
        archive.writestr("config.json", "{}")
        archive.write(folder / "checkpoints" / "1-care.weights.h5", "model.weights.h5")
    np.save(folder / "checkpoints" / "1-care.files.npy", [[900, len(started)]])  # size and time of an image
    (folder / "environment.json").write_text(json.dumps({"seed": 0, "started": started}))
    (folder / "cell.json").write_text("a1da65e0")  # a digest alone
    (folder / "boxes.details.csv").write_text(f"image,doubt,seconds\n{row}\n")


def test_all_but_times_is_compared_to_the_last_bit(tmp_path):
    write_results(tmp_path / "expected")
    write_results(tmp_path / "same", started="yesterday", row="a.jpg,0.5,99")
    write_results(tmp_path / "other", weight=np.nextafter(np.float32(1), np.float32(2)), row="a.jpg,0.6,1.25")
    (tmp_path / "other" / "environment.json").rename(tmp_path / "other" / "more.json")
    expected, same, other = (result_files.contents(tmp_path / name) for name in ("expected", "same", "other"))
    assert result_files.differences(expected, same) == []
    assert result_files.differences(expected, other) == [
        "boxes.details.csv is other",
        "checkpoints/1-care.weights.h5 is other",
        "environment.json is missing",
        "model.keras is other",
        "more.json is new",
    ]


def test_half_written_and_left_over_files_are_found(tmp_path):
    write_results(tmp_path)
    (tmp_path / ".lock").touch()
    assert len(result_files.contents(tmp_path)) == 6
    (tmp_path / ".lock").unlink()
    assert result_files.broken_files(tmp_path) == result_files.hidden_files(tmp_path) == []
    for name in ("model.keras", "environment.json", "checkpoints/1-care.weights.h5", "boxes.details.csv"):
        os.truncate(tmp_path / name, (tmp_path / name).stat().st_size - 3)
    (tmp_path / "checkpoints" / ".last.written").mkdir()
    (tmp_path / "checkpoints" / ".last.written" / "progress.json").write_text("{")
    assert len(result_files.broken_files(tmp_path)) == 4
    assert result_files.hidden_files(tmp_path) == ["checkpoints/.last.written"]


COMMANDS = """
import signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from killed_command import Moment, end, start

folder = Path(sys.argv[2])
for moment in (None, Moment(signal.SIGKILL, 0.0), Moment(signal.SIGINT, 0.0, "log"), Moment(signal.SIGTERM, 99.0)):
    (folder / "log").unlink(missing_ok=True)
    ended = end(start(["configs"], folder, folder / "log"), folder, moment)
    print(ended.code, ended.was_killed, *ended.problems)
"""


def test_a_command_is_run_and_killed_at_its_moment(tmp_path):
    folder, environment = ROOT / "tools" / "soak", {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", COMMANDS, str(folder), str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert result.stdout.splitlines() == ["0 False", "-9 True", "130 True", "0 False"], result.stderr
    assert "isic2018/care" in (tmp_path / "log").read_text()


GOOD = {"part": "stage1", "seed": 0, "kills": ["SIGKILL", "SIGINT"], "problems": [], "left": []}
BAD = {"part": "review", "seed": 1, "kills": ["SIGKILL"], "problems": ["lost"], "left": [".a", ".b"]}


@pytest.mark.parametrize(
    ("trials", "code"), [([GOOD, GOOD], 0), ([GOOD, BAD | {"left": []}], 1), ([BAD | {"problems": []}, GOOD], 1)]
)
def test_a_fault_of_any_trial_in_the_folder_is_the_exit_code(tmp_path, monkeypatch, capsys, trials, code):
    (tmp_path / "outcomes").mkdir()
    for number, trial in enumerate(trials):
        (tmp_path / "outcomes" / f"{number}.json").write_text(json.dumps(trial))
    monkeypatch.setattr(sys, "argv", ["soak.py", "--output", str(tmp_path), "--table-only"])
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(soak.__file__, run_name="__main__")
    assert ended.value.code == code
    assert capsys.readouterr().out == soak.table(trials) + "\n"


@pytest.mark.parametrize(("hit_at", "tries"), [(0, 1), (2, 3), (99, soak.MOST_TRIES)])
def test_a_command_that_ends_before_its_kill_is_tried_again_and_shows_nothing(tmp_path, hit_at, tries):
    seen = []

    def trial(one):
        seen.append((one.folder.name, one.seconds))
        one.log.touch()
        if len(seen) > hit_at:
            one.kills.append("SIGKILL")

    part = dataclasses.replace(soak.PARTS["export"], trial=trial, needs="")
    (tmp_path / "undisturbed" / "export").mkdir(parents=True)
    (tmp_path / "undisturbed" / "export" / "seconds.json").write_text("10.0")
    entry = soak.one_trial(tmp_path, part, 7, 0)
    assert [seconds for _, seconds in seen] == pytest.approx([10 * 0.8**again for again in range(tries)])
    assert len({name for name, _ in seen}) == tries  # other moments: they are drawn by the name
    assert entry["kills"] == ["SIGKILL"] * (hit_at < tries) and bool(entry["problems"]) == (hit_at >= tries)
    kept = sorted(path.name for path in (tmp_path / "trials").iterdir())  # where something went wrong
    assert kept == (["export-7-0-9", "export-7-0-9.log"] if entry["problems"] else [])
    # What an earlier soak noted of one that nothing disturbed is no outcome: it is done again.
    (tmp_path / "outcomes").mkdir()
    for number, kills in enumerate(([], ["SIGKILL"])):
        outcome = {"part": "export", "number": number, "seed": 0, "kills": kills, "problems": [], "left": []}
        soak.trial_path(tmp_path, part, number, 0).write_text(json.dumps(outcome))
    assert [each["number"] for each in soak.read_trials(tmp_path)] == [1]


def test_the_table_counts_each_part_and_all():
    lines = soak.table([GOOD, GOOD, BAD]).splitlines()
    assert lines[-1].endswith("seeds 0, 1: 3 SIGKILL, 0 SIGTERM, 2 SIGINT; the rest were full disks.")
    assert lines[2:-2] == [
        "| `care train`, stage 1 | 2 | 4 | 2 | 0 |",
        "| `care boxes review`, the server | 1 | 1 | 0 | 2 |",
        "| **all** | 3 | 5 | 2 | 2 |",
    ]
