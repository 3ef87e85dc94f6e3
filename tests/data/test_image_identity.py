import shutil

import pytest
from PIL import Image

from care_tf.data import Manifest, image_identity
from care_tf.data.image_identity import image_identities, overlap
from care_tf.errors import InputError


@pytest.fixture
def image(tmp_path):
    Image.new("RGB", (4, 4), (1, 2, 3)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_a_copy_under_another_name_is_the_same_image(image, tmp_path):
    shutil.copy(image, tmp_path / "b.png")
    assert image_identities(str(image)) & image_identities(str(tmp_path / "b.png"))


def test_another_image_of_the_group_shares_the_group_only(image, tmp_path):
    Image.new("RGB", (4, 4), (3, 2, 1)).save(tmp_path / "b.png")
    shared = image_identities(str(image), "p1") & image_identities(str(tmp_path / "b.png"), "p1")
    assert shared == {"group:p1"}
    assert not image_identities(str(image)) & image_identities(str(tmp_path / "b.png"))


def test_an_archive_name_survives_recompression_and_other_names_do_not_count(tmp_path):
    for folder, color in (("one", 10), ("two", 200)):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (4, 4), (color, 0, 0)).save(tmp_path / folder / "ISIC_0024306.jpg")
        Image.new("RGB", (4, 4), (0, color, 0)).save(tmp_path / folder / "image1.jpg")
    one, two = tmp_path / "one", tmp_path / "two"
    archive = image_identities(str(one / "ISIC_0024306.jpg")) & image_identities(str(two / "ISIC_0024306.jpg"))
    assert archive == {"isic:ISIC_0024306"}
    Image.new("RGB", (2, 2)).save(tmp_path / "small_isic_0024306.png")
    assert image_identities(str(tmp_path / "small_isic_0024306.png")) >= archive
    assert not image_identities(str(one / "image1.jpg")) & image_identities(str(two / "image1.jpg"))


def rows(folder, *names_and_groups):
    names, groups = zip(*names_and_groups, strict=True)
    return Manifest(tuple(str(folder / name) for name in names), [0] * len(names), ("DF",), groups=groups)


def test_the_overlap_of_two_manifests_knows_copies_archive_names_and_groups(tmp_path):
    (tmp_path / "other").mkdir()
    for number, name in enumerate(("a.png", "c.png", "other/a.png", "ISIC_0000001.png", "other/ISIC_0000001.png")):
        Image.new("RGB", (4, 4), (number, 2, 3)).save(tmp_path / name)
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    others = rows(tmp_path, ("a.png", "p1"), ("ISIC_0000001.png", ""))
    asked = ("a.png", "p9"), ("b.png", ""), ("c.png", "p1"), ("other/a.png", ""), ("other/ISIC_0000001.png", "p2")
    found = overlap(rows(tmp_path, *asked), others)
    assert found.images.tolist() == [True, True, False, False, True]
    assert found.groups.tolist() == [False, False, True, False, False]


def test_files_of_one_size_are_each_read_once_and_not_held_against_each_other(tmp_path, monkeypatch):
    class Digest(str):
        compared = 0
        __hash__ = str.__hash__

        def __eq__(self, other):
            Digest.compared += 1
            return str.__eq__(self, other)

    read = []
    monkeypatch.setattr(image_identity, "file_sha256", lambda path: read.append(path) or Digest(path[-2:]))
    monkeypatch.setattr(image_identity, "_size", lambda path: 9)
    asked, others = ([(f"{folder}{n:02d}", "") for n in range(100)] for folder in "ab")
    found = overlap(rows(tmp_path, *asked, ("c", ""), ("b07", "")), rows(tmp_path, *others))
    assert found.images.tolist() == [True] * 100 + [False, True]
    assert Digest.compared <= 201 and sorted(read) == sorted(set(read))


def test_a_missing_image_is_refused(image, tmp_path):
    with pytest.raises(InputError, match="There is no file .*c.png"):
        image_identities(str(tmp_path / "c.png"))
    with pytest.raises(InputError, match="c.png cannot be read"):
        overlap(rows(tmp_path, ("c.png", "")), rows(tmp_path, ("a.png", "")))
