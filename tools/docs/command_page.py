"""The command reference: what `care COMMAND --help` says, of all commands, from the parser itself."""

import inspect
from collections.abc import Iterator

import click

from care_tf.cli.care import care

_START = """# Commands

Every command with its options and an example, as `care COMMAND --help` shows them. A command ends with exit code 0, or
with 2 and one line on bad input. `python -m care_tf` is the same as `care`.
"""


def page() -> str:
    """The page, as Markdown."""
    context = care.make_context("care", [], resilient_parsing=True)
    return "\n".join([_START, *(_section(command, found) for command, found in _commands(care, context))])


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        below = click.Context(command, info_name=name, parent=context)
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield command, below
        if isinstance(command, click.Group):
            yield from _commands(command, below)


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    rows = [
        f"| {_code(names)} | {_cell(help_text)} |"
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option) and "--help" not in parameter.opts
        if (record := parameter.get_help_record(context))
        for names, help_text in [record]
    ]
    table = ["| option | meaning |", "|---|---|", *rows] if rows else []
    example = getattr(command, "_example", "")
    return "\n".join(
        [
            f"## `{context.command_path}`",
            "",
            f"```text\n{usage}\n```",
            "",
            inspect.cleandoc(command.help or "").replace("\b\n", ""),
            "",
            *table,
            "",
            f"```sh\n{example}\n```",
            "",
        ]
    )


def _code(names: str) -> str:
    return f"`{names}`".replace("|", "\\|")


def _cell(text: str) -> str:
    for special in "|<>*_[":
        text = text.replace(special, f"\\{special}" if special in "|*_[" else f"&{'lt' if special == '<' else 'gt'};")
    return " ".join(text.split())
