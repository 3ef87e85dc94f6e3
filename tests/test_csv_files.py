import csv
import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from care_tf.csv_files import column_of, has_columns, parse_table, relative_to, table_rows, write_table
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
        (
            "a,b\nM\u00fcller,2\n".encode("cp1252"),
            r"\(line 2\). .*; in Windows-1252 the byte 0xFC there would be '\u00fc'",
        ),
        (b"\xff\xfea", "t.csv begins as UTF-16 text and is none. Save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "t.csv holds zero bytes: it is UTF-16 without a byte order mark"),
        (b"a|b\n1|2\n", "its first line is 'a|b'. Columns are separated by commas, semicolons or tabs"),
        (b"a;b\n1;2;3\n", "line 2: the row has 3 cells and the header 2; put quotes around a cell with semicolons"),
        (b'a,b\n"1,2\n', "t.csv, line 2 is not CSV"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        list(table_rows(_table(tmp_path, content), ("a", "b")))


SPREADSHEET = 'name,x,note\n\n p 1 ,200.5,"a, b;\tc"\n,,\np2,-.25,\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("first", ["", "sep={}\n", "\n", "{0}{0}\n"])
def test_what_spreadsheets_write_is_one_table(tmp_path, encoding, separator, end, first):
    rows = csv.reader(SPREADSHEET.splitlines())
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerows([cell.replace(".", ",") if cell[-1:].isdigit() else cell for cell in row] for row in rows)
    content = (first.format(separator) + text.getvalue()).replace("\n", end).encode(encoding)
    expected = [{"name": "p 1", "x": "200.5", "note": "a, b;\tc"}, {"name": "p2", "x": "-.25", "note": ""}]
    rows = table_rows(_table(tmp_path, content), ("name", "x"), numbers=("x", "y"))
    assert [row for _, row in rows] == expected
    assert rows[0][0] == (4 if first else 3)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (["1,5", "2.5"], r"with a comma \('1,5', line 2\) and with a point \('2.5', line 3\)"),
        (["1,234", "12"], "line 2: the comma of '1,234' may be a decimal comma or one of thousands"),
    ],
)
def test_commas_that_may_mean_two_things_are_refused(numbers, message):
    text = "\n".join(["a;b", *(f"x;{number}" for number in numbers)])
    with pytest.raises(InputError, match=message):
        parse_table(text, "t.csv", ("a", "b"), numbers=("b",))
    assert [row["b"] for _, row in parse_table(text, "t.csv", ("a", "b"))] == numbers


def test_one_decimal_comma_tells_what_the_others_are():
    assert [row["b"] for _, row in parse_table("a;b\n;1,234\n;0,5\n;7\n", "t.csv", ("b",), numbers=("b",))] == [
        *("1.234", "0.5", "7"),
    ]


def test_columns_without_a_name_are_kept_where_they_hold_something():
    text = ",a,,b,,\n0,1,,2,3,\n1,4,,5\n2,6,,7,,,,\n"
    assert [list(row.items()) for _, row in parse_table(text, "t.csv", ("a", "b"))] == [
        [("column 1", "0"), ("a", "1"), ("b", "2"), ("column 5", "3")],
        [("column 1", "1"), ("a", "4"), ("b", "5"), ("column 5", "")],
        [("column 1", "2"), ("a", "6"), ("b", "7"), ("column 5", "")],
    ]


def test_columns_are_found_by_any_separator():
    assert [has_columns(text, ("a", "b")) for text in ('"a";b', "\n c\ta\tb", "a b", "a,c", "")] == [
        True,
        True,
        *[False] * 3,
    ]


def test_a_missing_file_is_refused_by_what_it_is(tmp_path):
    with pytest.raises(InputError, match="There is no manifest .*none.csv"):
        list(table_rows(tmp_path / "none.csv", ("a",), kind="manifest"))


def test_a_column_is_read_in_the_order_of_the_names(tmp_path):
    path = _table(tmp_path, b"image,fold\na,1\nb,2\nc,\n")
    assert column_of(path, "image", "fold", ["b", "a"]) == ["2", "1"]
    assert column_of(_table(tmp_path, "image,fold\ncafe\u0301,1\n".encode()), "image", "fold", ["caf\u00e9"]) == ["1"]
    path = _table(tmp_path, b"image,fold\na,1\nb,2\nc,\n")
    with pytest.raises(InputError, match="t.csv has 2 problems: no fold for image c; no fold for image d"):
        column_of(path, "image", "fold", ["c", "a", "d"])


def test_rows_are_written_as_they_are_read_back(tmp_path):
    rows = [["a", "b"], ["1", 'x, "y"\nz'], ["", "\u00e9"]]
    write_table(tmp_path / "sub" / "t.csv", rows)
    with open(tmp_path / "sub" / "t.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == rows
    assert b"\r" not in (tmp_path / "sub" / "t.csv").read_bytes()


_PARTS = st.sampled_from(["a", "b", "c", ".", "..", "", "d.png"])
_PATHS = st.tuples(st.sampled_from(["/", ""]), st.lists(_PARTS, min_size=1, max_size=5)).map(
    lambda parts: parts[0] + "/".join(parts[1])
)


@given(st.lists(_PATHS.filter(bool), min_size=1, max_size=4), _PATHS.map(lambda path: path or "."))
def test_names_in_a_folder_are_those_of_the_standard_library(paths, folder):
    name = relative_to(folder)
    assert [name(path) for path in paths] == [os.path.relpath(path, folder) for path in paths]


def test_long_tables_are_read_by_parts(monkeypatch):
    text = 'a,b\r\n"1\n2",x\r\n\r\n3,y\n"4\r",z\r5,'
    whole = parse_table(text, "t.csv", ("a",))
    monkeypatch.setattr("care_tf.csv_files._CHARACTERS_AT_ONCE", 1)
    monkeypatch.setattr("care_tf.csv_files._ROWS_AT_ONCE", 1)
    assert parse_table(text, "t.csv", ("a",)) == whole
    assert [line for line, _ in whole] == [3, 5, 7, 8]
