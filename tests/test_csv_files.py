import pytest

from care_tf.csv_files import table_rows
from care_tf.errors import InputError


def _table(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    return path


def test_rows_come_with_their_lines_and_without_outer_spaces(tmp_path):
    path = _table(tmp_path, b'\xef\xbb\xbfa,b,c\r\n 1,"two, 2 ",3\r\n\r\n4\r\n5,6,7,8\r\n')
    assert list(table_rows(path, ("a", "b"))) == [
        (2, {"a": "1", "b": "two, 2", "c": "3"}),
        (4, {"a": "4", "b": "", "c": ""}),
        (5, {"a": "5", "b": "6", "c": "7"}),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,c\n1,2\n", r"t.csv has no column b; its first line is \['a', 'c'\]"),
        (b"", "has no column a, b; its first line is None"),
        (b"a,b\n\xff\xfe,2\n", "t.csv is not a CSV file in UTF-8"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        list(table_rows(_table(tmp_path, content), ("a", "b")))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no file .*none.csv"):
        list(table_rows(tmp_path / "none.csv", ("a",)))
