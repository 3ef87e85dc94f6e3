"""Annotation files as text, JSON or CSV rows; whatever cannot be read is one `InputError` with file and line."""

import codecs
import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from care_tf.errors import InputError

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_bytes(path: str | os.PathLike) -> bytes:
    """A file's bytes.

    Raises:
      InputError: It is missing, a folder, or may not be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def read_text(path: str | os.PathLike) -> str:
    """A UTF-8 file's text, without a byte order mark.

    Raises:
      InputError: As in `read_bytes`, or it is not UTF-8.
    """
    contents = read_bytes(path)
    if contents.startswith(_UTF16_MARKS):
        raise InputError(f"{path} is UTF-16; save it as UTF-8")
    try:
        return contents.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = contents[: error.start].count(b"\n") + 1
        raise InputError(f"{path} is not UTF-8 text (line {line}); save it as UTF-8") from error


def parse_json(text: str, where: str) -> Any:
    """A JSON document; NaN and infinity, which JSON does not have, are refused.

    Args:
      text: The document.
      where: The file, for messages.

    Raises:
      InputError: It is no JSON; the message has the line.
    """

    def refuse(constant: str) -> NoReturn:
        raise InputError(f"{where} holds {constant}, which is no JSON and no position of a box")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON: {error.msg} on line {error.lineno}, column {error.colno}") from error
    except RecursionError:
        raise InputError(f"{where} is nested too deeply to be an annotation file") from None
    except InputError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"{where} is not an annotation file: {error}") from error


def parse_csv(text: str, where: str, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a CSV with a header; blank lines are no rows, cells are stripped.

    Args:
      text: The table.
      where: The file, for messages.
      columns: The columns it must have; others are kept.

    Yields:
      ("FILE, line N", column -> text).

    Raises:
      InputError: A column is missing or repeated, or a row has another number of cells than the header.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in columns if name not in header]
        if missing:
            raise InputError(f"{where} has no column {', '.join(missing)}; its first line is {','.join(header)!r:.200}")
        repeated = sorted({name for name in header if header.count(name) > 1})
        if repeated:
            raise InputError(f"{where} has the column {repeated[0]} more than once")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            line = f"{where}, line {reader.line_num}"
            if len(cells) != len(header):
                raise InputError(f"{line} has {len(cells)} cells and the header {len(header)}")
            yield line, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num} is not CSV: {error}") from error
