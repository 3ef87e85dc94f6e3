"""`care boxes review`."""

from pathlib import Path
from typing import Any

import click

from care_tf.cli import options
from care_tf.cli.commands import Command


@click.command("review", cls=Command, example="care boxes review boxes.csv --classes DF")
@options.manifest
@options.output(help="CSV to write, or to continue. [default: MANIFEST with .reviewed.csv]", required=False)
@options.classes(help="Classes to review. [default: those in which an image has a box]")
@click.option(
    "--order",
    type=click.Choice(["doubt", "manifest"]),
    default="doubt",
    help="Most doubtful first, or as in the file.",
)
@options.max_pixel_value
@options.port(default=0)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def review(manifest: Path, output: Path | None, port: int, no_browser: bool, **choices: Any) -> None:
    """Accept, correct or reject boxes in the browser.

    Serves a page on 127.0.0.1 until Ctrl-C. Decisions go to a manifest of their own; MANIFEST is never changed.
    """
    from care_tf.boxes.review.opening import open_review
    from care_tf.boxes.review.server import serve_review

    session = open_review(manifest, output, **choices)
    serve_review(session, port=port, open_browser=not no_browser)
