"""What all commands share: help with an example, suggestions, one line for bad input, exit codes."""

import collections
import errno
import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import click

from care_tf.device_memory import full_memory_named
from care_tf.errors import InputError, did_you_mean, shortened
from care_tf.interrupts import interrupt_noted

BAD_INPUT, INTERRUPTED = InputError.exit_code, 130
# What the machine denies: no defect, wherever it is met.
_NOT_OURS = {
    errno.EACCES,
    errno.EPERM,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.ELOOP,
}
_LONGEST = 6000
_SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}
_ARGUMENTS = "care_tf.arguments"


class _WithExample(click.Command):
    """A command whose help ends with an example, and whose `main` ends the process with the right exit code."""

    def __init__(self, *args: Any, example: str, **kwargs: Any):
        super().__init__(*args, **{"context_settings": _SETTINGS, **kwargs})
        self._example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write("\nExample:\n")
        for line in self._example.splitlines():
            formatter.write(f"  {line}\n")

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Runs the command and exits: 0; 2, or 75 for a lost worker, with one line; 130 on Ctrl-C; else a traceback."""
        came: list[int] = []
        try:
            with full_memory_named(), interrupt_noted(came):
                result = super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            sys.exit(BAD_INPUT)
        except OSError as error:
            if error.errno not in _NOT_OURS or error.filename is None:
                raise
            click.echo(f"error: {_printable(f'{error.filename!s:.200} cannot be used: {error.strerror}.')}", err=True)
            sys.exit(BAD_INPUT)
        except (InputError, click.ClickException) as error:
            click.echo(f"error: {_one_line(error)}", err=True)
            sys.exit(error.exit_code if isinstance(error, InputError) else BAD_INPUT)
        except click.Abort as abort:
            if isinstance(abort.__cause__, EOFError):  # a file that ends too early is no Ctrl-C
                raise abort.__cause__ from None
            _end_interrupted()
        except Exception as error:  # a compiled library makes an error of its own of a Ctrl-C
            if not came:
                raise
            _end_interrupted(f" ({type(error).__name__}: {_printable(str(error))[:200]})")
        sys.exit(result if isinstance(result, int) else 0)


def _end_interrupted(by: str = "") -> NoReturn:
    click.echo(f"interrupted{by}", err=True)
    sys.exit(INTERRUPTED)


def _printable(text: str) -> str:
    """In one line, and without what would steer the terminal: messages quote what others wrote."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _one_line(error: Exception) -> str:
    if not isinstance(error, click.ClickException):
        return _printable(str(error))
    message = shortened(_printable(" ".join(error.format_message().split())), _LONGEST)
    context = getattr(error, "ctx", None)
    return message if context is None else f"{message} See {context.command_path} --help."


class Option(click.Option):
    """An option that takes several words as one value, or that had another name once.

    Args:
      joined_by: "," makes `--classes DF VASC` the same as `--classes DF,VASC`; "x" joins whole numbers only. None
        takes one word.
      formerly: A name that scripts may still use; help does not show it.
    """

    def __init__(self, *args: Any, joined_by: str | None = None, formerly: str | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.joined_by, self.formerly = joined_by, formerly

    def takes(self, word: str) -> bool:
        """Whether a word belongs to the value that stands before it."""
        return not word.startswith("-") and (self.joined_by == "," or word.isdecimal())


class Command(_WithExample):
    """A command that does something itself, as opposed to a group."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, _with_joined_words(args, self.params))


def command_line(context: click.Context) -> list[str]:
    """The words that started a command, for the record."""
    return [*context.command_path.split(), *context.meta[_ARGUMENTS]]


def _with_joined_words(words: Sequence[str], parameters: Iterable[click.Parameter]) -> list[str]:
    options = [option for option in parameters if isinstance(option, Option)]
    by_name = {name: option for option in options for name in (*option.opts, option.formerly) if name}
    left = collections.deque(words)
    result: list[str] = []
    while left:
        word = left.popleft()
        name, equals, value = word.partition("=")
        if word == "--":
            return [*result, word, *left]
        if name not in by_name:
            result.append(word)
            continue
        option = by_name[name]
        result.append(option.opts[0] + equals + value)
        if option.joined_by and not equals:
            taken = []
            while left and option.takes(left[0]):
                taken.append(left.popleft())
            if taken or option.joined_by == ",":
                result.append(option.joined_by.join(taken))
    return result


class Group(_WithExample, click.Group):
    """Commands that are imported when they are called.

    Args:
      lazy: Name of a command -> "module:attribute", below care_tf.cli.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, str], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return None
        module, _, attribute = self._lazy[cmd_name].partition(":")
        return getattr(importlib.import_module(f"care_tf.cli.{module}"), attribute)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self._lazy and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"There is no command {args[0]!r}.{did_you_mean(args[0], self._lazy)}", ctx)
        return super().resolve_command(ctx, args)
