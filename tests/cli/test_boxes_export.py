import functools
import json

import pytest
from PIL import Image

from care_tf.boxes.formats import FORMATS, read_annotations
from care_tf.cli.boxes_export import export


@pytest.fixture
def run(run):
    return functools.partial(run, export)


@pytest.fixture(autouse=True)
def files(tmp_path):
    for name in "ab":
        Image.new("RGB", (40, 30)).save(tmp_path / f"{name}.jpg")
    (tmp_path / "manifest.csv").write_text('image,label,boxes\na.jpg,x,"[[1,2,3,4],[5,6,20,30]]"\nb.jpg,y,\n')


def test_it_writes_boxes_and_says_what_is_lost(run, tmp_path):
    code, out, _ = run("manifest.csv", "--format", "yolo", "--output", "out", "--label", "lesion", "--include-empty")
    assert code == 0
    assert "2 images with 2 boxes, 1 images without one" in out
    assert "lost in this format: the images' sizes and suffixes are not in the files" in out
    assert "wrote out as yolo" in out
    first, second = read_annotations(tmp_path / "out")
    assert (first.name, first.labels, len(second.boxes)) == ("a", ("lesion", "lesion"), 0)


def test_options_of_the_formats(run, tmp_path):
    assert run("manifest.csv", "--format", "voc", "--output", "voc", "--voc-pixel-origin", "0")[0] == 0
    assert "<xmin>1</xmin>" in (tmp_path / "voc" / "a.xml").read_text()
    assert run("manifest.csv", "--format", "label-studio", "--output", "ls.json", "--url-prefix", "s3://b/")[0] == 0
    assert json.loads((tmp_path / "ls.json").read_text())[0]["data"] == {"image": "s3://b/a.jpg"}
    code, _, err = run("manifest.csv", "--format", "rsna", "--output", "rsna.csv")
    assert code == 2 and "a.jpg is 40 x 30 px and does not fit the 1024 x 1024 px" in err
    assert not (tmp_path / "rsna.csv").exists()
    arguments = ("--format", "rsna", "--output", "rsna.csv", "--image-size", "own", "--class-file", "classes.csv")
    assert run("manifest.csv", *arguments)[0] == 0
    assert (tmp_path / "rsna.csv").read_text().splitlines()[1:] == ["a,1,2,2,2,1", "a,5,6,15,24,1"]
    assert (tmp_path / "classes.csv").read_text().splitlines()[1:] == ["a,Lung Opacity"] * 2
    code, _, err = run("manifest.csv", "--format", "csv", "--output", "x.csv", "--image-size", "own")
    assert code == 2 and "writing the format csv takes no option image_size; it has none" in err


def test_what_is_there_is_not_overwritten_unless_told(run, tmp_path):
    (tmp_path / "out.xml").write_text("mine")
    arguments = ("manifest.csv", "--format", "cvat", "--output", "out.xml")
    code, _, err = run(*arguments)
    assert code == 2 and err.startswith("error: out.xml exists already") and len(err.splitlines()) == 1
    assert (tmp_path / "out.xml").read_text() == "mine"
    assert run(*arguments, "--overwrite")[0] == 0
    assert len(read_annotations(tmp_path / "out.xml")[0].boxes) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.csv", "--format", "coco"), "There is no manifest none.csv"),
        (("manifest.csv", "--format", "coco", "--image-root", "elsewhere"), "is not below"),
        (("manifest.csv", "--format", "pdf"), "'pdf' is not one of 'coco'"),
    ],
)
def test_bad_input_has_exit_code_2(run, tmp_path, arguments, message):
    code, out, err = run(*arguments, "--output", "out")
    assert (code, out) == (2, "") and message in err
    assert not (tmp_path / "out").exists()


def test_help_lists_every_format(run):
    code, out, _ = run("--help")
    assert code == 0 and f"[{'|'.join(FORMATS)}]" in "".join(out.split())
