import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from care_tf.data._image_boxes import ImageBoxes

_EDGES = st.floats(-4, 4, width=32)
_IMAGES = st.lists(
    st.integers(0, 3).flatmap(lambda k: arrays.arrays(np.float32, (k, 4), elements=_EDGES)), min_size=1, max_size=5
)


def _same(boxes, expected):
    assert len(boxes) == len(expected)
    for own, other in zip(boxes, expected, strict=True):
        assert own.dtype == np.float32
        np.testing.assert_array_equal(own, other)


@given(_IMAGES, st.data())
def test_they_are_the_list_of_their_arrays(images, data):
    boxes, places = ImageBoxes.of(images), st.integers(-len(images), len(images) - 1)
    _same(boxes, images)
    _same(boxes[1:], images[1:])
    _same(boxes[::-2], images[::-2])
    chosen = data.draw(st.lists(places, max_size=6))
    _same(boxes.take(chosen), [images[i] for i in chosen])
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(images), max_size=len(images))))
    _same(boxes.only(kept), [own if keep else own[:0] for own, keep in zip(images, kept, strict=True)])
    assert boxes.counts.tolist() == list(map(len, images))
    assert np.shares_memory(boxes[0], boxes.flat) or not len(images[0])


def test_places_beyond_the_last_image_are_refused():
    boxes = ImageBoxes.of([np.zeros((1, 4))])
    for wrong in (lambda: boxes[1], lambda: boxes.take([1]), lambda: boxes[-2]):
        with pytest.raises(IndexError):
            wrong()


def test_other_shapes_are_none():
    assert ImageBoxes.of([np.zeros((1, 3))]) is None
    assert ImageBoxes.of([np.zeros((1, 4)), np.zeros((1, 3))]) is None
    assert ImageBoxes.of([np.zeros(4)]) is None
    _same(ImageBoxes.of([[], [[0, 0, 1, 1]]]), [np.zeros((0, 4)), [[0, 0, 1, 1]]])
