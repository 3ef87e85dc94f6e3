"""CSV files that come with a data set: rows with line numbers, and clear errors for what is no such file."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from care_tf.errors import InputError


def table_rows(path: Path, columns: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Reads a CSV in UTF-8 row by row.

    Args:
      path: The file.
      columns: What its first line must name, among others.

    Yields:
      Line number and column -> text, without outer spaces; a short row has "" at its end.

    Raises:
      InputError: The file is missing, is no CSV in UTF-8, or has not all columns.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, restval="")
        try:
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path} has no column {', '.join(missing)}; its first line is {reader.fieldnames}")
            for row in reader:
                yield reader.line_num, {name: text.strip() for name, text in row.items() if isinstance(text, str)}
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path} is not a CSV file in UTF-8: {error}") from error
