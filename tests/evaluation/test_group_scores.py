"""Recall by class and group, against loops; the worst cell, the flip rate, and what is refused."""

import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.evaluation import flip_rate, group_differences, group_scores

NAMES = ("MEL", "NV", "DF")


def predictions(num_images=120, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, num_images)
    probabilities = random.dirichlet(np.ones(3), num_images)
    cues = random.choice(["frame", "none"], num_images).tolist()
    lesions = [f"lesion {i}" for i in random.integers(0, 40, num_images)]
    return labels, probabilities, cues, lesions


def slow_recalls(labels, probabilities, cues, weights):
    """(class, cue) -> recall, image by image."""
    hits, totals = {}, {}
    for label, row, cue, weight in zip(labels, probabilities, cues, weights, strict=True):
        cell = (NAMES[label], cue)
        totals[cell] = totals.get(cell, 0) + weight
        hits[cell] = hits.get(cell, 0) + weight * (max(range(3), key=lambda c: row[c]) == label)
    return {cell: hits[cell] / total for cell, total in totals.items() if total}


def slow_replicates(labels, probabilities, cues, lesions, num_resamples, seed):
    """The lowest recall of every resample of lesions."""
    names = sorted(set(lesions))
    random = np.random.default_rng(seed)
    lowest = []
    for counts in random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=num_resamples):
        weights = [counts[names.index(lesion)] for lesion in lesions]
        lowest.append(min(slow_recalls(labels, probabilities, cues, weights).values()))
    return np.array(lowest)


def test_recalls_are_those_of_a_loop():
    labels, probabilities, cues, lesions = predictions()
    found = group_scores(labels, probabilities, NAMES, cues, lesions, num_resamples=20)
    expected = slow_recalls(labels, probabilities, cues, np.ones(len(labels)))
    assert {(cell.class_name, cell.group): cell.recall.value for cell in found.cells} == pytest.approx(expected)
    assert found.worst.value == pytest.approx(min(expected.values()))
    assert (found.worst_cell.class_name, found.worst_cell.group) == min(expected, key=expected.__getitem__)
    for cue in ("frame", "none"):
        mean = np.mean([expected[name, cue] for name in NAMES])
        assert found.mean_class_accuracy[cue].value == pytest.approx(mean)
    assert sum(cell.num_images for cell in found.cells) == len(labels)


def test_the_interval_of_the_worst_is_that_of_the_lowest_recall_in_each_resample():
    labels, probabilities, cues, lesions = predictions(60)
    found = group_scores(labels, probabilities, NAMES, cues, lesions, num_resamples=50, seed=3)
    low, high = np.percentile(slow_replicates(labels, probabilities, cues, lesions, 50, 3), [2.5, 97.5])
    assert (found.worst.low, found.worst.high) == pytest.approx((low, high))


def test_a_group_without_a_class_has_no_mean_and_no_such_cell():
    labels, probabilities, _, _ = predictions(30)
    cues = ["frame" if label == 0 else "none" for label in labels]
    found = group_scores(labels, probabilities, NAMES, cues, num_resamples=10)
    assert [(cell.class_name, cell.group) for cell in found.cells] == [("MEL", "frame"), ("NV", "none"), ("DF", "none")]
    assert all(mean.value is None for mean in found.mean_class_accuracy.values())


def test_the_flip_rate_is_that_of_a_loop():
    _, probabilities, _, _ = predictions(40)
    pairs = [f"pair {i // 2}" if i < 30 else "" for i in range(40)]
    cues = ["frame", "none"] * 20
    order = np.random.default_rng(1).permutation(40)
    pairs, cues, probabilities = [pairs[i] for i in order], [cues[i] for i in order], probabilities[order]
    calls = {}
    for pair, row in zip(pairs, probabilities, strict=True):
        calls.setdefault(pair, []).append(int(np.argmax(row)))
    flips = [two[0] != two[1] for pair, two in calls.items() if pair]
    found = flip_rate(probabilities, pairs, cues)
    assert found.value == pytest.approx(np.mean(flips))
    assert 0 <= found.low < found.value < found.high <= 1


def test_pairs_of_one_lesion_are_drawn_together():
    probabilities = np.repeat([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.9, 0.1]], 10, axis=0).reshape(4, 10, 2)
    probabilities = np.concatenate([probabilities[:2].swapaxes(0, 1), probabilities[2:].swapaxes(0, 1)]).reshape(-1, 2)
    pairs, cues = [f"{i // 2}" for i in range(40)], ["frame", "none"] * 20
    apart = flip_rate(probabilities, pairs, cues)
    together = flip_rate(probabilities, pairs, cues, ["a"] * 20 + ["b"] * 20)
    assert apart.value == together.value == 0.5
    assert (together.low, together.high) == (0, 1) and apart.low > 0.2 and apart.high < 0.8


def test_recalls_draw_pairs_whole_where_no_lesions_are_known():
    labels, probabilities, _, _ = predictions(40)
    pairs = [f"{i // 2}" if i < 30 else "" for i in range(40)]
    cues = ["frame", "none"] * 20
    units = [f"pair {pair}" if pair else f"image {i}" for i, pair in enumerate(pairs)]
    found = group_scores(labels, probabilities, NAMES, cues, pairs=pairs, num_resamples=50)
    assert found == group_scores(labels, probabilities, NAMES, cues, units, num_resamples=50)
    assert found != group_scores(labels, probabilities, NAMES, cues, num_resamples=50)
    with pytest.raises(InputError, match="must be of one lesion. Received two for the pair 0"):
        group_scores(labels, probabilities, NAMES, cues, list(range(40)), pairs)


def test_differences_are_those_of_every_resample():
    labels, probabilities, cues, lesions = predictions(60)
    better = predictions(60, seed=1)[1]
    found = group_differences(labels, probabilities, better, NAMES, cues, lesions, num_resamples=50, seed=3)
    low, high = np.percentile(
        slow_replicates(labels, better, cues, lesions, 50, 3)
        - slow_replicates(labels, probabilities, cues, lesions, 50, 3),
        [2.5, 97.5],
    )
    worst = found["worst_group_recall"]
    assert (worst.low, worst.high) == pytest.approx((low, high))
    own, other = (slow_recalls(labels, each, cues, np.ones(60)) for each in (better, probabilities))
    for name, cue in own:
        assert found[f"group_recall/{name}/{cue}"].value == pytest.approx(own[name, cue] - other[name, cue])
    assert "flip_rate" not in found


def test_a_difference_of_flip_rates_is_that_of_both_and_draws_pairs_whole():
    labels, probabilities, _, _ = predictions(40)
    better = predictions(40, seed=1)[1]
    pairs = [f"pair {i // 2}" if i < 30 else "" for i in range(40)]
    cues = ["frame", "none"] * 20
    found = group_differences(labels, probabilities, better, NAMES, cues, pairs=pairs)["flip_rate"]
    rates = [flip_rate(each, pairs, cues) for each in (better, probabilities)]
    assert found.value == pytest.approx(rates[0].value - rates[1].value)
    same = group_differences(labels, better, better, NAMES, cues, pairs=pairs)
    assert {(each.value, each.low, each.high) for each in same.values()} == {(0, 0, 0)}
    with pytest.raises(InputError, match="must be of one lesion. Received two for the pair pair 0"):
        group_differences(labels, better, better, NAMES, cues, list(range(40)), pairs)


@pytest.mark.parametrize(
    ("pairs", "cues", "message"),
    [
        (["a", "a", "b"], ["x", "y", "x"], "Received x for the pair b"),
        (["a", "a", ""], ["x", "x", "x"], "Received x, x for the pair a"),
        (["", "", ""], ["x", "y", "x"], "needs pairs of images. Received none"),
        (["a", "a"], ["x", "y"], r"one entry per image \(3\)"),
    ],
)
def test_what_are_no_pairs_is_refused(pairs, cues, message):
    with pytest.raises(InputError, match=message):
        flip_rate(np.eye(3), pairs, cues)


def test_a_pair_of_two_lesions_and_an_image_without_a_group_are_refused():
    with pytest.raises(InputError, match="must be of one lesion. Received two for the pair a"):
        flip_rate(np.eye(2), ["a", "a"], ["x", "y"], ["l", "m"])
    with pytest.raises(InputError, match="for each of 2 images. Received 2, 1 of them empty"):
        group_scores([0, 1], np.eye(2), ["a", "b"], ["x", ""])
