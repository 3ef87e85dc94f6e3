"""Files as text or JSON; whatever cannot be read is one `InputError` with file and line."""

import codecs
import json
import os
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from care_tf.errors import InputError, clause, reason
from care_tf.file_in_memory import open_file

Record = TypeVar("Record")
# The marks of UTF-32 come first: one of them starts with a mark of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_bytes(path: str | os.PathLike, kind: str = "file") -> bytes:
    """The bytes of a file, or of a place in a shard; `kind` is what the message calls it where it is missing.

    Raises:
      InputError: It is missing, a folder, a pipe or a device, or may not be read.
    """
    try:
        with open_file(path) as file:
            return file.read()
    except FileNotFoundError:
        raise InputError(f"There is no {kind} {path}.") from None
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{path!s:.200} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def read_text(path: str | os.PathLike, kind: str = "file") -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark; `kind` as in `read_bytes`.

    Any bytes are text in Windows-1252 and its many relatives, so nothing tells which of them was meant: such a file is
    refused, with the character that would come out.

    Raises:
      InputError: As in `read_bytes`, or it is in another encoding.
    """
    contents = read_bytes(path, kind)
    encoding = next((name for mark, name in _MARKS.items() if contents.startswith(mark)), "utf-8")
    try:
        text = contents.decode(encoding)
    except UnicodeDecodeError as error:
        if not encoding.startswith("utf-8"):
            raise InputError(f"{path} begins as {encoding.upper()} text and is none. Save it as UTF-8.") from error
        line, byte = contents[: error.start].count(b"\n") + 1, contents[error.start : error.start + 1]
        raise InputError(
            f"{path} is not UTF-8 text (line {line}). Save it as UTF-8; in Windows-1252 the byte 0x{byte.hex().upper()}"
            f" there would be {byte.decode('cp1252', 'replace')!r}."
        ) from error
    if "\0" in text:
        raise InputError(
            f"{path} holds zero bytes: it is UTF-16 without a byte order mark, or no text. Save it as UTF-8."
        )
    return text


def parse_json(text: str, where: str, *, finite: bool = True) -> Any:
    """A JSON document.

    Args:
      text: The document.
      where: The file, for messages.
      finite: Refuses NaN and infinity, which JSON does not have but Python writes; otherwise they are numbers.

    Raises:
      InputError: It is no JSON; the message has the line.
    """

    def refuse(constant: str) -> NoReturn:
        raise InputError(f"{where} holds {constant}, which is not JSON.")

    try:
        return json.loads(text, parse_constant=refuse if finite else None)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON: {error.msg} on line {error.lineno}, column {error.colno}.") from error
    except RecursionError:
        raise InputError(f"{where} is nested too deeply to be read.") from None
    except InputError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"{where} is not JSON that can be read: {error}.") from error


def read_json(path: str | os.PathLike, *, finite: bool = True) -> Any:
    """`parse_json` of a file."""
    return parse_json(read_text(path), str(path), finite=finite)


def read_record(path: str | os.PathLike, build: Callable[[Any], Record]) -> Record:
    """What `build` makes of a JSON file that this package has written.

    Raises:
      InputError: It is no JSON, or of another form.
    """
    content = read_json(path, finite=False)
    try:
        return build(content)
    except InputError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is damaged, or of another version of care_tf: {clause(reason(error))}. Copy it again."
        ) from error
