"""Drawn marks: never on the subject, the same under a seed, visible, and nothing else changes."""

import numpy as np
import pytest

from care_tf.datasets.traps._marks import MARKS, mark_paint, painted

SUBJECT = np.zeros((96, 128), bool)
SUBJECT[30:66, 40:88] = True


def skin(seed=0):
    return np.clip(np.random.default_rng(seed).normal((205, 160, 150), 6, (96, 128, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", MARKS)
def test_a_mark_changes_pixels_beside_the_subject_alone(kind):
    for seed in range(20):
        paint = mark_paint(kind, SUBJECT, np.random.default_rng(seed))
        marked = painted(skin(), paint)
        changed = (marked != skin()).any(axis=-1)
        assert not changed[SUBJECT].any()
        assert not changed[paint.coverage == 0].any()
        assert changed.mean() > 0.001
        assert marked.dtype == np.uint8


@pytest.mark.parametrize("kind", MARKS)
def test_a_seed_draws_a_mark_and_another_seed_another(kind):
    first, again, other = (mark_paint(kind, SUBJECT, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.coverage, again.coverage)
    assert (first.color, first.blend) == (again.color, again.blend)
    assert (first.coverage != other.coverage).any()


@pytest.mark.parametrize("kind", ["sticker", "ink", "hair", "letter"])
def test_edges_are_soft(kind):
    coverage = mark_paint(kind, SUBJECT, np.random.default_rng(0)).coverage
    assert len(np.unique(coverage)) > 10


@pytest.mark.parametrize("kind", MARKS)
def test_a_subject_that_fills_the_image_leaves_no_room(kind):
    assert mark_paint(kind, np.ones((96, 128), bool), np.random.default_rng(0)) is None


def test_ink_lets_the_skin_through_and_a_decoy_does_not():
    def remaining(kind):
        paint = mark_paint(kind, SUBJECT, np.random.default_rng(1))
        return np.unique(painted(skin(), paint)[paint.coverage > 0.8], axis=0)

    assert len(remaining("decoy")) == 1
    assert len(remaining("ink")) > 5


def test_ink_darkens_as_a_filter_does():
    paint = mark_paint("ink", SUBJECT, np.random.default_rng(1))
    image = skin()
    expected = np.array(image, float)
    for row, column in np.ndindex(SUBJECT.shape):
        for channel in range(3):
            kept = 1 - paint.coverage[row, column] * (1 - paint.color[channel] / 255)
            expected[row, column, channel] *= kept
    assert np.abs(painted(image, paint) - expected).max() <= 0.51
