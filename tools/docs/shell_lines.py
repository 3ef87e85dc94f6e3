"""The `care` lines of the documents' shell blocks, parsed by the command's own parser and not run."""

import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import click
from links import documents

from care_tf.cli import options
from care_tf.cli.care import care
from care_tf.errors import InputError

_BLOCK = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def care_lines(text: str) -> Iterator[list[str]]:
    """The words of every command line of a document that calls `care`, without the program's name."""
    for block in _BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["care"]:
                yield _before_operators(words[1:])


def _before_operators(words: list[str]) -> list[str]:
    """The words before a redirection, a pipe or another command; "..." stands for words left out."""
    end = next((i for i, word in enumerate(words) if word in ("|", ">", ">>", "&&", ";", "&")), len(words))
    return [word for word in words[:end] if word != "..."]


def parsed(words: list[str]) -> tuple[click.Command, dict[str, Any]]:
    """The command that a line calls, and its parameters; files need not exist.

    Raises:
      click.ClickException: There is no such command or option, or a value is not one that it takes.
      InputError: The same, said by the package.
    """
    command: click.Command = care
    context = None
    with contextlib.ExitStack() as patches:
        for kind in (click.Path, options.Checked):
            patches.enter_context(mock.patch.object(kind, "convert", _any_path))
        while True:
            context = command.make_context(command.name, list(words), parent=context)
            rest = [*context._protected_args, *context.args]
            if not isinstance(command, click.Group) or not rest:
                return command, context.params
            _, command, words = command.resolve_command(context, rest)  # type: ignore[assignment]


def _any_path(self: click.ParamType, value: Any, parameter: Any, context: Any) -> Path:
    """Stands for the conversion of paths: whether they exist does not matter here."""
    return Path(value)


def problems(root: Path) -> list[str]:
    """What the parser says of the documents' lines."""
    found = []
    for document in documents(root):
        for words in care_lines(document.read_text(encoding="utf-8")):
            try:
                parsed(words)
            except (click.ClickException, InputError) as error:
                message = error.format_message() if isinstance(error, click.ClickException) else str(error)
                found.append(f"{document.relative_to(root)}: care {shlex.join(words)}: {message}")
    return found
