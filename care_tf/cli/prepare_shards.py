"""`care prepare shards`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.cli.prepared_folder import MANIFEST, check_new
from care_tf.problems import MAX_LISTED
from care_tf.progress_journal import remove_finished
from care_tf.tensorflow_start import quiet_tensorflow

if TYPE_CHECKING:
    from care_tf.data.manifest import Manifest


@click.command("shards", cls=Command, example="care prepare shards data/isic2018/manifest.csv --output data/shards")
@options.manifest
@options.output(help="Folder for the shards, manifest.csv, left_out.csv and SHA256SUMS.")
@options.option("--shard-mb", type=options.whole_number, default=256, metavar="N", help="Size of a shard, MB.")
@options.workers()
@options.overwrite
def shards(manifest: Path, output: Path, shard_mb: int, workers: int | None, overwrite: bool) -> None:
    """Copy the images of a manifest into a few large files.

    Images, masks and boxes go into TFRecord files, byte for byte, and manifest.csv names the places in them: it is used
    like any manifest, and trains to the same weights. An image that cannot be read is left out and listed in
    left_out.csv. Stopped and started again, it continues.
    """
    remove_finished(output / MANIFEST)
    check_new(output, overwrite)
    quiet_tensorflow()
    from care_tf.data.shards import LEFT_OUT, write_shards

    try:
        written = write_shards(_read(manifest), output, shard_bytes=shard_mb * 2**20, num_threads=workers)
    except KeyboardInterrupt:
        print("stopped; whole shards are kept: the same command continues from there", file=sys.stderr)
        raise
    for path, reason in list(written.left_out.items())[:MAX_LISTED]:
        print(f"warning: left out {path}: {reason}", file=sys.stderr)
    if len(written.left_out) > MAX_LISTED:
        print(f"warning: left out {len(written.left_out) - MAX_LISTED} more: see {LEFT_OUT}", file=sys.stderr)
    resumed = f" ({written.num_resumed} of them from an earlier start)" if written.num_resumed else ""
    print(written.manifest.summary())
    print(
        f"wrote {output / MANIFEST} and {written.num_shards} shards{resumed}; {len(written.left_out)} images left out"
    )


def _read(path: Path) -> "Manifest":
    """The manifest with all its further columns; its images are checked one by one later."""
    from care_tf.data.manifest import further_columns, read_manifest

    return read_manifest(path, check_images=False, inputs=further_columns(path))
