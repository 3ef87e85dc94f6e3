from xml.etree import ElementTree

import pytest

from care_tf.boxes.formats import read_annotations
from care_tf.boxes.formats._xml_files import parse_xml, write_xml
from care_tf.errors import InputError

_BILLION_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{i} "{f"&lol{i - 1 or str()};" * 10}">' for i in range(1, 10))
    + "]><{root}>&lol9;</{root}>"
)
_EXTERNAL = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}">]><{root}><filename>&x;</filename></{root}>'
)
_REMOTE_TYPE = '<?xml version="1.0"?><!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><{root}/>'


@pytest.mark.parametrize("attack", [_BILLION_LAUGHS, _EXTERNAL, _REMOTE_TYPE])
@pytest.mark.parametrize(
    ("format_name", "root"), [("voc", "annotation"), ("cvat", "annotations"), (None, "annotation")]
)
def test_entity_bombs_and_external_entities_are_refused(tmp_path, attack, format_name, root):
    (tmp_path / "secret").write_text("secret")
    text = attack.replace("{root}", root).replace("{secret}", str(tmp_path / "secret"))
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(InputError, match="a.xml has a document type or entities") as caught:
        read_annotations(tmp_path / "a.xml", format_name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "contents",
    [b"", b"<a>", b"no xml", b"<a>&undefined;</a>", b'<?xml version="1.0" encoding="klingon"?><a/>', b"<a>\xff</a>"],
)
def test_what_is_no_xml_is_refused(contents):
    with pytest.raises(InputError, match="f.xml is not XML"):
        parse_xml(contents, "f.xml")


@pytest.mark.parametrize(
    "contents",
    [
        '\ufeff<?xml version="1.0" encoding="utf-8"?><a>\u00e9</a>'.encode(),
        '<?xml version="1.0" encoding="iso-8859-1"?><a>\u00e9</a>'.encode("latin-1"),
        '<?xml version="1.0" encoding="utf-16"?><a>\u00e9</a>'.encode("utf-16"),
    ],
)
def test_the_declared_encoding_counts(contents):
    assert parse_xml(contents, "f.xml").text == "\u00e9"


def test_control_characters_cannot_be_written(tmp_path):
    element = ElementTree.Element("a", {"name": "x\x01y"})
    with pytest.raises(InputError, match="XML cannot hold the control characters"):
        write_xml(element, tmp_path / "a.xml")
    assert not (tmp_path / "a.xml").exists()
