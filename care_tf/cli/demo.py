"""`care demo`."""

import time
from pathlib import Path

import click

from care_tf.cli import options
from care_tf.cli.commands import Command, command_line
from care_tf.cli.export import write_saved_model
from care_tf.errors import InputError
from care_tf.tensorflow_start import quiet_tensorflow


@click.command("demo", cls=Command, example="care demo --output demo")
@options.configs("[key=value ...]")
@options.output(help="Folder to write to.", required=False, default="demo")
@click.pass_context
def demo(context: click.Context, words: tuple[str, ...], output: Path) -> None:
    """Show everything on drawn lesions, in a few minutes.

    Draws a data set, trains CARE and a baseline from the same first stage, compares them in a report and exports the
    model. key=value replaces a value of the configuration demo. Started again, it continues where it stopped.
    """
    names, changes = options.split_words(words)
    if names:
        raise InputError(f"The demo takes key=value words only, and has its own configuration. Received {names[0]!r}.")
    start = time.monotonic()
    quiet_tensorflow()
    from care_tf.datasets import SyntheticLesions
    from care_tf.runs import evaluate_run, load_run, train_run
    from care_tf.runs.config import load_config
    from care_tf.runs.named_configs import packaged_folder

    manifest = output / "data" / "manifest.csv"
    if not manifest.exists():
        print("drawing lesions: the rare class wears a blue sticker in training, and never in the test")
        SyntheticLesions(seed=0).write(output / "data")
    config, changes = packaged_folder() / "demo.yaml", [f"data.manifest={manifest}", *changes]
    care, baseline = output / "runs" / "care", output / "runs" / "baseline"
    reused = [f"output={baseline}", f"stages.pretrain.reuse={care}", "stages.finetune.alpha=0"]
    print("CARE: stage 1 without, stage 2 with attention to the boxes")
    train_run(load_config(config, [*changes, f"output={care}"]), command=command_line(context))
    print("baseline: the same stage 1, stage 2 of the same length without attention")
    train_run(load_config(config, [*changes, *reused]), command=command_line(context))
    print(evaluate_run(care, baseline=baseline))
    write_saved_model(load_run(care), output / "saved_model")
    print(f"{time.monotonic() - start:.0f} s in all")
