"""`care configs`."""

import click

from care_tf.cli import options
from care_tf.cli.commands import Command, Group
from care_tf.tensorflow_start import quiet_tensorflow


@click.group(
    "configs",
    cls=Group,
    lazy={"show": "configs:show"},
    invoke_without_command=True,
    example="care configs\ncare configs show isic2018/care_csl seed=1",
)
@click.pass_context
def configs(context: click.Context) -> None:
    """List the configurations that come with the package."""
    if context.invoked_subcommand is not None:
        return
    from care_tf.runs.named_configs import config_names, config_purpose

    names = config_names()
    width = max(map(len, names), default=0)
    for name in names:
        print(f"{name:{width}}  {config_purpose(name)}")


@click.command("show", cls=Command, example="care configs show isic2018/care_csl seed=1")
@options.configs("CONFIG [key=value ...]")
def show(words: tuple[str, ...]) -> None:
    """Print a configuration as it is trained.

    Everything that it builds on and all defaults are filled in.
    """
    quiet_tensorflow()  # a stage's settings are checked against the losses that there are
    from care_tf.runs.config import dump_config, load_config

    print(dump_config(load_config(*options.one_config(words))), end="")
