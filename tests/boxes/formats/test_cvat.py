import numpy as np
import pytest

from care_tf.boxes.formats._cvat import parse_cvat, read_cvat
from care_tf.boxes.formats._xml_files import parse_xml
from care_tf.boxes.formats.annotated_image import refuse_bad
from care_tf.errors import InputError

_CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>7</id>
      <name>skin</name>
      <size>3</size>
      <mode>annotation</mode>
      <labels>
        <label><name>lesion</name><color>#fa3253</color><type>any</type><attributes></attributes></label>
      </labels>
    </task>
    <dumped>2024-08-11 03:45:18.553526+00:00</dumped>
  </meta>
  <image id="0" name="skin/ISIC_0024306.jpg" width="600" height="450">
    <box label="lesion" source="manual" occluded="0" xtl="100.50" ytl="50.25" xbr="225.50" ybr="125.25" z_order="0">
      <attribute name="sure">yes</attribute>
    </box>
    <box label="lesion" source="manual" occluded="0" xtl="200.00" ytl="200.00" xbr="240.00" ybr="220.00"
      rotation="90.00" z_order="0"></box>
    <box label="lesion" source="manual" occluded="0" xtl="0.00" ytl="0.00" xbr="10.00" ybr="10.00" rotation="315.00"
      z_order="0"></box>
    <polygon label="lesion" source="manual" occluded="0" points="10.00,20.00;30.50,25.00;15.00,60.00" z_order="0">
    </polygon>
    <ellipse label="hair" source="manual" occluded="0" cx="50.00" cy="60.00" rx="10.00" ry="20.00" rotation="90.00"
      z_order="0"></ellipse>
    <mask label="hair" source="semi-auto" occluded="0" rle="3, 5, 4" left="104" top="76" width="4" height="3"
      z_order="0"></mask>
    <points label="hair" source="manual" occluded="0" points="1.00,2.00" z_order="0"></points>
    <tag label="blurred" source="manual"></tag>
  </image>
  <image id="1" name="skin/ISIC_0024307.jpg" width="600" height="450">
  </image>
</annotations>
"""


def _parse(text):
    return refuse_bad(parse_cvat(parse_xml(text.encode(), "f.xml"), "f.xml"))


def test_shapes_become_their_tight_rectangles_turned_about_their_centers(tmp_path):
    (tmp_path / "annotations.xml").write_text(_CVAT)
    first, second = read_cvat(tmp_path)
    assert (first.name, first.width, first.height) == ("skin/ISIC_0024306.jpg", 600, 450)
    half = 5 * np.sqrt(2)
    expected = [
        [100.5, 50.25, 225.5, 125.25],
        [210, 190, 230, 230],
        [5 - half, 5 - half, 5 + half, 5 + half],
        [10, 20, 30.5, 60],
        [30, 50, 70, 70],
        [104, 76, 108, 79],
    ]
    np.testing.assert_allclose(first.boxes, expected, atol=1e-9)
    assert first.labels == ("lesion",) * 4 + ("hair",) * 2
    assert first.ignored == ("points hair",)
    assert second.boxes.shape == (0, 4) and second.ignored == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation/>", "f.xml is not a CVAT file: its root is <annotation>"),
        ("<annotations><track id='0' label='x'/></annotations>", "tracks of a video; export it as .CVAT for images"),
        ("<annotations><image id='0'/></annotations>", "f.xml: an image's name must be a text"),
        (
            _CVAT.replace('xtl="100.50"', 'xtl="left"'),
            "image skin/ISIC_0024306.jpg, box 1: xtl must be a finite number",
        ),
        (_CVAT.replace('xtl="100.50"', ""), "xtl must be a finite number. Received None"),
        (_CVAT.replace('xtl="100.50"', 'xtl="300"'), "has no area"),
        (_CVAT.replace("10.00,20.00;", "10.00;"), "polygon 4: a point of points must be a list of 2 numbers"),
        (_CVAT.replace('width="600"', 'width="0.5"', 1), "the image's width must be a number of pixels"),
        (_CVAT.replace("polygon", "hexagon"), "hexagon 4 is no shape of CVAT"),
        (_CVAT.replace('rotation="90.00"', 'rotation="NaN"'), "rotation must be a finite number"),
    ],
)
def test_bad_files_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        _parse(text)


_PROJECT = """<annotations><meta><project><name>skin</name><tasks>
<task><id>1</id><name>one</name><subset>Train</subset></task>
<task><id>2</id><name>two</name><subset>Train</subset></task>
<task><id>3</id><name>three</name><subset></subset></task>
</tasks><subsets>Train\nValidation</subsets></project></meta>{}</annotations>"""


def _names(meta, *images):
    return [image.name for image in _parse(meta.format("".join(f'<image id="0" {image}/>' for image in images)))]


def test_images_of_a_project_lie_below_their_subsets():
    images = (
        'name="a.jpg" subset="Train"',
        'name="x/a.jpg" subset="Validation" task_id="1"',
        'name="b.jpg" task_id="2"',
    )
    assert _names(_PROJECT, *images) == ["Train/a.jpg", "Validation/x/a.jpg", "Train/b.jpg"]
    assert _names(_PROJECT, 'name="a.jpg" task_id="3"', 'name="b.jpg"') == ["a.jpg", "b.jpg"]
    task = "<annotations><meta><task><id>1</id><subset>Test</subset></task></meta>{}</annotations>"
    assert _names(task, 'name="a.jpg"') == ["Test/a.jpg"]


def test_images_of_one_name_and_subset_are_told_apart_by_their_tasks():
    images = [f'name="a.jpg" subset="Train" task_id="{number}"' for number in (1, 2)]
    assert _names(_PROJECT, *images) == ["one/a.jpg", "two/a.jpg"]
    assert _names("<annotations>{}</annotations>", *images) == ["Train/a.jpg"] * 2
