"""`care serve`."""

from pathlib import Path

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.tensorflow_start import quiet_tensorflow


@click.command("serve", cls=Command, example="care serve served/isic2018")
@click.argument("model", type=options.MODEL, metavar="RUN|SAVED_MODEL")
@click.option("--host", default="127.0.0.1", help="Address to listen at; any other lets other machines in.")
@options.port(default=8600)
def serve(model: Path, host: str, port: int) -> None:
    """Try a run or an exported model in the browser.

    Serves a page that takes PNG, JPEG, TIFF and DICOM files, and POST /predict for programs, until Ctrl-C. For
    demonstrations: nothing is stored, and there is no password.
    """
    from care_tf.extras import require_extra

    require_extra("care serve", "serve", "flask")  # before TensorFlow starts
    quiet_tensorflow()
    from care_tf.serving import load
    from care_tf.serving.demo_server import serve_demo

    serve_demo(load(model), model.resolve().name, host=host, port=port)
