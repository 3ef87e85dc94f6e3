import numpy as np
import pytest
from PIL import Image

from care_tf.boxes.formats import AnnotatedImage
from care_tf.boxes.formats._isic_masks import read_isic_masks, write_isic_masks
from care_tf.errors import InputError


def _mask(*regions):
    mask = np.zeros((30, 40), np.uint8)
    for x0, y0, x1, y1 in regions:
        mask[y0:y1, x0:x1] = 255
    return Image.fromarray(mask)


def test_the_box_is_tight_around_all_of_the_lesion(tmp_path):
    (tmp_path / "train").mkdir()
    _mask((10, 5, 30, 15), (2, 20, 4, 22)).save(tmp_path / "train" / "ISIC_0024306_segmentation.png")
    (tmp_path / "train" / "ATTRIBUTION.txt").write_text("somebody")
    (image,) = read_isic_masks(tmp_path)
    assert (image.name, image.width, image.height, image.labels) == ("train/ISIC_0024306", 40, 30, ("lesion",))
    assert image.boxes.tolist() == [[2, 5, 30, 22]]


def test_a_mask_that_says_nothing_is_listed(tmp_path):
    _mask().save(tmp_path / "a_segmentation.png")
    _mask((0, 0, 40, 30)).save(tmp_path / "b_segmentation.png")
    images = read_isic_masks(tmp_path)
    assert [image.boxes.shape for image in images] == [(0, 4)] * 2
    assert [image.ignored for image in images] == [("mask of the empty set",), ("mask of the whole frame",)]


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "I;16"])
def test_every_kind_of_png(tmp_path, mode):
    mask = _mask((10, 5, 30, 15))
    if mode == "P":  # published masks have 0 for the lesion and a palette that makes it white
        mask = Image.fromarray(255 - np.asarray(mask))
        mask = mask.convert("P")
        mask.putpalette([255 - value // 3 for value in range(768)])
    elif mode == "I;16":
        mask = Image.fromarray(np.asarray(mask).astype(np.uint16))
    else:
        mask = mask.convert(mode)
    mask.save(tmp_path / "a_segmentation.png")
    (image,) = read_isic_masks(tmp_path)
    assert image.boxes.tolist() == [[10, 5, 30, 15]]


def test_boxes_are_written_filled(tmp_path):
    image = AnnotatedImage("x/a.jpg", [[1.5, 2, 4, 5], [30, 20, 40, 30]], ("u", "v"), width=40, height=30)
    write_isic_masks([image], tmp_path / "out")
    written = Image.open(tmp_path / "out" / "x" / "a_segmentation.png")
    expected = np.zeros((30, 40), np.uint8)
    expected[2:5, 1:4] = expected[20:, 30:] = 255
    assert written.mode == "L"
    np.testing.assert_array_equal(np.asarray(written), expected)
    (back,) = read_isic_masks(tmp_path / "out")
    assert (back.name, back.boxes.tolist()) == ("x/a", [[1, 2, 40, 30]])


def test_bad_folders_and_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no files that end in _segmentation.png"):
        read_isic_masks(tmp_path)
    with pytest.raises(InputError, match="There is no folder"):
        read_isic_masks(tmp_path / "none")
    _mask((1, 1, 2, 2)).save(tmp_path / "a_segmentation.png")
    whole = (tmp_path / "a_segmentation.png").read_bytes()
    (tmp_path / "a_segmentation.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="mask .*a_segmentation.png cannot be decoded"):
        read_isic_masks(tmp_path)
    with pytest.raises(InputError, match="a mask needs the size of every image; a.jpg has none"):
        write_isic_masks([AnnotatedImage("a.jpg", [[0, 0, 1, 1]], ("x",))], tmp_path / "out")
    assert not (tmp_path / "out").exists()
