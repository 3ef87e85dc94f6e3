"""`care prepare trap`, on photographs drawn here."""

import numpy as np
import pytest
from downloads import write_isic2018
from PIL import Image

from care_tf.cli.prepare_trap import KINDS, trap
from care_tf.data import read_manifest
from care_tf.datasets.traps._marks import MARKS

SPLITS = ["train", "val", "test_balanced", "test_reversed"]


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    """48 lesions with two photographs each, MEL and NV; of every second lesion one photograph has a dark frame."""
    root = tmp_path_factory.mktemp("download")
    region = np.zeros((30, 40), np.uint8)
    region[10:20, 15:25] = 255
    labels = ["MEL", "MEL", "NV", "NV"] * 24
    ids = write_isic2018(root, labels, [f"lesion_{i // 2}" for i in range(96)], [region] * 96)
    for i, name in enumerate(ids):
        path = root / "ISIC2018_Task3_Training_Input" / f"{name}.jpg"
        pixels = np.array(Image.open(path))
        if i % 8 in (1, 3, 4, 5, 6, 7) and (i % 2 or i % 8 in (4, 6)):
            pixels[:, :6] = 0
            Image.fromarray(pixels).save(path, quality=95)
    return root


def test_the_frame_trap_of_a_download(download, tmp_path, run):
    words = ["frame", download, "--positive", "MEL", "--negative", "NV", "--share", ".9", "--output", "out"]
    code, out, err = run(trap, *words)
    assert code == 0, err
    made = read_manifest(tmp_path / "out" / "manifest.csv", inputs=["cue", "pair"])
    assert list(dict.fromkeys(made.splits)) == SPLITS
    for path, cue in zip(made.image_paths, made.inputs["cue"], strict=True):
        assert (cue == "frame") == bool((np.array(Image.open(path))[:, :4] < 40).all())
    assert all(len(boxes) for boxes in made.boxes)
    assert "| train | MEL | frame |" in out and "wrote out/manifest.csv, trap.md and contact_sheet.png" in out
    text = (tmp_path / "out" / "trap.md").read_text()
    assert text.rstrip().endswith(out.partition("\n\nwrote")[0])
    assert text.startswith("# Trap: frame\n\n    ") and "--share .9" in text
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "contact_sheet.png",
        "manifest.csv",
        "trap.md",
    ]


def test_a_drawn_trap_of_a_manifest_takes_the_rarest_class_and_is_replaced_only_when_told(
    download, tmp_path, run, refuses
):
    assert run(trap, "frame", download, "--positive", "MEL", "--negative", "NV", "--output", "first")[0] == 0
    words = ["sticker", "first/manifest.csv", "--output", "second"]
    code, _, err = run(trap, *words)
    assert code == 0, err
    made = read_manifest(tmp_path / "second" / "manifest.csv", inputs=["cue"])
    counts = read_manifest(tmp_path / "first" / "manifest.csv").class_counts
    rarest = min(counts, key=counts.get)
    labels = np.array(made.class_names)[made.labels]
    rows = zip(labels, made.inputs["cue"], made.splits, strict=True)
    training = {(label, cue) for label, cue, split in rows if split == "train"}
    assert training == {(name, "sticker" if name == rarest else "none") for name in counts}
    before = (tmp_path / "second" / "manifest.csv").read_text()
    assert "give --overwrite" in refuses(trap, *words)
    assert run(trap, *words, "--overwrite")[0] == 0
    assert (tmp_path / "second" / "manifest.csv").read_text() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    line = refuses(trap, *words[:2], "--output", "mine", "--overwrite")
    assert "--overwrite replaces only a trap. Received mine without trap.md" in line


def test_what_cannot_be_made_leaves_nothing(download, tmp_path, run, refuses):
    code, _, err = run(trap, "ink", download, "--positive", "MELL", "--output", "out")
    assert code == 2 and "Received MELL. Did you mean 'MEL'?" in err.splitlines()[-1]
    assert "0.5<=x<=1" in refuses(trap, "frame", download, "--share", ".3", "--output", "out")
    (tmp_path / "file").write_text("mine")
    assert "must be a folder. Received file" in refuses(trap, "frame", download, "--output", "file", "--overwrite")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_kinds_are_the_marks_and_the_frame():
    assert set(KINDS) == {"frame", *MARKS}
