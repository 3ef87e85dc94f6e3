"""`care train`."""

import json
from pathlib import Path

import click

from care_tf.cli import options
from care_tf.cli.commands import Command, command_line
from care_tf.errors import InputError
from care_tf.tensorflow_start import quiet_tensorflow


@click.command("train", cls=Command, example="care train isic2018/care_csl --output runs/mine stages.finetune.alpha=.3")
@options.configs("CONFIG [key=value ...]")
@options.output(help="Run folder, as output=FOLDER. [default: the configuration's]", required=False)
@click.pass_context
def train(context: click.Context, words: tuple[str, ...], output: Path | None) -> None:
    """Train a run from a configuration.

    CONFIG is a YAML file or a name that `care configs` lists; key=value replaces one of its values, and with=CONFIG
    puts another one under it. Started again, it continues after the last finished epoch.
    """
    from care_tf.runs.named_configs import find_config, refuse_former_folder

    name, changes = options.one_config(words)
    is_changed = any(change.startswith("output=") for change in changes)
    if output is not None and is_changed:
        raise InputError("Give the run folder once, as --output or as output=.")
    if output is not None:
        changes.append(f"output={json.dumps(str(output), ensure_ascii=False)}")  # which YAML takes as it is
    find_config(name)  # a misspelled name should not wait for TensorFlow
    quiet_tensorflow()
    from care_tf.runs import train_run
    from care_tf.runs.config import load_config
    from care_tf.runs.distribution import is_chief

    config = load_config(name, changes)
    if output is None and not is_changed:
        refuse_former_folder(config.output)

    folder = train_run(config, command=command_line(context))
    if is_chief(config.training):
        print(f"wrote {folder}; next: care evaluate {folder}")
