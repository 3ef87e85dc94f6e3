import numpy as np
import pytest

from care_tf.data import stratified_group_folds, stratified_image_split
from care_tf.errors import InputError


def _lesions(seed=0):
    """300 images of 3 classes (shares 70, 20, 10 %), one to three images per lesion."""
    random = np.random.default_rng(seed)
    labels, groups = [], []
    while len(labels) < 300:
        label, size = random.choice(3, p=[0.7, 0.2, 0.1]), random.integers(1, 4)
        labels += [label] * size
        groups += [f"lesion_{len(labels)}"] * size
    return np.array(labels), groups


def test_folds_keep_groups_whole_and_spread_classes():
    labels, groups = _lesions()
    folds = stratified_group_folds(labels, groups, 5, seed=3)
    assert set(folds) == {1, 2, 3, 4, 5}
    for group in set(groups):
        assert len(set(folds[np.array(groups) == group])) == 1
    for label in range(3):
        share = np.bincount(folds[labels == label], minlength=6)[1:] / (labels == label).sum()
        assert np.abs(share - 0.2).max() < 0.08


def test_folds_depend_on_the_seed_only():
    labels, groups = _lesions()
    first = stratified_group_folds(labels, groups, 4, seed=1)
    np.testing.assert_array_equal(first, stratified_group_folds(labels, groups, 4, seed=1))
    assert (first != stratified_group_folds(labels, groups, 4, seed=2)).any()


def test_images_without_a_group_stand_alone():
    folds = stratified_group_folds(["a", "b"] * 10, [""] * 20, 5)
    assert np.bincount(folds).tolist() == [0, 4, 4, 4, 4, 4]


def test_image_split_takes_the_same_share_of_every_class():
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    split = stratified_image_split(labels, 0.2, seed=0)
    assert [int((split[labels == label] == "test").sum()) for label in range(3)] == [20, 10, 2]
    assert set(split) == {"train", "test"}
    np.testing.assert_array_equal(split, stratified_image_split(labels, 0.2, seed=0))
    assert (split != stratified_image_split(labels, 0.2, seed=1)).any()


def test_image_split_says_how_many_groups_leak():
    labels, groups = _lesions()
    with pytest.warns(UserWarning, match="groups have images in train and in test: this split leaks") as caught:
        split = stratified_image_split(labels, 0.2, seed=0, groups=groups)
    torn = [group for group in set(groups) if len(set(split[np.array(groups) == group])) == 2]
    assert f"{len(torn)} of {len(set(groups))} groups" in str(caught[0].message)


def test_image_split_is_silent_when_no_group_is_torn(recwarn):
    stratified_image_split([0, 1] * 10, 0.5, groups=[str(i) for i in range(20)])
    assert not recwarn.list


@pytest.mark.parametrize(
    ("labels", "groups", "num_folds", "message"),
    [
        ([0] * 10, [""] * 10, 2, "at least two classes. Received 1"),
        ([], [], 2, "at least two classes. Received 0"),
        ([0, 0, 2, 2], [""] * 4, 2, "Class 1 has no images"),
        ([0, 0, 1, 1], ["a", "b", "c", "c"], 2, "Class 1 has 1 groups, fewer than 2 folds"),
        ([0, 0, 1, 1], [""] * 4, 1, "at least 2. Received 1"),
        ([0, 0, 1, 1], [""] * 3, 2, "one entry per image .4.. Received 3"),
    ],
)
def test_impossible_folds_are_refused(labels, groups, num_folds, message):
    with pytest.raises(InputError, match=message):
        stratified_group_folds(labels, groups, num_folds)


@pytest.mark.parametrize(
    ("labels", "fraction", "message"),
    [
        ([1] * 10, 0.2, "at least two classes"),
        ([0] * 10 + [1] * 2, 0.2, "Class 1 has 2 images: .* one side"),
        ([0, 1] * 5, 0.0, "between 0 and 1. Received 0"),
        ([0, 1] * 5, 1.0, "between 0 and 1"),
    ],
)
def test_impossible_image_splits_are_refused(labels, fraction, message):
    with pytest.raises(InputError, match=message):
        stratified_image_split(labels, fraction)
