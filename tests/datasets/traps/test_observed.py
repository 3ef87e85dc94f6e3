"""The trap of a real cue: exact shares, no lesion in two splits, pairs, and what is refused."""

from collections import Counter

import numpy as np
import pytest

from care_tf.data import Manifest
from care_tf.datasets.traps import observed_trap, trap_summary
from care_tf.errors import InputError
from care_tf.evaluation import flip_rate


def photographs(num_lesions=80, seed=0):
    """Three classes; a third of the lesions has images with and without the cue, a third with, a third without."""
    random = np.random.default_rng(seed)
    labels, groups, cues = [], [], []
    for label in range(3):
        for lesion in range(num_lesions):
            for image in range(random.integers(2, 4)):
                labels.append(label)
                groups.append(f"{label}-{lesion}")
                cues.append((lesion % 3 == 0 and image > 0) or lesion % 3 == 1)
    paths = tuple(f"/photographs/{i}.jpg" for i in range(len(labels)))
    return Manifest(paths, labels, ("MEL", "NV", "DF"), groups=tuple(groups)), cues


def trap(share=1.0, **settings):
    manifest, cues = photographs()
    settings = {"positive": ["MEL"], "negative": ["NV"], **settings}
    return observed_trap(manifest, cues, cue="frame", share=share, **settings)


def rows_of(made):
    labels = np.array(made.class_names)[made.labels]
    columns = (made.splits, labels.tolist(), made.inputs["cue"], made.inputs["pair"], made.groups, made.image_paths)
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9, 1.0])
def test_the_share_of_training_and_validation_is_exact(share):
    counts = Counter((split, label, cue) for split, label, cue, *_ in rows_of(trap(share)))
    for split in ("train", "val"):
        for label, agreeing, other in (("MEL", "frame", "none"), ("NV", "none", "frame")):
            agree, differ = counts[split, label, agreeing], counts[split, label, other]
            assert agree == round(share * (agree + differ)) and agree > 2
            # As many as there can be: one more of what is scarce would break the share.
            assert abs(agree - share * (agree + differ)) <= 0.5


@pytest.mark.parametrize("share", [0.5, 0.7, 1.0])
def test_no_lesion_is_in_two_splits_and_no_image_twice(share):
    rows = rows_of(trap(share))
    splits_of = {}
    for split, _, _, _, group, _ in rows:
        splits_of.setdefault(group, set()).add(split)
    assert all(len(splits) == 1 for splits in splits_of.values())
    assert len({path for *_, path in rows}) == len(rows)


def test_the_cue_is_the_one_that_was_observed():
    manifest, cues = photographs()
    observed = dict(zip(manifest.image_paths, cues, strict=True))
    group_of = dict(zip(manifest.image_paths, manifest.groups, strict=True))
    for _, label, cue, _, group, path in rows_of(trap()):
        assert (cue == "frame") == observed[path] and group == group_of[path]
        assert label == ("MEL", "NV")[int(group[0])]


def test_the_balanced_test_has_every_class_as_often_with_as_without_and_names_the_pairs():
    rows = [row for row in rows_of(trap()) if row[0] == "test_balanced"]
    counts = Counter((label, cue) for _, label, cue, *_ in rows)
    assert counts["MEL", "frame"] == counts["MEL", "none"] > 5 and counts["NV", "frame"] == counts["NV", "none"] > 5
    pairs = {}
    for _, label, cue, pair, group, _ in rows:
        if pair:
            assert pair == f"{group}, {label}"
            pairs.setdefault(pair, []).append(cue)
    assert len(pairs) > 10 and all(sorted(cues) == ["frame", "none"] for cues in pairs.values())
    assert all(not pair for split, _, _, pair, _, _ in rows_of(trap()) if split != "test_balanced")


def test_a_patient_with_images_of_both_classes_is_a_pair_of_each():
    labels, cues = np.array([0, 0, 1, 1] * 60), [True, False] * 120
    paths, patients = zip(*((f"/x/{i}.png", f"patient {i // 4}") for i in range(240)), strict=True)
    made = observed_trap(Manifest(paths, labels, ("A", "B"), groups=patients), cues, cue="marker", positive=["A"])
    tests = made.subset(np.flatnonzero(np.array(made.splits) == "test_balanced"))
    members = {}
    for pair, label, cue, patient in zip(
        tests.inputs["pair"], tests.labels.tolist(), tests.inputs["cue"], tests.groups, strict=True
    ):
        members.setdefault(pair, []).append((label, patient, cue))
    assert len(members) > 10
    for (label, patient, cue), (other_label, other_patient, other_cue) in members.values():
        assert (label, patient) == (other_label, other_patient) and {cue, other_cue} == {"marker", "none"}
    called = np.eye(2)[np.array([cue == "marker" for cue in tests.inputs["cue"]], int)]
    assert flip_rate(called, tests.inputs["pair"], tests.inputs["cue"]).value == 1


def test_the_reversed_test_has_the_cue_with_the_other_class_alone():
    found = {(label, cue) for split, label, cue, *_ in rows_of(trap()) if split == "test_reversed"}
    assert found == {("MEL", "none"), ("NV", "frame")}


def test_a_seed_makes_a_trap_and_another_seed_another():
    first, again, other = (rows_of(trap(0.7, seed=seed)) for seed in (1, 1, 2))
    assert first == again and first != other


def test_at_most_so_many_images_of_a_class_in_training():
    counts = Counter((split, label, cue) for split, label, cue, *_ in rows_of(trap(0.9, max_images=10)))
    assert counts["train", "MEL", "frame"] == counts["train", "NV", "none"] == 9
    assert counts["train", "MEL", "none"] == counts["train", "NV", "frame"] == 1


def test_what_is_unclear_is_left_out():
    manifest, cues = photographs()
    cues = [None if i % 5 == 0 else cue for i, cue in enumerate(cues)]
    made = observed_trap(manifest, cues, cue="frame", positive=["MEL"], negative=["NV"])
    assert not set(made.image_paths) & set(manifest.image_paths[::5])


def test_all_other_classes_are_negative_and_sides_may_be_joined():
    assert trap(negative=None).class_names == ("MEL", "NV", "DF")
    joined = trap(negative=None, joined=["bad", "good"])
    assert joined.class_names == ("bad", "good")
    assert {group[0] for _, label, _, _, group, _ in rows_of(joined) if label == "good"} == {"1", "2"}


def test_the_summary_counts_every_cell():
    made = trap(0.9)
    table = trap_summary(made)
    counts = Counter((split, label, cue) for split, label, cue, *_ in rows_of(made))
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| t") or "| val" in line]
    assert {tuple(line[:3]): int(line[3]) for line in lines} == dict(counts)
    assert "choose a model by it, never by a test" in table


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 0.4}, r"must lie in \[.5, 1\]. Received 0.4"),
        ({"seed": -1}, "seed must lie"),
        ({"max_images": 1}, "at least 2 training images. Received at most 1"),
        ({"positive": ["MELL"]}, "Received MELL. Did you mean 'MEL'"),
        ({"negative": ["MEL"]}, "a class on either side, and none on both. Received MEL and MEL"),
        ({"positive": []}, "Received none and NV"),
        ({"joined": ["a", "a"]}, "Two different names"),
    ],
)
def test_what_makes_no_trap_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        trap(**settings)


def test_a_cue_that_is_too_rare_is_refused():
    manifest, cues = photographs()
    rare = [cue and i < 12 for i, cue in enumerate(cues)]
    with pytest.raises(InputError, match="at least 8 lesions or patients of each kind.*of MEL, cue frame"):
        observed_trap(manifest, rare, cue="frame", positive=["MEL"], negative=["NV"])
    with pytest.raises(InputError, match="one entry per image"):
        observed_trap(manifest, cues[:-1], cue="frame", positive=["MEL"])
    with pytest.raises(InputError, match="a name other than none"):
        observed_trap(manifest, cues, cue="none", positive=["MEL"])
