"""The benchmarks' own rules: what a spread and a ratio are, and what counts as slower."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_generation
FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch):
    """As a script of the folder finds the others."""
    monkeypatch.syspath_prepend(str(FOLDER))


def made(median, low, high, **changed):
    """A record with a ratio."""
    ratio = {"median": median, "low": low, "high": high}
    key = {"benchmark": "b", "case": "c", "variant": "care", "unit": "s a step", "base": "plain"}
    return {**key, "median": 1.0, "low": 1.0, "high": 1.0, "ratio": ratio, **changed}


def written(path, records):
    path.write_text(json.dumps({"machine": {}, "records": records}))
    return path


def test_a_ratio_is_that_of_one_round():
    from records import records_of

    # The machine was half as fast in the second round, for both.
    plain, care = records_of("b", "c", "s", {"plain": [1.0, 2.0, 1.0], "care": [1.1, 2.2, 1.3]}, "plain")
    assert "ratio" not in plain and (plain["median"], plain["low"], plain["high"]) == (1.0, 1.0, 2.0)
    assert care["base"] == "plain"
    assert care["ratio"] == pytest.approx({"median": 1.1, "low": 1.1, "high": 1.3})


def test_variants_take_turns_and_the_first_rounds_do_not_count():
    from rounds import in_turns

    called = []
    taken = in_turns({name: lambda name=name: called.append(name) for name in "abc"}, 4, warm_up=2)
    rounds = [sorted(called[start : start + 3]) for start in range(0, 18, 3)]
    assert rounds == [["a", "b", "c"]] * 6 and len({tuple(called[i : i + 3]) for i in range(0, 18, 3)}) > 1
    assert {name: len(rounds) for name, rounds in taken.items()} == {"a": 4, "b": 4, "c": 4}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ((1.00, 0.98, 1.02), (1.20, 1.15, 1.30), ["slower"]),
        ((1.20, 1.15, 1.30), (1.00, 0.98, 1.02), ["faster"]),
        ((1.00, 0.90, 1.16), (1.20, 1.15, 1.30), []),  # the ranges meet
        ((1.00, 1.00, 1.00), (1.02, 1.02, 1.02), []),
        ((1.00, 1.00, 1.00), (1.20, 1.15, 1.30), ["slower?"]),  # one measurement has no spread
        ((1.20, 1.15, 1.30), (1.00, 1.00, 1.00), ["faster?"]),
    ],
)
def test_a_change_is_beyond_the_spread(old, new, expected):
    from changes import changes

    assert [change for change, _, _ in changes([made(*old)], [made(*new)])] == expected


def test_on_another_machine_a_change_is_in_doubt(tmp_path):
    old, new = [made(1.0, 0.9, 1.1)], [made(1.5, 1.4, 1.6)]
    files = []
    for name, processor, records in (("old", "one", old), ("new", "another", new), ("same", "one", new)):
        content = {"machine": {"processor": processor, "cores": 2, "gpus": [], "keras": name}, "records": records}
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(content))
    for other, code, says in (
        (files[1], 0, "Another machine (one, 2, []; here another"),
        (files[2], 1, "slower  1.000"),
    ):
        command = [sys.executable, FOLDER / "changes.py", files[0], other]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (code, "") and done.stdout.startswith(says)
        assert ("slower?" in done.stdout) == (code == 0)


def test_a_file_that_is_none_is_refused_in_one_line(tmp_path):
    (tmp_path / "other.json").write_text("[]")
    for name in ("other.json", "none.json"):
        command = [sys.executable, FOLDER / "run.py", "--compare", tmp_path / name]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and done.stdout == ""
        assert f"{name} must be a file that benchmarks/run.py wrote." in done.stderr


def test_only_what_both_files_have_is_compared_and_the_worst_comes_first():
    from changes import changes

    old = [made(1, 1, 1, variant="a"), made(1, 1, 1, variant="b"), made(1, 1, 1, variant="gone")]
    new = [made(1.1, 1.1, 1.1, variant="a"), made(1.5, 1.5, 1.5, variant="b"), made(9, 9, 9, variant="new")]
    assert [each["variant"] for _, _, each in changes(old, new)] == ["b", "a"]


def test_the_command_says_what_became_slower(tmp_path):
    old, once = written(tmp_path / "old.json", [made(1, 0.9, 1.1)]), written(tmp_path / "once.json", [made(2, 2, 2)])
    new = written(tmp_path / "new.json", [made(1.5, 1.4, 1.6)])
    for pair, code, says in (
        ((old, new), 1, "slower  1.000"),
        ((old, once), 0, "slower? 1.000"),
        ((old, old), 0, "No ratio has changed"),
    ):
        done = subprocess.run([sys.executable, FOLDER / "changes.py", *pair], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (code, "") and done.stdout.startswith(says)


def test_the_section_of_the_documentation(tmp_path):
    from step_tables import section

    base = {"benchmark": "step_cost", "case": "net, 8 px"}
    memory = base | {"benchmark": "step_memory", "unit": "MiB at the peak"}
    records = [
        made(1, 1, 1, **base, variant="plain") | {"ratio": None, "median": 0.25},
        made(1.02, 0.99, 1.05, **base),
        made(1.6, 1.5, 1.7, **base, variant="two passes"),
        made(1.1, 1.0, 1.2, **base, variant="care layercam", unit="processor s a step"),
        made(1, 1, 1, **memory, variant="plain") | {"ratio": None, "median": 900.0},
        made(1.01, 1.01, 1.01, **memory),
        made(1.03, 1.03, 1.03, **memory, variant="care layercam"),
        made(1, 1, 1, **base, variant="PyTorch plain") | {"ratio": None, "median": 0.5},
        made(1.3, 1.2, 1.4, **base, variant="PyTorch care nested") | {"median": 1.3},
        made(1, 1, 1, **memory, variant="PyTorch plain") | {"ratio": None, "median": 800.0},
        made(1.04, 1.04, 1.04, **memory, variant="PyTorch two passes"),
    ]
    machine = {"cores": 2, "processor": "a CPU", "memory_gib": 8.0, "gpus": [], "keras": "3.0"}
    text = section(machine, records)
    assert text.startswith("2 cores of a CPU, 8.0 GiB; keras 3.0.")
    assert "| by the clock, s | plain Keras | CARE / plain |" in text and "| of processor time" not in text
    assert "| net, 8 px | 0.250 | 1.02 (0.99 to 1.05) |  | 1.60 (1.50 to 1.70) |" in text
    assert "| net, 8 px | 900 | 1.01 |  |  |" in text
    assert "net, 8 px, processor time / plain: layercam 1.10 (1.00 to 1.20)." in text
    assert "net, 8 px, memory / plain: layercam 1.03." in text
    row = "| net, 8 px, {} | {} |".format
    assert row("by the clock, s", "0.500 | 1.30 (1.20 to 1.40) |  | 0.77") in text  # care's 1 s beside 1.3 s
    assert text.endswith(row("memory, MiB", "800 |  | 1.04 | "))


def test_text_goes_between_its_own_marks(tmp_path):
    from records import put_between_marks

    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x: start -->\nold\n<!-- x: end -->\nb\n<!-- y: start -->\nkept\n<!-- y: end -->\n")
    put_between_marks(page, "x", r"new \1")
    assert page.read_text() == (
        "a\n<!-- x: start -->\n\nnew \\1\n\n<!-- x: end -->\nb\n<!-- y: start -->\nkept\n<!-- y: end -->\n"
    )
    with pytest.raises(SystemExit, match="must have the marks"):
        put_between_marks(page, "z", "")


def test_the_machine_is_described():
    from records import machine, machine_text

    described = machine()
    assert described["cores"] >= 1 and described["memory_gib"] > 0 and described["tensorflow"]
    assert described["tensorflow"] in machine_text(described)


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_every_script_that_measures_is_run_and_can_write_its_records(name):
    from run import BENCHMARKS

    text = (FOLDER / f"{name}.py").read_text()
    writes = "add_output(parser)" in text and name != "own_process"  # which runs the two that compare steps
    assert (writes or "run_script(__doc__" in text) == (name in BENCHMARKS)


@pytest.mark.parametrize("list_of", ["quick_points", "full_points"])
def test_points_cover_every_axis_once(list_of):
    import step_points

    points = getattr(step_points, list_of)()
    assert len({str(point) for point in points}) == len(points)  # a record is known by its point's text
    assert {point.mode for point in points} == set(step_points.MODES)
    assert {point.precision for point in points} == set(step_points.PRECISIONS)
    assert len({point.network for point in points}) == 8
    for axis in ("size", "batch", "masked", "classes"):
        assert len({getattr(point, axis) for point in points}) >= 3
    assert set(points[0].variants) == {*step_points.STEPS, *step_points.MAPS}


def test_the_record_that_later_runs_compare_with_has_all():
    from records import read_records
    from run import BENCHMARKS
    from step_points import quick_points

    machine, records = read_records(FOLDER / "reference.json")
    assert machine["processor"] and machine["tensorflow"]
    assert {each["benchmark"] for each in records} == set(BENCHMARKS)
    for benchmark in ("step_cost", "step_memory"):
        measured = {(each["case"], each["variant"]) for each in records if each["benchmark"] == benchmark}
        assert {(str(point), variant) for point in quick_points() for variant in ("plain", "care")} <= measured
    done = subprocess.run(
        [sys.executable, FOLDER / "changes.py", *[FOLDER / "reference.json"] * 2], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "No ratio has changed beyond its spread.\n")


def test_pytorch_stands_beside_the_base_and_other_resnets_alone():
    from step_points import Point, full_points, quick_points, torch_points

    assert [point.network for point in torch_points(quick_points())] == ["resnet18", "resnet50"]
    assert [point.network for point in torch_points(full_points())] == ["resnet50", "resnet18", "resnet152"]
    assert torch_points([Point("vgg19")]) == torch_points([Point(mode="eager")]) == []


def test_a_point_reaches_its_process_whole():
    from own_process import part_of, part_text
    from step_points import quick_points

    for point in quick_points():
        assert part_of(part_text(point, "care")) == (point, "care")


def test_memory_is_that_of_processes_in_turn_and_a_variant_that_is_not_there_is_left_out():
    from step_memory import memory_records
    from step_points import Point

    peaks = iter([100.0, 110.0, None, 200.0, 210.0, None])
    plain, care = memory_records(Point(), dict.fromkeys(("plain", "care", "two passes"), lambda: next(peaks)), 2)
    assert (plain["variant"], plain["low"], plain["high"], care["variant"]) == ("plain", 100.0, 200.0, "care")
    assert care["ratio"] == pytest.approx({"median": 1.075, "low": 1.05, "high": 1.1})


def test_a_list_of_points_takes_no_axis_beside_it():
    import argparse

    from step_points import Point, add_points, points_of, quick_points

    parser = argparse.ArgumentParser()
    add_points(parser)
    assert points_of(parser.parse_args(["--quick"])) == quick_points()
    assert points_of(parser.parse_args(["--size", "64"])) == [Point(size=64)]
    with pytest.raises(SystemExit, match="points of their own. Received --size as well"):
        points_of(parser.parse_args(["--full", "--size", "64"]))


def test_without_pytorch_a_line_says_so(capsys, tmp_path):
    from own_process import has_torch

    assert not has_torch(str(tmp_path / "no python"))
    assert "PyTorch is not installed for" in capsys.readouterr().out


def test_a_file_of_records_is_read_as_it_was_written(tmp_path):
    from records import read_records, write_records

    for records in ([], [made(1, 0.9, 1.1)], [made(1, 0.9, 1.1), made(2, 2, 2)]):
        write_records(tmp_path / "records.json", records)
        assert read_records(tmp_path / "records.json")[1] == records
    assert len((tmp_path / "records.json").read_text().splitlines()) == 5  # a line for each: changes can be read


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a peak")
def test_a_peak_is_that_of_its_own_round():
    from rounds import peaks_mib

    mebibytes = iter([400, 10, 200, 10])  # the first call does not count
    peaks = peaks_mib(lambda: b"a" * (next(mebibytes) * 2**20))
    assert len(peaks) == 3
    assert peaks[1] - peaks[0] == pytest.approx(190, abs=60) and peaks[1] - peaks[2] == pytest.approx(190, abs=60)
