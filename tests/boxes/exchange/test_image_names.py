import pytest
from hypothesis import given
from hypothesis import strategies as st

from care_tf.boxes.exchange._image_names import common_folder, match_image_names
from care_tf.errors import InputError


def _match(names, images, **options):
    return match_image_names(names, [f"/data/{image}" for image in images], **options)


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("a.jpg", "skin/a.jpg"),
        ("skin/a.jpg", "skin/a.jpg"),
        ("./skin//x/../a.jpg", "skin/a.jpg"),
        ("skin\\a.jpg", "skin/a.jpg"),
        ("C:\\Users\\me\\skin\\a.jpg", "skin/a.jpg"),
        ("/data/skin/a.jpg", "skin/a.jpg"),
        ("a", "skin/a.jpg"),
        ("skin/a", "skin/a.jpg"),
        ("a.dcm", "skin/a.png"),
        ("a.JPG", "skin/a.jpg"),
        ("1.2.840.113", "skin/1.2.840.113.png"),
        ("data/upload/3/1a2b3c4d-ISIC_001.jpg", "skin/ISIC_001.jpg"),
        ("images/1a2b3c4d-ISIC_001", "skin/ISIC_001.jpg"),
        ("deadbeef-x.jpg", "skin/deadbeef-x.jpg"),
        ("caf\u00e9.jpg", "skin/cafe\u0301.jpg"),
        ("other/a.jpg", "skin/a.jpg"),
    ],
)
def test_every_spelling_finds_its_image(name, image):
    assert _match([name], ["skin/z.jpg", image]) == [1]


@pytest.mark.parametrize("name", ["b.jpg", "A.jpg", "a.jpg.bak", "1a2b3c-a.jpg", "skin", ".."])
def test_another_name_finds_nothing(name):
    assert _match([name], ["skin/a.jpg"]) == [None]


class TestEqualNamesInSeveralFolders:
    images = ("train/a.jpg", "test/a.jpg", "a.jpg", "old/train/a.jpg")

    def test_the_path_decides(self):
        names = ["old/train/a.jpg", "test/a.jpg", "a.jpg", "train/a.jpg"]
        assert _match(names, self.images, roots=["/data"]) == [3, 1, 2, 0]

    def test_the_most_folders_in_common_decide(self):
        assert _match(["x/old/train/a.jpg", "x/test/a"], self.images) == [3, 1]

    @pytest.mark.parametrize("name", ["a.jpg", "a", "val/a.jpg", "x/train/a.jpg"])
    def test_otherwise_it_is_ambiguous(self, name):
        with pytest.raises(
            InputError, match=f"the annotation file has 1 problem: {name} fits /data/.*write its folder"
        ):
            _match([name], self.images)

    def test_a_suffix_may_decide(self):
        assert _match(["a.jpg", "a.png"], ["x/a.png", "x/a.jpg"]) == [1, 0]
        with pytest.raises(InputError, match="a fits /data/x/a.png, /data/x/a.jpg"):
            _match(["a"], ["x/a.png", "x/a.jpg"])


class TestAnnotationsOfMoreImagesThanTheManifest:
    def test_another_patient_lends_no_boxes(self):
        assert _match(["p1/001.png", "p2/001.png"], ["p2/001.png"]) == [None, 0]
        assert _match(["p1/001.png", "p2/001.png", "p3/001.png"], ["p2/001.png", "p3/001.png"]) == [None, 0, 1]

    def test_patients_that_nothing_tells_apart_are_refused(self):
        with pytest.raises(InputError, match="p1/001.png, p2/001.png all fit /data/q/001.png"):
            _match(["p1/001.png", "p2/001.png"], ["q/001.png"])

    def test_two_uploads_of_one_image_are_refused(self):
        names = ["upload/1/1a2b3c4d-a.jpg", "upload/1/99999999-a.jpg"]
        with pytest.raises(InputError, match="all fit /data/skin/a.jpg"):
            _match(names, ["skin/a.jpg"])


class TestNamesOfRoboflow:
    tail = ".rf.0123456789abcdef0123456789abcdef"

    @pytest.mark.parametrize(
        ("name", "image"),
        [
            ("ISIC_1_jpg{}.jpg", "skin/ISIC_1.jpg"),
            ("train/images/ISIC_1_jpg{}", "skin/ISIC_1.jpg"),
            ("valid/ISIC_1_jpeg{}.jpg", "test/ISIC_1.jpeg"),
            ("ISIC_1_PNG{}.jpg", "ISIC_1.PNG"),
            ("ISIC_1_png{}.jpg", "ISIC_1.jpg"),
            ("ISIC_1{}.jpg", "ISIC_1.jpg"),
            ("ISIC_1_jpg_jpg{}.jpg", "ISIC_1_jpg.jpg"),
            ("my-image-1-_jpg{}.jpg", "my image (1).jpg"),
            ("1-2-840_png{}.jpg", "1.2.840.png"),
        ],
    )
    def test_it_finds_the_image_of_its_own_name(self, name, image):
        assert _match([name.format(self.tail)], ["skin/z.jpg", image]) == [1]

    @pytest.mark.parametrize(
        "name", ["ISIC_2_jpg{}.jpg", "-1_jpg{}.jpg", "ISIC_1_jpg.rf.0123.jpg", "ISIC_1_jpg.jpg", "{}.jpg"]
    )
    def test_another_name_finds_nothing(self, name):
        assert _match([name.format(self.tail)], ["ISIC_1.jpg", "\u5716 1.jpg"]) == [None]

    def test_the_exported_image_itself_comes_first(self):
        images = [f"a_jpg{self.tail}.jpg", "a.jpg"]
        assert _match([f"a_jpg{self.tail}.jpg"], images) == [0]

    def test_the_kind_of_file_may_decide_but_folders_do_not(self):
        assert _match([f"a_png{self.tail}.jpg"], ["x/a.jpg", "x/a.png"]) == [1]
        for name, images in (
            ("train/a_jpg{}.jpg", ["train/a.jpg", "test/a.jpg"]),
            ("a-b_jpg{}.jpg", ["a b.jpg", "a-b.jpg"]),
        ):
            with pytest.raises(InputError, match=f"fits /data/{images[0]}, /data/{images[1]}; rename one of them"):
                _match([name.format(self.tail)], images)

    def test_copies_share_their_image_with_each_other_only(self):
        copies = [
            f"{split}/a_jpg.rf.{digit * 32}.jpg" for split, digit in zip(("train", "train", "test"), "123", strict=True)
        ]
        assert _match(copies, ["a.jpg", "b.jpg"]) == [0, 0, 0]
        with pytest.raises(InputError, match="a.jpg, train/a_jpg.* are the same image /data/a.jpg"):
            _match(["a.jpg", copies[0]], ["a.jpg"])


def test_one_image_under_two_names_is_refused():
    with pytest.raises(InputError, match=r"skin/a.jpg, .\\skin\\a.jpg are the same image /data/skin/a.jpg"):
        _match(["skin/a.jpg", ".\\skin\\a.jpg"], ["skin/a.jpg"])


def test_at_most_twenty_problems_are_listed():
    names = [f"{i}.jpg" for i in range(25)]
    images = [f"{folder}/{name}" for folder in "xy" for name in names]
    with pytest.raises(InputError, match="has 25 problems: .*; and 5 more.$"):
        _match(names, images)


_parts = st.sampled_from(["a", "b", "c"])
_paths = st.lists(st.tuples(_parts, _parts, _parts).map("/".join), unique=True, min_size=1, max_size=8)


@given(_paths, st.randoms(use_true_random=False))
def test_relative_paths_always_find_themselves(paths, random):
    images = [f"{path}.png" for path in paths]
    names = [*images]
    random.shuffle(names)
    assert _match(names, images, roots=["/data"]) == [images.index(name) for name in names]
    without_suffix = [name[:-4] for name in names]
    assert _match(without_suffix, images, roots=["/data"]) == [images.index(name) for name in names]


def test_the_common_folder():
    assert common_folder(["/data/train/a.jpg", "/data/train/b.jpg"]) == "/data/train"
    assert common_folder([]) == ""
