import functools
import json

import pytest
from PIL import Image

from care_tf.cli.boxes_import import import_
from care_tf.data.manifest import read_manifest


@pytest.fixture
def run(run):
    return functools.partial(run, import_)


@pytest.fixture(autouse=True)
def files(tmp_path):
    """Two images, a manifest in which the second has a box, and boxes for both and a third in several formats."""
    for name in "ab":
        Image.new("RGB", (40, 30)).save(tmp_path / f"{name}.jpg")
    (tmp_path / "manifest.csv").write_text('image,label,boxes,box_source\na.jpg,x,,\nb.jpg,y,"[[1,2,3,4]]",hand\n')
    (tmp_path / "boxes.csv").write_text(
        "image,x0,y0,x1,y1,label\na.jpg,-2,5,10,20,lesion\na.jpg,30,5,40,20,ruler\nz.jpg,1,1,2,2,lesion\n"
    )
    document = {
        "images": [{"id": 1, "file_name": "b.jpg", "width": 80, "height": 60}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 20, 20]}],
        "categories": [{"id": 1, "name": "lesion"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(document))


def test_it_writes_a_manifest_and_says_what_it_did(run, tmp_path):
    code, out, _ = run("manifest.csv", "boxes.csv", "--output", "new/manifest.csv", "--labels", "lesion")
    assert code == 0
    manifest = read_manifest(tmp_path / "new" / "manifest.csv")
    assert manifest.boxes[0].tolist() == [[0, 5, 10, 20]]
    assert manifest.box_sources == ("imported:csv", "hand")
    assert "2 annotated images, 1 of them in the manifest: 1 got 1 boxes, 0 have none" in out
    assert "1 annotated images are not in the manifest: z.jpg" in out
    assert "warning: 1 boxes leave their image and were clipped: [-2, 5, 10, 20] of boxes.csv: image a.jpg" in out
    assert "1 boxes have other labels: ruler 1" in out
    assert ["all", "2", "0", "2"] in [line.split() for line in out.splitlines()]
    assert "read boxes.csv as csv; wrote new/manifest.csv" in out


def test_existing_boxes_scale_and_source(run, tmp_path):
    arguments = ("manifest.csv", "coco.json", "--format", "coco", "--output", "new.csv")
    code, _, err = run(*arguments)
    assert code == 2 and "b.jpg has another box from hand in the manifest already" in err
    assert not (tmp_path / "new.csv").exists()
    code, out, _ = run(*arguments, "--existing", "replace", "--scale", "0.8", "--source", "dermatologist")
    assert code == 0
    assert "b.jpg from 80 x 60 px to 40 x 30 px" in out and "were replaced: b.jpg" in out
    manifest = read_manifest(tmp_path / "new.csv")
    assert manifest.boxes[1].tolist() == [[6, 11, 14, 19]]
    assert manifest.box_sources == ("", "dermatologist")


def test_bad_entries_are_refused_or_dropped(run, tmp_path):
    document = json.loads((tmp_path / "coco.json").read_text())
    document["annotations"] += [{"id": 2, "image_id": 1, "category_id": 1, "bbox": [1, 1, 0, 5]}]
    (tmp_path / "coco.json").write_text(json.dumps(document))
    arguments = ("manifest.csv", "coco.json", "--existing", "replace", "--output", "new.csv")
    code, _, err = run(*arguments)
    assert code == 2 and "Received 1 of 2 that are not: coco.json: image b.jpg: box [1, 1, 1, 6]" in err
    assert not (tmp_path / "new.csv").exists()
    code, out, _ = run(*arguments, "--bad", "drop")
    assert code == 0 and "warning: 1 entries are no boxes and were dropped: coco.json: image b.jpg" in out
    assert read_manifest(tmp_path / "new.csv").boxes[1].tolist() == [[5, 10, 15, 20]]


def test_options_of_the_formats(run, tmp_path):
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc" / "a.xml").write_text(
        "<annotation><filename>a.jpg</filename><object><name>x</name><bndbox><xmin>0</xmin><ymin>2</ymin><xmax>9</xmax>"
        "<ymax>9</ymax></bndbox></object></annotation>"
    )
    code, _, err = run("manifest.csv", "voc", "--output", "new.csv")
    assert code == 2 and "read it with pixel origin 0" in err
    assert run("manifest.csv", "voc", "--output", "new.csv", "--voc-pixel-origin", "0")[0] == 0
    assert read_manifest(tmp_path / "new.csv").boxes[0].tolist() == [[0, 2, 9, 9]]

    (tmp_path / "rsna.csv").write_text("patientId,x,y,width,height,Target\na,4,6,8,10,1\n")
    code, _, err = run("manifest.csv", "rsna.csv", "--output", "rsna_new.csv")
    assert code == 2 and "is about 1024 x 1024 px, but the image has 40 x 30 px" in err
    assert run("manifest.csv", "rsna.csv", "--output", "own.csv", "--image-size", "own")[0] == 0
    assert read_manifest(tmp_path / "own.csv").boxes[0].tolist() == [[4, 6, 12, 16]]
    assert run("manifest.csv", "rsna.csv", "--output", "half.csv", "--image-size", "60x80")[0] == 0
    assert read_manifest(tmp_path / "half.csv").boxes[0].tolist() == [[2, 3, 6, 8]]
    code, _, err = run("manifest.csv", "coco.json", "--output", "no.csv", "--image-size", "60x80")
    assert code == 2 and "reading the format coco takes no option image_size" in err


def test_what_is_there_is_not_overwritten_unless_told(run, tmp_path):
    (tmp_path / "new.csv").write_text("mine")
    arguments = ("manifest.csv", "boxes.csv", "--output", "new.csv")
    code, _, err = run(*arguments)
    assert code == 2 and "must not exist yet. Received new.csv. Choose another one, or give --overwrite" in err
    assert (tmp_path / "new.csv").read_text() == "mine"
    assert run(*arguments, "--overwrite")[0] == 0
    assert len(read_manifest(tmp_path / "new.csv")) == 2
    before = (tmp_path / "boxes.csv").read_text()
    code, _, err = run("manifest.csv", "boxes.csv", "--output", "boxes.csv", "--overwrite")
    assert code == 2 and "which is a folder or the annotations" in err
    assert (tmp_path / "boxes.csv").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("manifest.csv", "none.json"), "There is no file none.json"),
        (("none.csv", "boxes.csv"), "There is no manifest none.csv"),
        (("manifest.csv", "a.jpg"), "a.jpg fits no known annotation format; say which one to read"),
        (("manifest.csv", "boxes.csv", "--format", "coco"), "boxes.csv is not JSON"),
        (
            ("manifest.csv", "boxes.csv", "--labels", "mole"),
            "No box is labeled mole; the labels there are: lesion, ruler",
        ),
        (("manifest.csv", "boxes.csv", "--scale", "-1"), "The box scale must be a positive number. Received -1.0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, tmp_path, arguments, message):
    code, out, err = run(*arguments, "--output", "new.csv")
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and message in err and len(err.splitlines()) == 1
    assert not (tmp_path / "new.csv").exists()


@pytest.mark.parametrize("size", ["0", "80x", "0x5", "80*60", "-5x5", "1x2x3", "theirs"])
def test_a_size_that_is_none_is_refused(run, size):
    code, _, err = run("manifest.csv", "boxes.csv", "--output", "new.csv", f"--image-size={size}")
    assert code == 2 and "must be N or HEIGHTxWIDTH in px, such as 224 or 192x256, or own" in err
