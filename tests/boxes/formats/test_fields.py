import pytest

from care_tf.boxes.formats import _fields
from care_tf.errors import InputError
from care_tf.text_files import parse_json, read_text


@pytest.mark.parametrize(("value", "expected"), [(3, 3), (-2.5, -2.5), (" 4e1 ", 40), ("1.25", 1.25)])
def test_numbers(value, expected):
    assert _fields.number(value, "x", "here") == expected


@pytest.mark.parametrize(
    "value", [None, True, "", "1_0", "1,5", "nan", "inf", float("nan"), float("inf"), [1], 10**400, "1e39"]
)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(InputError, match="here: x must be a finite number. Received"):
        _fields.number(value, "x", "here")


@pytest.mark.parametrize(("value", "expected"), [(None, None), ("", None), (0, None), ("640", 640), (640.0, 640)])
def test_sizes(value, expected):
    assert _fields.size_px(value, "width", "here") == expected


@pytest.mark.parametrize("value", [-1, 1.5, 10**7, "wide"])
def test_what_is_no_size_is_refused(value):
    with pytest.raises(InputError, match="here: width must be a"):
        _fields.size_px(value, "width", "here")


def test_half_a_size_is_none():
    assert _fields.stated_size(640, 0, "here") == (None, None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _fields.numbers([1, 2], 3, "bbox", "here"), "here: bbox must be a list of 3 numbers"),
        (lambda: _fields.points([], "points", "here"), "here: points must be a list that is not empty"),
        (lambda: _fields.points([[1]], "points", "here"), "a point of points must be a list of 2 numbers"),
        (lambda: _fields.items({"a": [1]}, "a", "here"), "here: a must be a list of objects"),
        (lambda: _fields.text("  ", "name", "here"), "here: name must be a text that is not empty"),
    ],
)
def test_other_kinds_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_missing_list_is_empty():
    assert _fields.items({"a": None}, "a", "here") == _fields.items({}, "a", "here") == []


def test_a_message_stays_short():
    nested = [["x" * 1000] * 1000] * 1000
    with pytest.raises(InputError) as caught:
        _fields.number(nested, "x", "here")
    assert len(str(caught.value)) < 500


class TestFiles:
    def test_a_byte_order_mark_is_no_text(self, tmp_path):
        (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfna\xc3\xafve")
        assert read_text(tmp_path / "a.txt") == "na\u00efve"

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
    def test_byte_order_marks_tell_other_encodings(self, tmp_path, encoding):
        (tmp_path / "a.txt").write_bytes("na\u00efve".encode(encoding))
        assert read_text(tmp_path / "a.txt") == "na\u00efve"

    @pytest.mark.parametrize(
        ("contents", "message"),
        [
            (b"ok\nna\xefve\n", r"a.txt is not UTF-8 text \(line 2\)"),
            ("x".encode("utf-16") + b"x", "a.txt begins as UTF-16 text and is none"),
            ("x".encode("utf-16-be"), "a.txt holds zero bytes"),
        ],
    )
    def test_another_encoding_is_refused(self, tmp_path, contents, message):
        (tmp_path / "a.txt").write_bytes(contents)
        with pytest.raises(InputError, match=message):
            read_text(tmp_path / "a.txt")

    def test_numbers_that_json_lacks_are_read_where_they_are_judged_later(self):
        assert str(parse_json("[NaN, -Infinity]", "f.json", finite=False)) == "[nan, -inf]"

    def test_missing_files_and_folders_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="There is no file .*a.txt"):
            read_text(tmp_path / "a.txt")
        with pytest.raises(InputError, match="cannot be read"):
            read_text(tmp_path)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{\n"a": 1,}', "f.json is not JSON: .* on line 2"),
            ('{"a": NaN}', "f.json holds NaN"),
            ("[-Infinity]", "f.json holds -Infinity"),
            ("[" * 100_000, "f.json is (nested too deeply|not JSON)"),
            ("1" * 5000, "f.json is not JSON that can be read: "),
            ("", "f.json is not JSON"),
        ],
    )
    def test_what_is_no_json_is_refused(self, text, message):
        with pytest.raises(InputError, match=message):
            parse_json(text, "f.json")
