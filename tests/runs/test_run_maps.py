"""Maps of runs side by side: which images, and what is said below them; the network is faked."""

import json

import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.runs import run_maps
from care_tf.runs._seen_images import seen_rows


@pytest.fixture
def drawn(seen_run, monkeypatch):
    """Draws maps of the run; returns the captions, a list per row."""
    grids = []
    size = (32, 32)
    monkeypatch.setattr(run_maps, "load_run", lambda folder: seen_run)
    monkeypatch.setattr(
        run_maps, "read_images", lambda run, rows: (np.zeros((len(rows), *size, 3)), np.zeros((len(rows), *size)), None)
    )
    monkeypatch.setattr(run_maps, "prepared_inputs", lambda run, rows, pixels: rows)
    monkeypatch.setattr(
        run_maps, "maps_and_classes", lambda run, rows, labels: (np.ones((len(rows), 2, 2)), ["nevus"] * len(rows))
    )
    monkeypatch.setattr(run_maps, "write_picture_grid", lambda output, titles, lines: grids.append(lines))

    def draw(*images, **where):
        run_maps.write_run_maps([seen_run.folder], "maps.png", images, **where)
        return [[tile.caption for tile in line] for line in grids[-1]]

    return draw


NAMES = ("images/0.png", "images/1.png", "images/2.png", "images/3.png")


def test_images_that_the_run_has_seen_are_marked_wherever_they_lie(drawn, elsewhere, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # the names are the manifest's, not this folder's
    captions = [line[1] for line in drawn(*NAMES, manifest=elsewhere)]
    assert captions == [
        "calls nevus, trained on it",
        "calls nevus, validated on it",
        "calls nevus, trained on its group",
        "calls nevus",
    ]


@pytest.mark.parametrize("part", ["data_fingerprint", "validation_fingerprint"])
def test_rows_that_have_changed_leave_it_unknown(seen_run, drawn, elsewhere, part):
    known = json.loads((seen_run.folder / "environment.json").read_text())
    (seen_run.folder / "environment.json").write_text(json.dumps({**known, part: "other"}))
    assert "have changed since" in seen_rows(seen_run).doubt
    assert [line[1] for line in drawn("3", manifest=elsewhere)] == ["calls nevus, unknown whether trained on it"]


def test_rows_that_are_gone_leave_it_unknown(seen_run, drawn, elsewhere):
    data = seen_run.config.data.model_copy(update={"manifest": "gone.csv"})
    seen_run.config = seen_run.config.model_copy(update={"data": data})
    assert seen_rows(seen_run).rows is None
    assert [line[1] for line in drawn("3", manifest=elsewhere)] == ["calls nevus, unknown whether trained on it"]


def test_an_image_must_be_there_once(drawn, elsewhere):
    with pytest.raises(InputError, match="'9' is not among the 4 images looked at"):
        drawn("9", manifest=elsewhere)
