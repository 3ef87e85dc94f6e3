import numpy as np
import pytest

from care_tf.boxes.formats import AnnotatedImage, read_annotations
from care_tf.boxes.formats._voc import parse_voc, read_voc, voc_element, write_voc
from care_tf.boxes.formats._xml_files import parse_xml
from care_tf.boxes.formats.annotated_image import refuse_bad
from care_tf.errors import InputError

_LABELIMG = """<annotation>
	<folder>skin</folder>
	<filename>ISIC_0024306.jpg</filename>
	<path>C:\\Users\\me\\skin\\ISIC_0024306.jpg</path>
	<source>
		<database>Unknown</database>
	</source>
	<size>
		<width>600</width>
		<height>450</height>
		<depth>3</depth>
	</size>
	<segmented>0</segmented>
	<object>
		<name>lesion</name>
		<pose>Unspecified</pose>
		<truncated>0</truncated>
		<difficult>0</difficult>
		<bndbox>
			<xmin>101</xmin>
			<ymin>51</ymin>
			<xmax>225</xmax>
			<ymax>125</ymax>
		</bndbox>
	</object>
</annotation>
"""
_CVAT_OBJECT = """<object><name>lesion</name><bndbox><xmin>200.0</xmin><ymin>200.0</ymin><xmax>240.0</xmax>
<ymax>220.0</ymax></bndbox><attributes><attribute><name>rotation</name><value>90.0</value></attribute></attributes>
</object>"""
_ROLABELIMG_OBJECT = """<object><type>robndbox</type><name>lesion</name><robndbox><cx>220</cx><cy>210</cy><w>40</w>
<h>20</h><angle>1.5707963267948966</angle></robndbox></object>"""


def _parse(text, **options):
    (image,) = refuse_bad([parse_voc(parse_xml(text.encode(), "f.xml"), "f.xml", **options)])
    return image


def test_pixels_are_counted_from_one_and_the_last_is_inside():
    image = _parse(_LABELIMG)
    assert image.name == "skin/ISIC_0024306.jpg"
    assert (image.width, image.height, image.labels) == (600, 450, ("lesion",))
    assert image.boxes.tolist() == [[100, 50, 225, 125]]


def test_from_origin_zero_the_numbers_are_edges():
    assert _parse(_LABELIMG, pixel_origin=0).boxes.tolist() == [[101, 51, 225, 125]]


@pytest.mark.parametrize("element", [_CVAT_OBJECT, _ROLABELIMG_OBJECT])
def test_rotated_boxes_become_the_rectangle_of_their_corners(element):
    text = f"<annotation><filename>a.jpg</filename>{element}</annotation>"
    np.testing.assert_allclose(_parse(text, pixel_origin=0).boxes, [[210, 190, 230, 230]], atol=1e-9)


def test_a_folder_gives_its_subfolders_to_the_names(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.xml").write_text(_LABELIMG)
    (tmp_path / "b.xml").write_text(
        "<annotation><filename/><size><width>0</width><height>0</height></size></annotation>"
    )
    (tmp_path / "._b.xml").write_bytes(b"\x00\x05\x16\x07")  # what macOS leaves beside files
    first, second = read_voc(tmp_path)
    assert (first.name, first.boxes.shape, first.width) == ("b", (0, 4), None)
    assert second.name == "train/ISIC_0024306.jpg"


def test_positions_are_rounded_to_whole_pixels_inside_the_image():
    boxes = np.array([[0.4, 0.6, 10.2, 9.7], [599.6, 449.7, 600, 450], [5.1, 5.1, 5.3, 5.3]])
    element = voc_element(AnnotatedImage("skin/a.jpg", boxes, ("x",) * 3, width=600, height=450))
    back = parse_voc(element, "f.xml")
    assert back.boxes.tolist() == [[0, 1, 10, 10], [599, 449, 600, 450], [5, 5, 6, 6]]
    assert back.name == "skin/a.jpg"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("<annotations/>", {}, "f.xml is not a VOC file: its root is <annotations>"),
        ("<annotation/>", {}, "f.xml: the image has no name"),
        (_LABELIMG.replace("<xmin>101", "<xmin>0"), {}, "object 1 starts at 0, .* read it with pixel origin 0"),
        (_LABELIMG.replace("<xmin>101", "<xmin>x"), {}, "f.xml: object 1: xmin must be a finite number. Received 'x'"),
        (_LABELIMG.replace("<xmin>101</xmin>", ""), {}, "xmin must be a finite number. Received None"),
        (_LABELIMG.replace("bndbox", "box"), {}, "f.xml: object 1 has no bndbox"),
        (_LABELIMG.replace("<xmin>101", "<xmin>300"), {}, "box .* has no area"),
        (_LABELIMG.replace("<xmin>101", "<xmin>NaN"), {}, "xmin must be a finite number"),
        (_LABELIMG.replace("<width>600", "<width>-600"), {}, "the image's width must be a number of pixels"),
        (_LABELIMG, {"pixel_origin": 2}, "The pixel origin of VOC files is 0 or 1. Received 2"),
    ],
)
def test_bad_files_are_refused(text, options, message):
    with pytest.raises(InputError, match=message):
        _parse(text, **options)


def test_what_shows_the_origin_is_not_dropped(tmp_path):
    (tmp_path / "a.xml").write_text(_LABELIMG.replace("<xmin>101", "<xmin>0"))
    with pytest.raises(InputError, match="read it with pixel origin 0"):
        read_annotations(tmp_path, "voc", bad="drop")


def test_all_files_that_cannot_be_read_are_listed(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.xml").write_text(_LABELIMG if name == "c" else "<annotation>")
    with pytest.raises(InputError, match="has 2 problems: .*a.xml is not XML: .*; .*b.xml is not XML"):
        read_voc(tmp_path)


def test_empty_folders_and_shared_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no XML files"):
        read_voc(tmp_path)
    twins = [AnnotatedImage(name, [], (), width=2, height=2) for name in ("a.jpg", "a.png")]
    with pytest.raises(InputError, match="a.jpg and a.png would share the file a.xml"):
        write_voc(twins, tmp_path / "out")
    with pytest.raises(InputError, match="An image is listed twice"):
        write_voc(twins[:1] * 2, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_names_cannot_lead_out_of_the_folder(tmp_path):
    write_voc([AnnotatedImage("../../x/../a.jpg", [], (), width=2, height=2)], tmp_path / "new" / "out")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.xml"]
    assert (tmp_path / "new" / "out" / "a.xml").is_file()
