"""Files as text or JSON; whatever cannot be read is one `InputError` with file and line."""

import codecs
import json
import os
from pathlib import Path
from typing import Any, NoReturn

from care_tf.errors import InputError

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_bytes(path: str | os.PathLike, kind: str = "file") -> bytes:
    """A file's bytes; `kind` is what the message calls it where it is missing.

    Raises:
      InputError: It is missing, a folder, or may not be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"There is no {kind} {path}.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def read_text(path: str | os.PathLike, kind: str = "file") -> str:
    """A UTF-8 file's text, without a byte order mark; `kind` as in `read_bytes`.

    Raises:
      InputError: As in `read_bytes`, or it is not UTF-8.
    """
    contents = read_bytes(path, kind)
    if contents.startswith(_UTF16_MARKS):
        raise InputError(f"{path} is UTF-16. Save it as UTF-8.")
    try:
        return contents.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = contents[: error.start].count(b"\n") + 1
        raise InputError(f"{path} is not UTF-8 text (line {line}). Save it as UTF-8.") from error


def parse_json(text: str, where: str) -> Any:
    """A JSON document; NaN and infinity, which JSON does not have, are refused.

    Args:
      text: The document.
      where: The file, for messages.

    Raises:
      InputError: It is no JSON; the message has the line.
    """

    def refuse(constant: str) -> NoReturn:
        raise InputError(f"{where} holds {constant}, which is not JSON.")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON: {error.msg} on line {error.lineno}, column {error.colno}.") from error
    except RecursionError:
        raise InputError(f"{where} is nested too deeply to be read.") from None
    except InputError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"{where} is not JSON that can be read: {error}.") from error
