"""Which images words mean: folders, patterns, lists, tables, files."""

import os

import pytest

from care_tf.errors import InputError
from care_tf.progress_journal import ProgressJournal
from care_tf.serving._image_list import find_images
from care_tf.serving._predictor import ImageFile


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Names only: nothing is decoded here."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.PNG", "a.jpg", "below/c.tiff", "below/d.dcm", "notes.docx", ".hidden.png", ".cache/x.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).touch()
    (tmp_path / "images/1.2.840.5").write_bytes(bytes(128) + b"DICM")
    return tmp_path


def names(words, columns=()):
    found = find_images(words, columns)
    assert all(os.path.isabs(image.path) for image in found.images)
    return [os.path.relpath(image.path).removeprefix("images/") for image in found.images], dict(found.left_out)


def test_a_folder_is_all_images_below_it(folder):
    assert names(["images"]) == (["1.2.840.5", "a.jpg", "b.PNG", "below/c.tiff", "below/d.dcm"], {".docx": 1})
    assert names([folder / "images/below"])[0] == ["below/c.tiff", "below/d.dcm"]


def test_a_folder_of_predictions_among_the_images_is_passed_over(folder):
    (folder / "images/out/thumbnails").mkdir(parents=True)
    (folder / "images/out/thumbnails/a.jpg").touch()
    with ProgressJournal(folder / "images/out/predictions.csv", {}):
        assert len(names(["images"])[0]) == 5


def test_a_folder_that_links_to_itself_ends(folder):
    (folder / "images/below/again").symlink_to(folder / "images")
    (folder / "linked").symlink_to(folder / "images/below")
    assert len(names(["images"])[0]) == 5
    assert names(["linked"])[0] == [
        *("linked/c.tiff", "linked/d.dcm", "linked/again/1.2.840.5", "linked/again/a.jpg", "linked/again/b.PNG")
    ]


def test_a_pattern_is_what_it_matches(folder):
    assert names(["images/*"]) == (["1.2.840.5", "a.jpg", "b.PNG", "below/c.tiff", "below/d.dcm"], {".docx": 1})
    assert names(["images/**/*.tiff"])[0] == ["below/c.tiff"]
    (folder / "images/[1].png").touch()  # a file that is there is no pattern
    assert names(["images/[1].png"])[0] == ["[1].png"]


def test_several_words_and_an_image_named_twice(folder):
    assert names(["images/b.PNG", "images/notes.docx", "images/a.jpg", "./images/b.PNG"])[0] == [
        *("b.PNG", "notes.docx", "a.jpg")  # a file that is named is meant, and may turn out to be bad
    ]


def test_a_text_file_lists_paths_relative_to_itself(folder):
    (folder / "images/list.txt").write_text(f"a.jpg\n\n  below/c.tiff \n{folder}/images/b.PNG\nmissing.png")
    assert names(["images/list.txt"])[0] == ["a.jpg", "below/c.tiff", "b.PNG", "missing.png"]


def test_a_table_needs_no_labels_and_gives_the_cells_of_its_images(folder):
    (folder / "images/rows.csv").write_text("age;image;sex\n61;a.jpg;f\n;below\\c.tiff;m\n")
    assert find_images(["images/rows.csv"], ["age", "sex"]).images == [
        ImageFile(str(folder / "images/a.jpg"), {"age": "61", "sex": "f"}),
        ImageFile(str(folder / "images/below/c.tiff"), {"age": "", "sex": "m"}),
    ]
    with pytest.raises(InputError, match="rows.csv has no column weight"):
        find_images(["images/rows.csv"], ["weight"])
    with pytest.raises(InputError, match="a.jpg is given twice, and not with the same age."):
        find_images(["images/rows.csv", "images/a.jpg"], ["age"])


def test_words_that_mean_nothing(folder):
    (folder / "empty").mkdir()
    (folder / "gap.csv").write_text("image,x\n,1\n")
    for word, message in {
        "no_such": "exist. Received no_such, which does not",
        "empty": "at least one PNG, JPEG, TIFF or DICOM file. Received none in empty",
        "*.bmp": r"Received none in \*.bmp",
        "gap.csv": "line 2: the image is empty",
    }.items():
        with pytest.raises(InputError, match=message):
            find_images([word])
