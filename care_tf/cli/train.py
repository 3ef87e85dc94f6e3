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
    from care_tf.runs.named_configs import find_config, refuse_former_folder

    name, changes = options.one_config(words)
    find_config(name)  # a misspelled name should not wait for TensorFlow
    quiet_tensorflow()
    from care_tf.runs import comparison_runs, train_run
    from care_tf.runs.config import load_config

    config = load_config(name, changes)
    if not any(change.startswith("output=") for change in changes):
        refuse_former_folder(config.output)

    folder = train_run(config, command=command_line(context))
    if comparison_runs.is_chief(config.training):
        print(f"wrote {folder}; next: care evaluate {folder}")
