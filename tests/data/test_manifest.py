import csv
import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from care_tf.data import Manifest, manifest_from_rows, read_manifest, write_manifest
from care_tf.errors import InputError


def test_every_column_arrives(image_folder):
    manifest = read_manifest(image_folder / "manifest.csv")
    with open(image_folder / "manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(manifest) == len(rows) == 11
    assert manifest.class_names == ("common", "rare")
    for i, row in enumerate(rows):
        assert manifest.image_paths[i] == str(image_folder / row["image"])
        assert manifest.class_names[manifest.labels[i]] == row["label"]
        np.testing.assert_array_equal(manifest.boxes[i], np.reshape(json.loads(row["boxes"] or "[]"), (-1, 4)))
        kept = manifest.groups[i], manifest.splits[i], manifest.folds[i], manifest.box_sources[i]
        assert kept == (row["group"], row["split"], row["fold"], row["box_source"])
    assert manifest.labels.dtype == np.int32
    assert manifest.class_counts == {"common": 8, "rare": 3}
    assert manifest.has_boxes.tolist() == [i in (1, 4, 7) for i in range(11)]


def test_writing_and_reading_back_keeps_everything(image_folder, tmp_path):
    manifest = read_manifest(image_folder / "manifest.csv")
    odd = Manifest(
        image_paths=manifest.image_paths,
        labels=manifest.labels,
        class_names=manifest.class_names,
        boxes=tuple(boxes + np.float32(1 / 3) for boxes in manifest.boxes),
        groups=('a "quoted", group',) * len(manifest),
        source=manifest.source,
    )
    for original in (manifest, odd):
        write_manifest(original, tmp_path / "sub" / "copy.csv")
        copy = read_manifest(tmp_path / "sub" / "copy.csv")
        for name in ("image_paths", "class_names", "groups", "splits", "folds", "box_sources", "mask_paths"):
            assert getattr(copy, name) == getattr(original, name)
        for mine, theirs in zip(copy.boxes, original.boxes, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    with open(tmp_path / "sub" / "copy.csv") as file:
        assert file.read().splitlines()[1].startswith("../image_0.jpg,")


def test_a_moved_folder_keeps_its_fingerprint_and_a_changed_row_does_not(image_folder, tmp_path):
    manifest = read_manifest(image_folder / "manifest.csv")
    moved = tmp_path.with_name(tmp_path.name + "_moved")
    image_folder.rename(moved)
    assert read_manifest(moved / "manifest.csv").fingerprint() == manifest.fingerprint()
    others = [manifest.subset(range(10)), manifest.without_boxes(), manifest.subset([1, 0, *range(2, 11)])]
    assert len({other.fingerprint() for other in [manifest, *others]}) == 4


def test_class_names_fix_the_order_of_the_labels(image_folder):
    manifest = read_manifest(image_folder / "manifest.csv", class_names=["rare", "absent", "common"])
    assert manifest.class_counts == {"rare": 3, "absent": 0, "common": 8}


def test_select_by_split_and_folds(image_folder):
    manifest = read_manifest(image_folder / "manifest.csv")
    assert len(manifest.select("train")) == 8
    chosen = manifest.select("train", folds=[0, "2"])
    assert [path[-5] for path in chosen.image_paths] == list("02356")
    assert len(manifest.select()) == 11


def test_subset_takes_indices_and_conditions(image_folder):
    manifest = read_manifest(image_folder / "manifest.csv")
    assert manifest.subset([4, 1]).image_paths == (manifest.image_paths[4], manifest.image_paths[1])
    assert manifest.subset(manifest.has_boxes).class_counts == {"common": 0, "rare": 3}
    assert not manifest.without_boxes().has_boxes.any()


@pytest.mark.parametrize("shape", [3, 12, (11, 1)])
def test_bools_of_another_number_of_images_choose_nothing(image_folder, shape):
    manifest = read_manifest(image_folder / "manifest.csv")
    with pytest.raises(InputError, match=r"one per image, of shape \(11,\). Received shape \("):
        manifest.subset(np.ones(shape, bool))


def test_bools_and_texts_are_no_positions(image_folder):
    manifest = read_manifest(image_folder / "manifest.csv")
    chosen = np.arange(11) % 2 == 0
    assert manifest.subset(chosen.astype(object)).image_paths == manifest.subset(chosen).image_paths
    with pytest.raises(InputError, match="Received bools among them"):
        manifest.subset(np.array([True, 3, 4], object))
    for values in (["a", "b"], [0, None]):
        with pytest.raises(InputError, match="must be whole numbers. Received values such as"):
            Manifest(("a", "b"), values, ("x", "y"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, object])
def test_labels_and_indices_are_whole_numbers(dtype):
    manifest = Manifest(("a", "b"), np.array([1.0, 0.0], dtype), ("x", "y"))
    assert manifest.labels.dtype == np.int32 and manifest.labels.tolist() == [1, 0]
    assert manifest.subset(np.array([1.0], dtype)).image_paths == ("b",) and len(manifest.subset([])) == 0
    with pytest.raises(InputError, match=r"labels must be whole numbers. Received 0.5 \(1 such numbers\)"):
        Manifest(("a", "b"), np.array([0.5, 1], dtype), ("x", "y"))
    with pytest.raises(InputError, match="indices must be whole numbers. Received 0.5"):
        manifest.subset(np.array([0.5], dtype))


@pytest.mark.parametrize("label", [np.nan, np.inf, 1e30])
def test_labels_that_are_no_numbers_are_refused(label):
    with pytest.raises(InputError, match="labels must be whole numbers"):
        Manifest(("a", "b"), [0, label], ("x", "y"))


def test_a_label_too_large_for_its_array_is_refused():
    with pytest.raises(InputError, match="Received 0 to 4294967296"):
        Manifest(("a", "b"), np.array([0, 2**32]), ("x", "y"))


def test_boxes_come_from_another_manifest_by_image(image_folder):
    manifest = read_manifest(image_folder / "manifest.csv")
    boxes = tuple(np.array([[0, 0, 2, i + 1]], np.float32) for i in range(len(manifest)))
    sources = tuple(f"dsr {i}" for i in range(len(manifest)))
    other = dataclasses.replace(manifest.without_boxes(), boxes=boxes, box_sources=sources).subset(range(10, -1, -1))
    taken = manifest.with_boxes_from(other)
    assert taken.image_paths == manifest.image_paths and taken.groups == manifest.groups
    assert [box.tolist() for box in taken.boxes] == [box.tolist() for box in boxes]
    assert taken.box_sources == sources and not any(taken.mask_paths)
    with pytest.raises(InputError, match="has no row for 2 of 11 images of .*, for example .*. Boxes are taken"):
        manifest.with_boxes_from(other.subset(range(9)))


def test_cap_class_keeps_the_others_and_depends_on_the_seed_only(image_folder):
    manifest = read_manifest(image_folder / "manifest.csv")
    capped = manifest.cap_class("common", 3, seed=0)
    assert capped.class_counts == {"common": 3, "rare": 3}
    assert capped.image_paths == manifest.cap_class("common", 3, seed=0).image_paths
    assert list(capped.image_paths) == [path for path in manifest.image_paths if path in capped.image_paths]
    assert any(capped.image_paths != manifest.cap_class("common", 3, seed=seed).image_paths for seed in range(1, 5))
    assert len(manifest.cap_class("common", 100)) == 11


def test_summary_counts_images_groups_and_boxes(image_folder):
    table = [line.split() for line in read_manifest(image_folder / "manifest.csv").summary().splitlines()]
    assert table[1:] == [["common", "8", "6", "0"], ["rare", "3", "3", "3"], ["all", "11", "6", "3"]]


def test_byte_order_mark_and_blank_lines_do_no_harm(image_folder):
    text = (image_folder / "manifest.csv").read_text()
    (image_folder / "marked.csv").write_text("\ufeff" + text.replace("\n", "\n\n"), encoding="utf-8")
    assert len(read_manifest(image_folder / "marked.csv")) == 11


class TestNamesThatOtherSystemsWrote:
    composed, decomposed = "caf\u00e9", "cafe\u0301"

    def read(self, folder, *rows, **options):
        text = "image;label;boxes\r\n" + "".join(f"{row};x;\r\n" for row in rows)
        (folder / "m.csv").write_bytes(text.encode("utf-16"))
        return read_manifest(folder / "m.csv", **options).image_paths

    @pytest.mark.parametrize("name", ["sub\\a.jpg", ".\\sub\\a.jpg", "sub/a.jpg", "{}\\a.jpg", "sub\\..\\sub/a.jpg"])
    def test_back_slashes_are_slashes(self, tmp_path, name):
        for folder in ("sub", self.decomposed):
            (tmp_path / folder).mkdir()
            Image.new("RGB", (4, 3)).save(tmp_path / folder / "a.jpg")
        folder = self.decomposed if "{" in name else "sub"
        assert self.read(tmp_path, name.format(self.composed)) == (str(tmp_path / folder / "a.jpg"),)

    def test_a_file_is_found_by_either_spelling_of_an_accent_and_its_own_counts(self, tmp_path):
        for name in (f"{self.decomposed}.png", f"{self.composed} 2.png", f"{self.composed} 3.png", "a\\b.png"):
            Image.new("RGB", (4, 3)).save(tmp_path / name)
        names = [f"{self.composed}.png", f"{self.decomposed} 2.png", f"{self.composed} 3.png", "a\\b.png"]
        there = [f"{self.decomposed}.png", f"{self.composed} 2.png", f"{self.composed} 3.png", "a\\b.png"]
        assert self.read(tmp_path, *names) == tuple(str(tmp_path / name) for name in there)
        Image.new("RGB", (4, 3)).save(tmp_path / names[0])
        assert self.read(tmp_path, names[0], there[0]) == (str(tmp_path / names[0]), str(tmp_path / there[0]))

    def test_one_image_by_two_spellings_is_listed_twice(self, tmp_path):
        Image.new("RGB", (4, 3)).save(tmp_path / f"{self.composed}.png")
        with pytest.raises(InputError, match="line 3: image .* is already on line 2"):
            self.read(tmp_path, f"{self.composed}.png", f"{self.decomposed}.png")

    def test_a_missing_file_is_named_with_its_odd_characters(self, tmp_path):
        with pytest.raises(InputError, match=r"does not exist; its path has \\ \(U\+005C\), \u00e9 \(U\+00E9\)"):
            self.read(tmp_path, f"sub\\{self.composed}.png")
        assert self.read(tmp_path, "no.png", check_images=False) == (str(tmp_path / "no.png"),)

    def test_labels_and_groups_are_one_whatever_their_spelling(self, tmp_path):
        (tmp_path / "m.csv").write_text(
            f"image,label,group\na.png,{self.composed},{self.decomposed}\nb.png,{self.decomposed},{self.composed}\n"
        )
        manifest = read_manifest(tmp_path / "m.csv", check_images=False)
        assert manifest.class_names == (self.composed,) and manifest.groups == (self.composed,) * 2
        named = read_manifest(tmp_path / "m.csv", class_names=["z", self.decomposed], check_images=False)
        assert named.labels.tolist() == [1, 1] and named.class_names == ("z", self.decomposed)


def test_boxes_are_checked_in_the_image_as_it_is_displayed(tmp_path, write_rows):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "upright.jpg", exif=exif)
    rows = [{"image": "upright.jpg", "label": "a", "boxes": "[[0, 0, 10, 20]]"}]
    assert len(read_manifest(write_rows(tmp_path / "good.csv", rows))) == 1
    rows[0]["boxes"] = "[[0, 0, 20, 10]]"
    with pytest.raises(InputError, match="leaves the image of 10 x 20 px"):
        read_manifest(write_rows(tmp_path / "bad.csv", rows))


def test_masks_of_another_size_but_the_same_frame_are_taken(tmp_path, write_rows):
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    Image.new("L", (60, 30)).save(tmp_path / "mask.png")
    manifest = read_manifest(write_rows(tmp_path / "m.csv", [{"image": "a.png", "label": "a", "mask": "mask.png"}]))
    assert manifest.mask_paths == (str(tmp_path / "mask.png"),)
    assert manifest.has_boxes.tolist() == [True]


def test_all_bad_rows_are_reported_with_their_lines(image_folder, write_rows):
    whole = (image_folder / "image_0.jpg").read_bytes()
    (image_folder / "cut.jpg").write_bytes(whole[:-30])
    (image_folder / "text.jpg").write_text("this is no image")
    (image_folder / "empty.png").write_bytes(b"")
    Image.new("L", (10, 10)).save(image_folder / "square.png")
    Image.new("L", (20, 10)).save(image_folder / "lossy.jpg")
    cases = [
        ({"image": "absent.jpg"}, r"line 2: image \S*absent.jpg does not exist"),
        ({"image": "cut.jpg"}, r"line 3: image \S*cut.jpg is cut off"),
        ({"image": "text.jpg"}, r"line 4: image \S*text.jpg is not a readable JPEG or PNG"),
        ({"image": "empty.png"}, r"line 5: image \S*empty.png is not a readable"),
        ({"image": "image_0.jpg", "label": "other"}, "line 6: label 'other' is not in the class list common, rare"),
        ({"image": "image_1.png", "label": ""}, "line 7: the label is empty"),
        ({"image": ""}, "line 8: the image is empty"),
        ({"image": "image_2.jpg", "boxes": "[[1, 2"}, "line 9: boxes .* are not a JSON list"),
        ({"image": "image_3.png", "boxes": "[[1, 2, NaN, 4]]"}, "line 10: image_3.png: box .* NaN"),
        ({"image": "image_4.jpg", "boxes": "[[5, 2, 1, 4]]"}, "line 11: .* inverted"),
        ({"image": "image_5.png", "boxes": "[[5, 2, 21, 4]]"}, "line 12: .* leaves the image of 20 x 10 px"),
        ({"image": "image_6.jpg", "mask": "nowhere.png"}, r"line 13: mask \S*nowhere.png does not exist"),
        ({"image": "image_7.png", "mask": "square.png"}, "line 14: mask .* aspect ratio"),
        ({"image": "image_8.jpg", "mask": "lossy.jpg"}, "line 15: mask .* must be PNG"),
        (
            {"image": "image_9.png", "mask": "image_9.png", "boxes": "[[0, 0, 1, 1]]"},
            "line 16: image_9.png: both boxes and a mask",
        ),
        ({"image": "image_0.jpg"}, "line 17: image image_0.jpg is already on line 6"),
    ]
    path = write_rows(image_folder / "bad.csv", [{"label": "rare", **row} for row, _ in cases])
    with pytest.raises(InputError) as caught:
        read_manifest(path, class_names=("common", "rare"))
    for _, message in cases:
        assert caught.match(message)
    assert caught.match(f"has {len(cases)} problems")


@pytest.mark.parametrize(
    "boxes",
    [
        '[["1", "2", "3", "4"]]',
        "[[0, 0, true, 4]]",
        "[" * 5000,
        "[[0, 0, 1, " + "9" * 5000 + "]]",
        '[{"a": 0, "b": 0, "c": 4, "d": 4}]',
        '["abcd"]',
    ],
)
def test_boxes_of_anything_but_numbers_are_refused_in_a_short_message(image_folder, write_rows, boxes):
    path = write_rows(image_folder / "bad.csv", [{"image": "image_0.jpg", "label": "rare", "boxes": boxes}])
    with pytest.raises(InputError, match="line 2: .*boxes") as caught:
        read_manifest(path)
    assert len(str(caught.value)) < 400


def test_at_most_twenty_problems_are_listed_and_all_are_counted(tmp_path, write_rows):
    rows = [{"image": f"{i}.jpg", "label": "a"} for i in range(25)]
    with pytest.raises(InputError, match=r"25 problems: .*line 21: .*; and 5 more") as caught:
        read_manifest(write_rows(tmp_path / "m.csv", rows))
    assert "line 22" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_checking_images_only_the_text_is_checked(tmp_path, write_rows):
    path = write_rows(tmp_path / "m.csv", [{"image": "absent.jpg", "label": "a", "boxes": "[[0, 0, 1e6, 1]]"}])
    assert len(read_manifest(path, check_images=False)) == 1
    path = write_rows(tmp_path / "m.csv", [{"image": "absent.jpg", "label": "a", "boxes": "[[3, 0, 1, 1]]"}])
    with pytest.raises(InputError, match="inverted"):
        read_manifest(path, check_images=False)


def test_unknown_columns_are_ignored_aloud(image_folder, write_rows):
    path = write_rows(
        image_folder / "m.csv", [{"image": "image_0.jpg", "label": "a", "age": 3}], ["image", "label", "age"]
    )
    with pytest.warns(UserWarning, match="columns age are ignored"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,boxes\n", "no column label"),
        ("", "no column image, label"),
        ("image,label\n", "no rows"),
        ("image,label,label\na,b,c\n", "label more than once"),
        ("image,label,boxes\na.jpg,b,[[1,2,3,4]]\n", "line 2: the row has 6 cells and the header 3; put quotes"),
        ('image,label\n"a', "m.csv, line 2 is not CSV"),
    ],
)
def test_files_that_are_no_manifest_are_refused(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_manifest(tmp_path / "m.csv")


def test_a_missing_manifest_and_bytes_of_another_encoding_are_refused(tmp_path):
    with pytest.raises(InputError, match="There is no manifest"):
        read_manifest(tmp_path / "absent.csv")
    (tmp_path / "latin.csv").write_bytes("image,label\nb\u00e9.jpg,a\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"is not UTF-8 text \(line 2\)"):
        read_manifest(tmp_path / "latin.csv")


@pytest.mark.parametrize("names", ["rare", [], ["a", "a"]])
def test_bad_class_lists_are_refused(image_folder, names):
    with pytest.raises(InputError, match="list of different names"):
        read_manifest(image_folder / "manifest.csv", class_names=names)


def test_bad_choices_are_refused(image_folder):
    manifest = read_manifest(image_folder / "manifest.csv")
    with pytest.raises(InputError, match="has no split dev; it has test, train"):
        manifest.select("dev")
    with pytest.raises(InputError, match="has no fold 7; it has 0, 1, 2"):
        manifest.select(folds=[1, 7])
    with pytest.raises(InputError, match=r"No image of .* has split test and folds \['1'\]"):
        manifest.subset([1, 9]).select("test", folds=["1"])
    with pytest.raises(InputError, match="classes are common, rare. Received 'other'"):
        manifest.cap_class("other", 3)
    with pytest.raises(InputError, match="at least 1"):
        manifest.cap_class("rare", 0)


def test_inconsistent_columns_are_refused():
    with pytest.raises(InputError, match="groups needs one entry per image .2.. Received 1"):
        Manifest(("a", "b"), [0, 1], ("x", "y"), groups=("g",))
    with pytest.raises(InputError, match="Received 0 to 2"):
        Manifest(("a", "b"), [0, 2], ("x", "y"))


def test_a_failed_write_leaves_the_old_manifest(image_folder):
    path = image_folder / "manifest.csv"
    before = path.read_bytes()
    manifest = read_manifest(path)
    object.__setattr__(manifest, "groups", ())
    with pytest.raises(IndexError):
        write_manifest(manifest, path)
    assert path.read_bytes() == before
    assert not list(image_folder.glob(".manifest*"))


def test_it_prints_in_one_line():
    boxes = (np.zeros((0, 4)), np.array([[1, 2, 3, 4]]))
    manifest = Manifest(("a.png", "b.png"), np.array([0, 1]), ("NV", "DF"), boxes)
    assert repr(manifest) == "Manifest(in memory: 2 images, 1 with boxes; NV 1, DF 1)"


def test_a_manifest_like_another_has_its_classes_inputs_and_range(image_folder, write_rows):
    columns = ("image", "label", "age")
    write_rows(image_folder / "train.csv", [{"image": "image_0.jpg", "label": "a", "age": "3"}], columns)
    rows = [{"image": f"image_{i}.{'png' if i % 2 else 'jpg'}", "label": "bc"[i], "age": "4"} for i in range(2)]
    write_rows(image_folder / "test.csv", rows, columns)
    train = read_manifest(image_folder / "train.csv", class_names=["a", "b", "c"], inputs=["age"], max_pixel_value=4095)
    like = read_manifest(image_folder / "test.csv", like=train)
    assert like.class_names == ("a", "b", "c") and like.labels.tolist() == [1, 2]
    assert like.inputs == {"age": ("4", "4")} and like.max_pixel_value == 4095
    assert read_manifest(image_folder / "test.csv", like=train, max_pixel_value=255).max_pixel_value == 255
    with pytest.raises(InputError, match="Received both"):
        read_manifest(image_folder / "test.csv", like=train, class_names=["b", "c"])


def test_rows_in_memory_are_those_of_a_file(image_folder):
    import pandas as pd

    expected = read_manifest(image_folder / "manifest.csv")
    frame = pd.read_csv(image_folder / "manifest.csv")  # NaN for what is missing
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    for record in records:
        record["boxes"] = None if record["boxes"] is None else np.array(json.loads(record["boxes"]))
    for rows in (frame, records):
        manifest = manifest_from_rows(rows, image_folder)
        assert manifest.fingerprint() == expected.fingerprint() and manifest.class_names == expected.class_names
    assert manifest_from_rows(frame[:1], image_folder, like=expected).class_names == expected.class_names


def test_numbers_in_memory_are_written_as_in_a_file(image_folder):
    row = {"image": image_folder / "image_0.jpg", "label": "a", "fold": 2.0, "age": 3.5, "boxes": [[0, 1, 2.5, 3]]}
    manifest = manifest_from_rows([row], inputs=["age"])
    assert manifest.folds == ("2",) and manifest.inputs == {"age": ("3.5",)}
    assert manifest.boxes[0].tolist() == [[0, 1, 2.5, 3]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": "none.png"}, "The table has 1 problem: row 1: image .*none.png does not exist"),
        ({"boxes": [[1, 2, 3]]}, r"row 1: image_1.png: boxes must be a list of \[x0, y0, x1, y1\]"),
        ({"boxes": [[0, 0, 99, 3]]}, "row 1: image_1.png: box .* leaves the image"),
        ({"image": "image_0.jpg"}, "row 1: image image_0.jpg is already on row 0"),
    ],
)
def test_bad_rows_in_memory_are_refused(image_folder, change, message):
    rows = [{"image": "image_0.jpg", "label": "a"}, {"image": "image_1.png", "label": "b"} | change]
    with pytest.raises(InputError, match=message):
        manifest_from_rows(rows, image_folder)


def test_rows_in_memory_need_their_columns():
    with pytest.raises(InputError, match="Received row 0 without label, with image, class"):
        manifest_from_rows([{"image": "a.png", "class": "x"}])
