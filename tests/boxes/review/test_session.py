import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from care_tf.boxes.review import _session as session_module
from care_tf.boxes.review._decisions import decision_of, reviewed_source
from care_tf.boxes.review._doubt import Doubt
from care_tf.boxes.review._session import ReviewSession
from care_tf.data.manifest import read_manifest
from care_tf.errors import InputError

A_BOX = [50.0, 40.0, 110.0, 100.0]


class _Clock:
    """Seconds that pass only when told to."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return _Clock()


@pytest.fixture
def review(manifest_path, clock):
    queue = [(number, Doubt(0.5, "")) for number in (2, 0, 1)]
    return ReviewSession(read_manifest(manifest_path), queue, manifest_path.with_name("out.csv"), clock=clock)


def _saved(review):
    manifest = read_manifest(review.output)
    return [(boxes.tolist(), source) for boxes, source in zip(manifest.boxes, manifest.box_sources, strict=True)]


boxes_strategy = st.lists(st.tuples(*[st.integers(0, 99)] * 4), max_size=3).map(
    lambda boxes: np.array(boxes, np.float32).reshape(-1, 4)
)


@given(boxes_strategy, boxes_strategy, st.sampled_from(["", "dsr", "manual", "reviewed:dsr", "reviewed:corrected"]))
def test_every_reviewed_source_is_recognized(old_boxes, boxes, old_source):
    source = reviewed_source(old_source, old_boxes, boxes)
    assert source.startswith("reviewed:") and source.count("reviewed:") == 1
    if not len(boxes):
        assert decision_of(source) == "rejected"
    elif not np.array_equal(old_boxes, boxes):
        assert decision_of(source) == "corrected"
    elif old_source != "reviewed:corrected":
        assert decision_of(source) == "accepted"


def test_an_unknown_source_has_a_name():
    box = np.ones((1, 4))
    assert reviewed_source("", box, box) == "reviewed:unknown"


def test_items_come_in_the_order_of_the_queue(review):
    assert [item["name"] for item in review.items()] == ["c.png", "a.png", "b.png"]
    assert review.item(0) == {
        "number": 0,
        "name": "a.png",
        "label": "DF",
        "boxes": [A_BOX],
        "proposed": [A_BOX],
        "source": "dsr",
        "doubt": 0.5,
        "reason": "",
        "decision": "",
    }


def test_every_decision_is_on_disk_at_once(review, manifest_path):
    before = manifest_path.read_bytes()
    whole = read_manifest(manifest_path)
    review.decide(0, "accept", [A_BOX])
    assert _saved(review)[0] == ([A_BOX], "reviewed:dsr")
    review.decide(1, "reject")
    assert _saved(review)[1] == ([], "reviewed:rejected")
    review.decide(2, "accept", [[1, 2, 30.5, 40]])
    assert _saved(review)[2] == ([[1, 2, 30.5, 40]], "reviewed:corrected")
    # The rest is as it was, and so is the manifest.
    assert _saved(review)[3:] == [([], ""), ([[0, 0, 9, 9]], "dsr")]
    saved = read_manifest(review.output)
    assert (saved.image_paths, saved.groups) == (whole.image_paths, whole.groups)
    assert manifest_path.read_bytes() == before


def test_a_decision_can_be_changed(review):
    review.decide(0, "reject")
    progress = review.decide(0, "accept", [A_BOX])
    assert (progress.reviewed, progress.accepted, progress.rejected) == (1, 1, 0)
    assert _saved(review)[0] == ([A_BOX], "reviewed:dsr")


def test_boxes_with_fractions_stay_unchanged_when_accepted(manifest_path):
    text = manifest_path.read_text().replace("50, 40, 110, 100", "50.3, 40.1, 110.7, 100.9")
    manifest_path.write_text(text)
    review = ReviewSession(read_manifest(manifest_path), [(0, Doubt(0, ""))], manifest_path.with_name("out.csv"))
    review.decide(0, "accept", review.item(0)["boxes"])
    assert "[[50.3, 40.1, 110.7, 100.9]]" in review.output.read_text()
    assert "reviewed:dsr" in review.output.read_text()


def test_progress_counts_and_estimates(review, clock):
    assert review.progress() == session_module.ReviewProgress(3, 0, 0, 0, None)
    for seconds, decision in ((0, "reject"), (4, "reject"), (1000, "reject"), (5, "reject")):
        clock.now += seconds  # the break of 1000 s is no work
        progress = review.decide(0, decision)
    assert progress.seconds_left is None
    clock.now += 6
    progress = review.decide(1, "accept", [[1, 1, 9, 9]])
    assert (progress.total, progress.reviewed, progress.corrected, progress.seconds_left) == (3, 2, 1, 5)


def test_threads_lose_no_decision(review):
    numbers = [0, 1, 2] * 4
    threads = [threading.Thread(target=review.decide, args=(number, "reject")) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [source for _, source in _saved(review)[:3]] == ["reviewed:rejected"] * 3
    assert [path.name for path in review.output.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[0, 0, float("nan"), 9]], "holds NaN or infinity"),
        ([[0, 0, 1e300, 9]], "holds NaN or infinity"),
        ([[0, 0, 10**400, 9]], "must be a list of .x0, y0, x1, y1. numbers"),
        ([[9, 0, 5, 9]], "is inverted or empty"),
        ([[5, 5, 5, 9]], "is inverted or empty"),
        ([[-1, 0, 5, 9]], "leaves the image of 200 x 150 px"),
        ([[0, 0, 5, 151]], "leaves the image of 200 x 150 px"),
        ([[0, 0, 5]], "must be a list of .x0, y0, x1, y1. numbers"),
        ([[0, 0, 5, 5], [1, 2]], "must be a list of .x0, y0, x1, y1. numbers"),
        ([["0", "0", "5", "5"]], "must be a list of .x0, y0, x1, y1. numbers"),
        ([[False, False, True, True]], "must be a list of .x0, y0, x1, y1. numbers"),
        ([0, 0, 5, 5], "must be a list of .x0, y0, x1, y1. numbers"),
        ("boxes", "must be a list of .x0, y0, x1, y1. numbers"),
        (None, "must be a list of .x0, y0, x1, y1. numbers"),
        ({"x0": 1}, "must be a list of .x0, y0, x1, y1. numbers"),
        ([], "An image that is accepted has at least one box"),
    ],
)
def test_bad_boxes_are_refused_and_nothing_is_saved(review, boxes, message):
    with pytest.raises(InputError, match=message):
        review.decide(0, "accept", boxes)
    assert not review.output.exists()
    assert review.item(0)["decision"] == "" and review.item(0)["boxes"] == [A_BOX]


def test_bad_decisions_are_refused(review):
    with pytest.raises(InputError, match="must be one of accept, reject. Received 'skip'"):
        review.decide(0, "skip", [A_BOX])
    with pytest.raises(InputError, match="An image that is rejected has no boxes. Received 1"):
        review.decide(0, "reject", [A_BOX])
    with pytest.raises(InputError, match="Image 3 is not under review"):
        review.decide(3, "reject")
    assert not review.output.exists()


def test_a_failed_save_is_no_decision(review, monkeypatch):
    review.decide(1, "reject")
    before = review.output.read_bytes()

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(session_module, "write_manifest", full_disk)
        with pytest.raises(OSError, match="No space left"):
            review.decide(0, "reject")
    assert review.item(0)["decision"] == "" and review.item(0)["boxes"] == [A_BOX]
    assert review.progress().reviewed == 1
    assert review.output.read_bytes() == before
    review.decide(0, "reject")
    assert review.progress().reviewed == 2


def test_an_output_that_another_program_changed_is_not_overwritten(review):
    review.decide(0, "reject")
    review.output.write_text("mine")
    with pytest.raises(InputError, match="was changed by another program .* nothing was saved"):
        review.decide(1, "reject")
    assert review.output.read_text() == "mine"
    assert review.progress().reviewed == 1
    os.remove(review.output)
    with pytest.raises(InputError, match="was changed by another program"):
        review.decide(1, "reject")
