"""CSV files: rows with their line numbers, and one clear error for whatever is not such a table."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from care_tf.errors import InputError
from care_tf.files import atomic_path
from care_tf.problems import raise_problems
from care_tf.text_files import read_text


def table_rows(
    path: str | os.PathLike, columns: Sequence[str], *, problems: list[str] | None = None, kind: str = "file"
) -> Iterator[tuple[int, dict[str, str]]]:
    """Reads a CSV file in UTF-8, with or without a byte order mark.

    Args:
      path: The file.
      columns, problems: As in `parse_table`.
      kind: What the file is, for the message that it is missing.

    Yields:
      As `parse_table`.

    Raises:
      InputError: The file is missing or not UTF-8, or as in `parse_table`.
    """
    yield from parse_table(read_text(path, kind), str(path), columns, problems=problems)


def parse_table(
    text: str, where: str, columns: Sequence[str], *, problems: list[str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV with a header; blank ones are skipped.

    Args:
      text: The table.
      where: The file, for messages.
      columns: What its first line must name, among others.
      problems: Where to note the rows with another number of cells than the header, which are left out then; None
        refuses the first of them.

    Yields:
      (line number, column -> text without outer spaces); of a row over several lines, the last.

    Raises:
      InputError: A column is missing or repeated, a row has another number of cells, or the quotes are not CSV.

    Example:
      >>> list(parse_table("a,b\\n1, x\\n", "t.csv", ["a"]))
      [(2, {'a': '1', 'b': 'x'})]
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in columns if name not in header]
        if missing:
            raise InputError(
                f"{where} has no column {', '.join(missing)}; its first line is {','.join(header)!r:.200}."
            )
        repeated = sorted({name for name in header if header.count(name) > 1})
        if repeated:
            raise InputError(f"{where} has the column {repeated[0]} more than once.")
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if not any(stripped):
                continue
            if len(cells) == len(header):
                yield reader.line_num, dict(zip(header, stripped, strict=True))
                continue
            problem = f"line {reader.line_num}: the row has {len(cells)} cells and the header {len(header)}"
            problem += "; put quotes around a cell with commas"
            if problems is None:
                raise InputError(f"{where}, {problem}.")
            problems.append(problem)
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num} is not CSV: {error}.") from error


def column_of(path: str | os.PathLike, key: str, column: str, names: Sequence[str]) -> list[str]:
    """One column's entry of every name.

    Args:
      path: The CSV file.
      key: The column of the names.
      column: The column to read.
      names: Names of images; the table may have others too.

    Returns:
      The entries in the order of `names`.

    Raises:
      InputError: As in `table_rows`, or a name has no entry.
    """
    entries = {row[key]: row[column] for _, row in table_rows(path, (key, column))}
    raise_problems(str(path), [f"no {column} for image {name}" for name in names if not entries.get(name)])
    return [entries[name] for name in names]


def write_table(path: str | os.PathLike, rows: Iterable[Sequence[Any]]) -> None:
    """Writes rows, the header first, as a CSV file in UTF-8; whole or not at all."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
