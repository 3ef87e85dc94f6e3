"""CSV files: rows with their line numbers, and one clear error for whatever is not such a table."""

import array
import csv
import functools
import io
import itertools
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from care_tf.errors import InputError
from care_tf.files import atomic_path
from care_tf.problems import raise_problems
from care_tf.text_files import read_text

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_STATED_SEPARATOR = re.compile(r"\Asep=[,;\t][ \t]*(?=[\r\n])", re.IGNORECASE)  # a first line that is for Excel alone
_WITH_COMMA = re.compile(r"[-+]?\d*,\d+(e[-+]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+")
_ROWS_AT_ONCE, _CHARACTERS_AT_ONCE = 10_000, 1_000_000


class Columns(NamedTuple):
    """A table by columns.

    Attributes:
      cells: Column -> n texts without outer spaces, in the order of the header.
      lines: n line numbers; of a row over several lines, the last.
    """

    cells: dict[str, list[str]]
    lines: Sequence[int]


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
    """The rows of a table.

    Args: as for `parse_columns`, which refuses the same.

    Returns:
      (line number, column -> text) of every row, as `parse_columns` has them.

    Example:
      >>> parse_table("a,b\\n1, x\\n", "t.csv", ["a"]), parse_table("a;b\\n1,5;x\\n", "t.csv", ["a"], numbers=["a"])
      ([(2, {'a': '1', 'b': 'x'})], [(2, {'a': '1.5', 'b': 'x'})])
    """
    table = parse_columns(text, where, columns, numbers=numbers, problems=problems)
    rows = zip(table.lines, *table.cells.values(), strict=True)
    return [(line, dict(zip(table.cells, cells, strict=True))) for line, *cells in rows]


def parse_columns(
    text: str,
    where: str,
    columns: Sequence[str],
    *,
    numbers: Sequence[str] = (),
    problems: list[str] | None = None,
) -> Columns:
    """The columns of a table with a header, separated by commas, semicolons or tabs; blank rows are skipped.

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
      The columns; equal texts of rows near each other are one object.

    Raises:
      InputError: A column is missing or repeated, a row has another number of cells, the quotes are not CSV, or a
        comma within a number may be a decimal comma as well as a separator of thousands.
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
    lines = array.array("q")
    whole = _whole_rows(records, header, lines, where, _SEPARATORS[separator], problems)
    table: list[list[str]] = [[] for _ in header]
    while block := list(itertools.islice(whole, _ROWS_AT_ONCE)):
        for column, cells in zip(table, zip(*block, strict=True), strict=True):
            column.extend(map(dict(zip(cells, cells, strict=True)).__getitem__, cells))
    named = {
        name or f"column {place}": cells
        for place, (name, cells) in enumerate(zip(header, table, strict=True), start=1)
        if name or any(cells)
    }
    return _with_decimal_points(Columns(named, lines), [name for name in numbers if name in named], where)


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


def path_finder(folder: str | os.PathLike) -> Callable[[str], str]:
    """A name in a table of a folder -> the file it means, also with back slashes or the other spelling of an accent.

    The spelling of the table counts where there is such a file; and where there is none by any spelling. The folders of
    odd names are looked for once, so a finder is for one reading.
    """

    def spelled(parts: tuple[str, ...]) -> list[str]:
        if not parts:
            return [os.fspath(folder)]
        forms = sorted({parts[-1], *(unicodedata.normalize(form, parts[-1]) for form in ("NFC", "NFD"))})
        paths = [os.path.join(parent, form) for parent in folders(parts[:-1]) for form in forms]
        return [path for path in paths if os.path.lexists(path)]

    folders = functools.cache(spelled)

    def find(name: str) -> str:
        plain = os.path.normpath(os.path.join(folder, name))
        if (name.isascii() and "\\" not in name) or os.path.lexists(plain):
            return plain
        found = spelled(Path(name.replace("\\", "/")).parts)
        return os.path.normpath(found[0]) if len(found) == 1 else plain

    return find


def relative_to(folder: str | os.PathLike) -> Callable[[str], str]:
    """A file's path -> how a table in a folder names it: `os.path.relpath` with slashes, asked once for each folder."""
    above = {"", ".", "..", *Path(folder).absolute().parts}  # as a last part: what may not lie in the folder before it
    relative = functools.cache(lambda parent: os.path.relpath(parent, folder))

    def name(path: str) -> str:
        parent, _, last = path.rpartition(os.sep)
        if not parent or last in above:
            return os.path.relpath(path, folder).replace(os.sep, "/")
        return os.path.normpath(os.path.join(relative(parent), last)).replace(os.sep, "/")

    return name


def write_table(path: str | os.PathLike, rows: Iterable[Sequence[Any]], durable: bool = False) -> None:
    """Writes rows, the header first, as a CSV file in UTF-8; whole or not at all. `durable` as for `atomic_path`."""
    with atomic_path(path, durable) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _records(text: str, where: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of every row that is not blank, without outer spaces, and its last line."""
    reader = csv.reader(_lines(_STATED_SEPARATOR.sub("", text)), delimiter=separator, strict=True)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num} is not CSV: {error}.") from error


def _lines(text: str) -> Iterator[str]:
    """The lines with their ends, by parts: a `StringIO` takes four bytes for every character."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + _CHARACTERS_AT_ONCE) + 1 or len(text)
        yield from io.StringIO(text[start:end], newline="")
        start = end


def _whole_rows(
    records: Iterable[tuple[int, list[str]]],
    header: list[str],
    lines: array.array,
    where: str,
    separators: str,
    problems: list[str] | None,
) -> Iterator[list[str]]:
    """The rows with a cell for every column, of which it adds the lines; the others are refused or noted."""
    num_columns, num_named = len(header), max(place for place, name in enumerate(header, start=1) if name)
    for line, cells in records:
        if len(cells) != num_columns:
            if len(cells) < num_named or any(cells[num_columns:]):
                problem = f"line {line}: the row has {len(cells)} cells and the header {num_columns}"
                problem += f"; put quotes around a cell with {separators}"
                if problems is None:
                    raise InputError(f"{where}, {problem}.")
                problems.append(problem)
                continue
            cells = (cells + [""] * num_columns)[:num_columns]
        lines.append(line)
        yield cells


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


def _with_decimal_points(table: Columns, numbers: Sequence[str], where: str) -> Columns:
    rows = zip(table.lines, *(table.cells[name] for name in numbers), strict=True) if numbers else ()
    cells = [(line, cell) for line, *own in rows for cell in own]
    commas = [(line, cell) for line, cell in cells if _WITH_COMMA.fullmatch(cell) or _THOUSANDS.fullmatch(cell)]
    if not commas:
        return table
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
    with_points = {name: [cell.replace(",", ".") for cell in table.cells[name]] for name in numbers}
    return Columns({**table.cells, **with_points}, table.lines)
