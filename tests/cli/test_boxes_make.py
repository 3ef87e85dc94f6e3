import csv
import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from care_tf.boxes.making.manifest_boxes import MadeBoxes
from care_tf.cli.boxes_make import make
from care_tf.data import read_manifest

ROOT = Path(__file__).resolve().parents[2]
# The red channel as the map; one line per call names the image by its blue value.
MODULE = """
import os, time
def red(image):
    time.sleep(float(os.environ.get("SECONDS_PER_IMAGE", "0")))
    with open(os.environ["CALLS"], "a") as file:
        file.write(f"{image[0, 0, 2]}\\n")
    if image[0, 0, 2] == int(os.environ.get("FAILS", "-1")):
        raise RuntimeError("as the test asked")
    return image[..., 0] / 255
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """manifest.csv with DF images 00..19, of which 03 shows nothing, and an NV image."""
    (tmp_path / "red_map.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls.txt"))
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    rows = ["image,label,boxes,mask,fold,box_source"]
    for number in range(20):
        pixels = np.full((20, 40, 3), (30, 30, number), np.uint8)
        pixels[4:14, number : number + 15, 0] = 250 if number != 3 else 30
        Image.fromarray(pixels).save(tmp_path / f"{number:02d}.png")
        own = '"[[1, 1, 3, 3]]"' if number == 5 else ""
        rows.append(f"{number:02d}.png,DF,{own},,{number % 2},{'hand' if own else ''}")
    Image.fromarray(pixels).save(tmp_path / "nv.png")
    rows.append('nv.png,NV,"[[0, 0, 9, 9]]",,0,hand')
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    yield tmp_path
    sys.modules.pop("red_map", None)


def arguments(folder, *more, method="red_map:red", output="new/boxes.csv", classes=("DF",)):
    command = [folder / "manifest.csv", "--method", method, "--classes", *classes, "--output", folder / output, *more]
    return [str(argument) for argument in command]


def calls(folder):
    return [int(line) for line in (folder / "calls.txt").read_text().splitlines()]


def made_boxes(folder, output="new/boxes.csv"):
    manifest = read_manifest(folder / output, check_images=False)
    pairs = zip(manifest.image_paths, manifest.boxes, strict=True)
    return {Path(path).stem: boxes.tolist() for path, boxes in pairs}


def test_it_writes_a_new_manifest_and_says_what_was_not_found(folder, run):
    before = (folder / "manifest.csv").read_bytes()
    code, out, err = run(make, *arguments(folder, "--workers", "1"))
    assert code == 0
    boxes = made_boxes(folder)
    assert boxes["07"] == [[7, 4, 22, 14]] and boxes["05"] == [[5, 4, 20, 14]]
    assert boxes["03"] == [] and boxes["nv"] == [[0, 0, 9, 9]]
    assert out == (
        "20 images: 19 with boxes, 1 without, 0 failed\n"
        f"wrote {folder / 'new/boxes.csv'} and {folder / 'new/boxes.details.csv'}\n"
    )
    assert f"warning: nothing found in {folder / '03.png'}\n" in err
    assert "20/20" in err  # the progress bar
    assert (folder / "manifest.csv").read_bytes() == before
    assert sorted(path.name for path in (folder / "new").iterdir()) == ["boxes.csv", "boxes.details.csv"]
    with open(folder / "new/boxes.details.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "status", "num_boxes", "doubt", "seconds", "message"]
    assert [row["image"] for row in rows] == [f"../{number:02d}.png" for number in range(20)]
    assert [row["status"] for row in rows] == ["no box" if number == 3 else "boxes" for number in range(20)]


def test_every_option_arrives(folder, run):
    options = ["--folds", "0", "--existing", "keep", "--threshold", "otsu", "--min-area-fraction", "0.02"]
    options += ["--boxes", "each", "--max-boxes", "1", "--scale", "0.8", "--workers", "1"]
    assert run(make, *arguments(folder, *options, "--keep-maps", "maps"))[0] == 0
    boxes = made_boxes(folder)
    assert [name for name, found in boxes.items() if found] == [
        *(f"{n:02d}" for n in [0, 2, 4, 5, *range(6, 20, 2)]),
        "nv",
    ]
    assert boxes["05"] == [[1, 1, 3, 3]]
    assert boxes["04"] == [[5.5, 5, 17.5, 13]]
    assert len(list((folder / "maps").iterdir())) == 10
    run(make, *arguments(folder, "--folds", "0,1", "--threshold", "adaptive", "--workers", "1", "--overwrite"))
    assert sum(bool(found) for found in made_boxes(folder).values()) == 20


def test_failed_images_are_listed_and_only_strict_minds(folder, monkeypatch, run):
    monkeypatch.setenv("FAILS", "7")
    (folder / "08.png").write_bytes(b"no image")
    code, out, err = run(make, *arguments(folder, "--workers", "1"))
    assert code == 0 and "20 images: 17 with boxes, 1 without, 2 failed\n" in out
    assert f"warning: failed {folder / '07.png'}: RuntimeError: as the test asked\n" in err
    assert f"warning: failed {folder / '08.png'}: The image {folder / '08.png'} cannot be decoded" in err
    code, _, err = run(make, *arguments(folder, "--workers", "1", "--strict", output="strict.csv"))
    last = err.splitlines()[-1]
    assert code == 2 and last.startswith("error: --strict: 2 images failed; ")
    assert last.endswith("strict.csv was written all the same.")
    boxes = made_boxes(folder, "strict.csv")
    assert boxes["07"] == boxes["08"] == [] and len(boxes["09"]) == 1


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(folder, run):
    """SIGKILL in the middle of a real run on two workers, then the same command again."""
    command = [sys.executable, str(ROOT / "tools/make_boxes.py"), *arguments(folder, "--workers", "2")]
    environment = {**os.environ, "SECONDS_PER_IMAGE": "0.3"}
    journal = folder / "new" / ".boxes.csv.progress.jsonl"

    def num_lines():
        return journal.read_bytes().count(b"\n") if journal.exists() else 0

    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while num_lines() < 6 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "new" / "boxes.csv").exists()
    time.sleep(2)  # the killed run's workers finish what they were at, and notice
    finished = [int(Path(json.loads(line)["image"]).stem) for line in journal.read_text().splitlines()[1:]]
    assert 5 <= len(finished) < 20
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"20 images ({len(finished)} of them from an earlier start): 19 with boxes")
    all_calls = calls(folder)
    assert set(all_calls) == set(range(20))
    assert [all_calls.count(number) for number in finished] == [1] * len(finished)
    run(make, *arguments(folder, "--workers", "1", output="new/whole.csv"))
    assert (folder / "new" / "boxes.csv").read_bytes() == (folder / "new" / "whole.csv").read_bytes()
    assert sorted(path.name for path in (folder / "new").glob(".*")) == []


def test_ctrl_c_says_how_to_go_on(folder, monkeypatch, run):
    def interrupt(seconds):
        raise KeyboardInterrupt

    run(make, *arguments(folder, "--workers", "1", output="first.csv"))  # imports the module
    monkeypatch.setattr(sys.modules["red_map"].time, "sleep", interrupt)
    code, _, err = run(make, *arguments(folder, "--workers", "1"))
    assert code == 130
    assert "stopped; what is finished is kept: the same command continues from there\n" in err
    assert (folder / "new" / ".boxes.csv.progress.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["DX"]}, "classes must be some of DF, NV. Received DX"),
        ({"method": "drs"}, "The method must be one of dsr, bms, segmentation"),
        ({"output": "manifest.csv", "more": ["--overwrite"]}, "must not replace the one it is made from"),
        ({"output": "red_map.py"}, "red_map.py. Choose another one, or give --overwrite."),
        (
            {"more": ["--threshold", "half"]},
            "or one of otsu, adaptive. Received 'half'",
        ),
        ({"more": ["--scale", "1.2"]}, "scale must lie between 0.7 and 1.1. Received 1.2"),
        ({"more": ["--max-boxes", "2"]}, "max_boxes must be at least 1 and goes with boxes"),
        ({"more": ["--workers", "0"]}, "Invalid value for '--workers': 0 is not in the range x>=1"),
        ({"more": ["--scheduler", "tcp://a:1"]}, "A scheduler goes with the backends dask and ray"),
        ({"more": ["--split", "train"]}, "has no split train; it has no split column"),
        ({"more": ["--model", "m.keras"]}, "go with the method segmentation. Received red_map:red"),
        ({"method": "segmentation"}, "The method segmentation needs a model"),
        ({"method": "attention"}, "The method attention takes a run (--run), segmentation a model"),
        ({"more": ["--run", "a_run"]}, "The method attention takes a run (--run)"),
        ({"method": "attention", "more": ["--run", "no_run"]}, "no_run is not a run folder"),
        ({"method": "attention", "more": ["--run", "a_run", "--model", "m.keras"]}, "takes a run (--run)"),
    ],
)
def test_what_makes_no_sense_is_refused(folder, refuses, options, message):
    before = (folder / "manifest.csv").read_bytes()
    options = dict(options)
    assert message in refuses(make, *arguments(folder, *options.pop("more", []), **options))
    assert (folder / "manifest.csv").read_bytes() == before
    assert not (folder / "calls.txt").exists()


def test_a_run_reads_images_by_its_own_range(folder, run, refuses, monkeypatch):
    """16-bit PNGs look to the network as they looked in training, whatever the command says."""
    red = types.SimpleNamespace(name="attention", settings={}, max_pixel_value=4095)
    monkeypatch.setattr("care_tf.runs.attention_boxes.attention_method", lambda run, **trained: red)
    made = []
    monkeypatch.setattr(
        "care_tf.boxes.making.manifest_boxes.make_boxes",
        lambda rows, *rest, **options: made.append(rows.max_pixel_value) or MadeBoxes(rows, ()),
    )
    own = arguments(folder, "--run", "a_run", method="attention")
    assert run(make, *own)[0] == run(make, *own, "--max-pixel-value", "4095")[0] == 0 and made == [4095, 4095]
    assert "must be the run's own, 4095" in refuses(make, *own, "--max-pixel-value", "255")
