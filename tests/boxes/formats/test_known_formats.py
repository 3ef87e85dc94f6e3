"""Every format writes what it reads; the tables of formats agree; a path tells its format only when it is evident."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.boxes.formats import FORMATS, AnnotatedImage, detect_format, read_annotations, write_annotations
from care_tf.errors import InputError

_SUFFIX = {"coco": ".json", "createml": ".json", "label-studio": ".json", "cvat": ".xml", "csv": ".csv"}
_SUFFIX |= {"rsna": ".csv", "nih": ".csv"}
_TOLERANCE_PX = {"voc": 0.5, "isic-masks": 0.5, "yolo": 1e-6, "createml": 1e-6}  # the others: what float32 holds
_KEEPS_NAMES = ("coco", "voc", "labelme", "createml", "label-studio", "cvat", "csv", "nih")
_OF_A_FRAME = ("rsna", "nih")  # their boxes are in the frame of all images of the set unless it is said to be unknown
_WIDTH, _HEIGHT = 640, 480
_NAMES = ("a.jpg", "train/a.jpg", "train/b c.png", "t\u00e9st/100% [1]#?&.jpeg", "1.2.840.113.jpg")


@st.composite
def _boxes(draw, max_boxes):
    """float32 boxes inside the image, sides of at least two pixels."""
    boxes = []
    for _ in range(draw(st.integers(0, max_boxes))):
        x0 = draw(st.floats(0, _WIDTH - 2, width=32))
        y0 = draw(st.floats(0, _HEIGHT - 2, width=32))
        x1 = draw(st.floats(np.float32(x0 + 2).item(), _WIDTH, width=32)) if x0 + 2 < _WIDTH else _WIDTH
        y1 = draw(st.floats(np.float32(y0 + 2).item(), _HEIGHT, width=32)) if y0 + 2 < _HEIGHT else _HEIGHT
        boxes.append([x0, y0, x1, y1])
    return np.array(boxes).reshape(-1, 4)


@st.composite
def _images(draw, max_boxes):
    images = []
    for name in draw(st.lists(st.sampled_from(_NAMES), min_size=1, unique=True)):
        boxes = draw(_boxes(max_boxes))
        labels = tuple(draw(st.sampled_from(["lesion", "l\u00e4sion & <co>", "NO"])) for _ in boxes)
        images.append(AnnotatedImage(name, boxes, labels, width=_WIDTH, height=_HEIGHT))
    return images


@pytest.mark.parametrize("format_name", FORMATS)
@settings(max_examples=25)
@given(data=st.data())
def test_boxes_survive_writing_and_reading(format_name, data):
    images = data.draw(_images(max_boxes=1 if format_name == "isic-masks" else 3))
    if format_name == "rsna":  # one folder, whose stems are the patients
        images = [image for image in images if not image.name.startswith("train/a")]
    options = {"image_size": None} if format_name in _OF_A_FRAME else {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"boxes{_SUFFIX.get(format_name, '')}"
        write_annotations(images, path, format_name, **options)
        assert detect_format(path) == format_name
        if format_name == "nih":  # it lists images with boxes only
            images = [image for image in images if len(image.boxes)]
        back = {image.name: image for image in read_annotations(path, **options)}
    assert len(back) == len(images)
    for image in images:
        name = image.name
        if format_name not in _KEEPS_NAMES:
            name = name.rpartition(".")[0]
            name = name.rpartition("/")[2] if format_name == "rsna" else name
        found = back[name]
        boxes = found.boxes * ([_WIDTH, _HEIGHT] * 2 if found.unit == "fraction" else 1)
        if image.boxes.tolist() == [[0, 0, _WIDTH, _HEIGHT]] and format_name == "isic-masks":
            continue
        assert boxes.shape == image.boxes.shape
        tolerance = _TOLERANCE_PX.get(format_name, 0)
        np.testing.assert_allclose(np.float32(boxes), np.float32(image.boxes), rtol=2e-7, atol=tolerance)
        if format_name not in ("rsna", "isic-masks"):
            assert found.labels == image.labels
        if format_name not in (*_OF_A_FRAME, "yolo", "label-studio", "createml"):
            assert (found.width, found.height) == (_WIDTH, _HEIGHT)


def test_whole_numbers_survive_exactly_in_every_format(tmp_path):
    image = AnnotatedImage("a.jpg", [[3, 7, 20, 21]], ("lesion",), width=_WIDTH, height=_HEIGHT)
    for format_name in FORMATS:
        path = tmp_path / f"{format_name}{_SUFFIX.get(format_name, '')}"
        options = {"image_size": None} if format_name in _OF_A_FRAME else {}
        write_annotations([image], path, format_name, **options)
        (back,) = read_annotations(path, format_name, **options)
        size = [_WIDTH, _HEIGHT] * 2 if back.unit == "fraction" else 1
        np.testing.assert_allclose(np.float32(back.boxes * size), image.boxes, rtol=2e-7, err_msg=format_name)


def test_a_failed_write_leaves_nothing(tmp_path):
    unsized = AnnotatedImage("a.jpg", [[0, 0, 1, 1]], ("x",))
    for format_name in set(FORMATS) - {"csv", "createml"}:
        with pytest.raises(InputError, match="needs the size of every image"):
            write_annotations([unsized], tmp_path / format_name, format_name)
    assert list(tmp_path.iterdir()) == []


class TestDetection:
    def test_by_content(self, tmp_path):
        files = {
            "coco.json": ('{"images": [], "categories": []}', "coco"),
            "labelme.json": ('{"shapes": []}', "labelme"),
            "studio.json": ('[{"data": {}}]', "label-studio"),
            "voc.xml": ("<annotation/>", "voc"),
            "cvat.xml": ("<annotations/>", "cvat"),
            "data.yaml": ("names: [a]", "yolo"),
            "labels.csv": ("patientId,x,y,width,height,Target\n", "rsna"),
            "boxes.csv": ("\ufeffimage, x0, y0, x1, y1\n", "csv"),
        }
        for name, (text, expected) in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
            assert detect_format(tmp_path / name) == expected

    def test_an_export_of_yolo_by_label_studio(self, tmp_path):
        (tmp_path / "labels").mkdir()
        (tmp_path / "labels" / "a.txt").write_text("")
        (tmp_path / "classes.txt").write_text("lesion\n")
        (tmp_path / "notes.json").write_text('{"categories": [{"id": 0, "name": "lesion"}], "info": {}}')
        assert detect_format(tmp_path) == "yolo"

    def test_an_unpacked_export_of_cvat(self, tmp_path):
        (tmp_path / "images").mkdir()
        (tmp_path / "annotations.xml").write_text("<annotations/>")
        assert detect_format(tmp_path) == "cvat"

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ({}, "fits no known annotation format; say which one"),
            ({"a.json": "[]"}, "fits no known annotation format"),
            ({"a.jpg": "x"}, "fits no known annotation format"),
            ({"a.xml": "<annotation/>", "a.json": '{"shapes": []}'}, "fits several annotation formats: labelme, voc"),
            ({"readme.x.txt": "", "notes.txt": "by us", "a.csv": ""}, "fits no known annotation format"),
            ({"a.txt": "", "a.xml": "<annotation/>"}, "fits several annotation formats: voc, yolo"),
            ({"a.json": '{"images": [], "annotations": []}'}, "a.json is a file of the format coco; give the file"),
            ({"job.xml": "<annotations/>"}, "job.xml is a file of the format cvat; give the file"),
        ],
    )
    def test_a_folder_that_is_not_evident_is_refused(self, tmp_path, files, message):
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=message):
            detect_format(tmp_path)

    @pytest.mark.parametrize(
        ("name", "text"),
        [("a.json", '[{"image_id": 1, "bbox": []}]'), ("a.csv", "file,x\n"), ("a.xml", "<kml/>"), ("a.zip", "")],
    )
    def test_a_file_that_is_not_evident_is_refused(self, tmp_path, name, text):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="fits no known annotation format"):
            read_annotations(tmp_path / name)


def test_the_first_line_of_an_unknown_table_is_shown(tmp_path):
    (tmp_path / "a.csv").write_text("image|x0|y0|x1|y1\n")
    with pytest.raises(InputError, match="its first line, by commas, semicolons or tabs, is 'image|x0|y0|x1|y1'"):
        detect_format(tmp_path / "a.csv")


def test_unknown_formats_options_and_paths_are_refused(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"images": []}))
    with pytest.raises(InputError, match="There is no file or folder .*b.json"):
        read_annotations(tmp_path / "b.json")
    with pytest.raises(InputError, match="Annotation format 'pdf' is not one of coco, voc, yolo"):
        read_annotations(tmp_path / "a.json", "pdf")
    with pytest.raises(InputError, match="reading the format coco takes no option pixel_origin; it has none"):
        read_annotations(tmp_path / "a.json", "coco", pixel_origin=0)
    with pytest.raises(InputError, match="writing the format voc takes no option class_file; it has pixel_origin"):
        write_annotations([], tmp_path / "out", "voc", class_file="x")


_VOC_OBJECT = (
    "<object><name>x</name><bndbox><xmin>{}</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
)
_CVAT_BOX = '<box label="x" xtl="{}" ytl="2" xbr="9" ybr="9"/>'
_CREATEML = '{{"label": "x", "coordinates": {{"x": 5, "y": 5, "width": {}, "height": 2}}}}'
_LABELME = '{{"label": "x", "shape_type": "rectangle", "points": [[{}, 2], [9, 9]]}}'
_STUDIO = (
    '{{"original_width": 40, "original_height": 30, "value": {{"x": 1, "y": 1, "width": {}, "height": 5, '
    '"rectanglelabels": ["x"]}}}}'
)


@pytest.mark.parametrize(
    ("name", "text", "entry", "separator", "values"),
    [
        ("a.xml", "<annotation><filename>a.jpg</filename>{}</annotation>", _VOC_OBJECT, "", ("3", "30", "left")),
        ("b.xml", '<annotations><image name="a.jpg">{}</image></annotations>', _CVAT_BOX, "", ("3", "9", "nan")),
        ("labels/a.txt", "{}", "0 .5 .5 {} .2", "\n", (".5", "-.5", "0,5")),
        ("b.json", '[{{"image": "a.jpg", "annotations": [{}]}}]', _CREATEML, ",", ("3", "-3", "NaN")),
        ("c.json", '{{"imagePath": "a.jpg", "shapes": [{}]}}', _LABELME, ",", ("3", "9", "Infinity")),
        (
            "d.json",
            '[{{"data": {{"image": "a.jpg"}}, "annotations": [{{"result": [{}]}}]}}]',
            _STUDIO,
            ",",
            ("5", "0", '"wide"'),
        ),
        ("a.csv", "image,x0,y0,x1,y1\n{}", "a.jpg,{},2,9,9", "\n", ("3", "9", "x")),
        (
            "b.csv",
            "filename;width;height;class;xmin;ymin;xmax;ymax\n{}",
            "a.jpg;40;30;x;{};2;9;9",
            "\n",
            ("3", "9", "x"),
        ),
        ("c.csv", "patientId,x,y,width,height,Target\n{}", "a.jpg,1,2,{},4,1", "\n", ("3", "-3", "x")),
        ("d.csv", "Image Index,Finding Label,Bbox [x,y,w,h],,,\n{}", "a.jpg,x,1,2,{},4,,,", "\n", ("3", "0", "x")),
    ],
)
def test_bad_entries_of_every_format_are_refused_at_once_or_dropped(tmp_path, name, text, entry, separator, values):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.format(separator.join(entry.format(value) for value in values)))
    path = path.parent if name.endswith(".txt") else path
    with pytest.raises(InputError, match="Received 2 of 3 that are not: .*; .*--bad drop"):
        read_annotations(path)
    (image,) = read_annotations(path, bad="drop")
    assert (len(image.boxes), len(image.bad)) == (1, 2)
