import csv

import pytest

from care_tf.csv_files import column_of, parse_table, table_rows, write_table
from care_tf.errors import InputError


def _table(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    return path


def test_rows_come_with_their_lines_and_without_outer_spaces(tmp_path):
    path = _table(tmp_path, b'\xef\xbb\xbfa , b,c\r\n 1,"two,\n 2 ",3\r\n\r\n,,\r\n4,,\r\n')
    assert list(table_rows(path, ("a", "b"))) == [
        (3, {"a": "1", "b": "two,\n 2", "c": "3"}),
        (6, {"a": "4", "b": "", "c": ""}),
    ]


def test_rows_of_another_length_are_refused_or_noted_and_left_out():
    text = "a,b\n1,2,3\n4,5\n6\n"
    with pytest.raises(InputError, match="t.csv, line 2: the row has 3 cells and the header 2; put quotes around"):
        list(parse_table(text, "t.csv", ("a",)))
    problems = []
    assert list(parse_table(text, "t.csv", ("a",), problems=problems)) == [(3, {"a": "4", "b": "5"})]
    assert [problem.partition(":")[0] for problem in problems] == ["line 2", "line 4"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,c\n1,2\n", "t.csv has no column b; its first line is 'a,c'"),
        (b"", "t.csv has no column a, b; its first line is ''"),
        (b"a,b,b\n1,2,3\n", "t.csv has the column b more than once"),
        (b"a,b\n\xff\xfe,2\n", r"t.csv is not UTF-8 text \(line 2\). Save it as UTF-8"),
        (b"\xff\xfea\x00", "t.csv is UTF-16. Save it as UTF-8"),
        (b'a,b\n"1,2\n', "t.csv, line 2 is not CSV"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        list(table_rows(_table(tmp_path, content), ("a", "b")))


def test_a_missing_file_is_refused_by_what_it_is(tmp_path):
    with pytest.raises(InputError, match="There is no manifest .*none.csv"):
        list(table_rows(tmp_path / "none.csv", ("a",), kind="manifest"))


def test_a_column_is_read_in_the_order_of_the_names(tmp_path):
    path = _table(tmp_path, b"image,fold\na,1\nb,2\nc,\n")
    assert column_of(path, "image", "fold", ["b", "a"]) == ["2", "1"]
    with pytest.raises(InputError, match="t.csv has 2 problems: no fold for image c; no fold for image d"):
        column_of(path, "image", "fold", ["c", "a", "d"])


def test_rows_are_written_as_they_are_read_back(tmp_path):
    rows = [["a", "b"], ["1", 'x, "y"\nz'], ["", "\u00e9"]]
    write_table(tmp_path / "sub" / "t.csv", rows)
    with open(tmp_path / "sub" / "t.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == rows
    assert b"\r" not in (tmp_path / "sub" / "t.csv").read_bytes()
