"""CSV files: rows with their line numbers, and one clear error for whatever is not such a table."""

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from care_tf.errors import InputError
from care_tf.files import atomic_path
from care_tf.problems import raise_problems
from care_tf.text_files import read_text

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_STATED_SEPARATOR = re.compile(r"\Asep=[,;\t][ \t]*(?=[\r\n])", re.IGNORECASE)  # a first line that is for Excel alone
_WITH_COMMA = re.compile(r"[-+]?\d*,\d+(e[-+]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+")


def table_rows(
    path: str | os.PathLike,
    columns: Sequence[str],
    *,
    numbers: Sequence[str] = (),
    problems: list[str] | None = None,
    kind: str = "file",
) -> list[tuple[int, dict[str, str]]]:
    """Reads a CSV file as `read_text` and `parse_table` do.

    Args:
      path: The file.
      columns, numbers, problems: As in `parse_table`.
      kind: What the file is, for the message that it is missing.

    Returns:
      As `parse_table`.

    Raises:
      InputError: As in `read_text` and `parse_table`.
    """
    return parse_table(read_text(path, kind), str(path), columns, numbers=numbers, problems=problems)


def parse_table(
    text: str,
    where: str,
    columns: Sequence[str],
    *,
    numbers: Sequence[str] = (),
    problems: list[str] | None = None,
) -> list[tuple[int, dict[str, str]]]:
    """Rows of a table with a header, separated by commas, semicolons or tabs; blank ones are skipped.

    The separator is the one by which the header has all `columns`. A column without a name is called "column 4" where
    it holds something, and is left out where it does not.

    Args:
      text: The table.
      where: The file, for messages.
      columns: What its first line must name, among others.
      numbers: Columns of numbers, there or not: their decimal commas become points.
      problems: Where to note the rows with another number of cells than the header, which are left out then; None
        refuses the first of them.

    Returns:
      (line number, column -> text without outer spaces); of a row over several lines, the last.

    Raises:
      InputError: A column is missing or repeated, a row has another number of cells, the quotes are not CSV, or a
        comma within a number may be a decimal comma as well as a separator of thousands.

    Example:
      >>> parse_table("a,b\\n1, x\\n", "t.csv", ["a"]), parse_table("a;b\\n1,5;x\\n", "t.csv", ["a"], numbers=["a"])
      ([(2, {'a': '1', 'b': 'x'})], [(2, {'a': '1.5', 'b': 'x'})])
    """
    separator = _separator(text, columns)
    if separator is None:
        raise InputError(
            f"{where} has no column {', '.join(_missing(text, columns))}; its first line is {first_line(text)!r:.200}. "
            "Columns are separated by commas, semicolons or tabs."
        )
    records = _records(text, where, separator)
    _, header = next(records)
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise InputError(f"{where} has the column {repeated[0]} more than once.")
    num_named = max(place for place, name in enumerate(header, start=1) if name)
    table = []
    for line, cells in records:
        if len(cells) >= num_named and not any(cells[len(header) :]):
            table.append((line, cells + [""] * (len(header) - len(cells))))
            continue
        problem = f"line {line}: the row has {len(cells)} cells and the header {len(header)}"
        problem += f"; put quotes around a cell with {_SEPARATORS[separator]}"
        if problems is None:
            raise InputError(f"{where}, {problem}.")
        problems.append(problem)
    names = {
        place: name or f"column {place + 1}"
        for place, name in enumerate(header)
        if name or any(cells[place] for _, cells in table)
    }
    rows = [(line, {name: cells[place] for place, name in names.items()}) for line, cells in table]
    return _with_decimal_points(rows, [name for name in numbers if name in names.values()], where)


def has_columns(text: str, columns: Sequence[str]) -> bool:
    """Whether a text is a table whose header has all these columns, by some separator."""
    return _separator(text, columns) is not None


def first_line(text: str) -> str:
    """The first line that is not blank, to be shown in a message."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def column_of(path: str | os.PathLike, key: str, column: str, names: Sequence[str]) -> list[str]:
    """One column's entry of every name.

    Args:
      path: The CSV file.
      key: The column of the names.
      column: The column to read.
      names: Names of images; the table may have others too. The two Unicode spellings of an accent are one.

    Returns:
      The entries in the order of `names`.

    Raises:
      InputError: As in `table_rows`, or a name has no entry.
    """
    entries = {composed(row[key]): row[column] for _, row in table_rows(path, (key, column))}
    raise_problems(str(path), [f"no {column} for image {name}" for name in names if not entries.get(composed(name))])
    return [entries[composed(name)] for name in names]


def composed(text: str) -> str:
    """The one Unicode spelling of a text whose accents may be written in two ways (NFC)."""
    return unicodedata.normalize("NFC", text)


def listed_path(name: str, folder: Path) -> str:
    """The file that a table in a folder names, also with back slashes or the other Unicode spelling of an accent.

    The spelling of the table counts where there is such a file; and where there is none by any spelling.
    """
    plain = os.path.normpath(folder / name)
    if (name.isascii() and "\\" not in name) or os.path.lexists(plain):
        return plain
    found = [folder]
    for part in Path(name.replace("\\", "/")).parts:
        spellings = {part, *(unicodedata.normalize(form, part) for form in ("NFC", "NFD"))}
        found = [
            path / spelling for path in found for spelling in sorted(spellings) if os.path.lexists(path / spelling)
        ]
    return os.path.normpath(found[0]) if len(found) == 1 else plain


def write_table(path: str | os.PathLike, rows: Iterable[Sequence[Any]], durable: bool = False) -> None:
    """Writes rows, the header first, as a CSV file in UTF-8; whole or not at all. `durable` as for `atomic_path`."""
    with atomic_path(path, durable) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _records(text: str, where: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of every row that is not blank, without outer spaces, and its last line."""
    lines = io.StringIO(_STATED_SEPARATOR.sub("", text), newline="")
    reader = csv.reader(lines, delimiter=separator, strict=True)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num} is not CSV: {error}.") from error


def _header(text: str, separator: str) -> list[str]:
    try:
        return next(_records(text, "", separator), (0, []))[1]
    except InputError:  # quotes beside another separator
        return []


def _separator(text: str, columns: Sequence[str]) -> str | None:
    return next((separator for separator in _SEPARATORS if set(columns) <= set(_header(text, separator))), None)


def _missing(text: str, columns: Sequence[str]) -> list[str]:
    """The columns that the header lacks by the separator that finds most of them."""
    return min(([name for name in columns if name not in _header(text, each)] for each in _SEPARATORS), key=len)


def _with_decimal_points(
    rows: list[tuple[int, dict[str, str]]], numbers: Sequence[str], where: str
) -> list[tuple[int, dict[str, str]]]:
    cells = [(line, row[name]) for line, row in rows for name in numbers]
    commas = [(line, cell) for line, cell in cells if _WITH_COMMA.fullmatch(cell) or _THOUSANDS.fullmatch(cell)]
    if not commas:
        return rows
    point = next(((line, cell) for line, cell in cells if "." in cell), None)
    if point is not None:
        raise InputError(
            f"{where} writes numbers with a comma ({commas[0][1]!r}, line {commas[0][0]}) and with a point "
            f"({point[1]!r}, line {point[0]}). Write all of them with a decimal point."
        )
    if all(_THOUSANDS.fullmatch(cell) for _, cell in commas):
        raise InputError(
            f"{where}, line {commas[0][0]}: the comma of {commas[0][1]!r} may be a decimal comma or one of thousands. "
            "Write numbers with a decimal point and without thousands separators."
        )
    return [(line, {**row, **{name: row[name].replace(",", ".") for name in numbers}}) for line, row in rows]
