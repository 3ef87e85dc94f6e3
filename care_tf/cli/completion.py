"""`care completion`."""

import click
from click.shell_completion import get_completion_class

from care_tf.cli.commands import Command


@click.command(
    "completion",
    cls=Command,
    example='eval "$(care completion bash)"         # in ~/.bashrc; zsh: the same in ~/.zshrc\n'
    "care completion fish > ~/.config/fish/completions/care.fish",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    With it the shell completes commands, options and configurations.
    """
    shell_completion = get_completion_class(shell)
    assert shell_completion is not None  # the three are click's own
    print(shell_completion(context.find_root().command, {}, "care", "_CARE_COMPLETE").source())
