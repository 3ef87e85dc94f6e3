"""`care train`."""

import click

from care_tf.cli import options
from care_tf.cli.commands import Command, command_line
from care_tf.tensorflow_start import quiet_tensorflow


@click.command("train", cls=Command, example="care train isic2018/care_csl output=runs/mine stages.finetune.alpha=0.3")
@options.configs("CONFIG [key=value ...]")
@click.pass_context
def train(context: click.Context, words: tuple[str, ...]) -> None:
    """Train a run from a configuration.

    CONFIG is a YAML file or a name that `care configs` lists; key=value replaces one of its values, and with=CONFIG
    puts another one under it. Started again, it continues after the last finished epoch.
    """
    from care_tf.runs.config import load_config

    config = load_config(*options.one_config(words))
    quiet_tensorflow()
    from care_tf.runs import train_run

    folder = train_run(config, command=command_line(context))
    print(f"wrote {folder}; next: care evaluate {folder}")
