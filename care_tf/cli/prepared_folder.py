"""The folder that `care prepare` writes: a manifest, and a picture of its boxes."""

from pathlib import Path
from typing import TYPE_CHECKING

from care_tf.cli.options import refuse_existing

if TYPE_CHECKING:
    from care_tf.data.manifest import Manifest

MANIFEST = "manifest.csv"


def check_new(folder: Path, overwrite: bool) -> None:
    """Raises InputError where a manifest, perhaps edited since, would be replaced without --overwrite."""
    refuse_existing(folder / MANIFEST, overwrite)


def write_prepared(manifest: "Manifest", folder: Path, seed: int) -> None:
    """Writes the picture, and last the manifest; prints what is in it."""
    from care_tf.data.manifest import write_manifest
    from care_tf.datasets.contact_sheet import write_contact_sheet

    sheet, table = folder / "contact_sheet.png", folder / MANIFEST
    write_contact_sheet(manifest, sheet, seed=seed)
    write_manifest(manifest, table)
    print(manifest.summary())
    print(f"wrote {table} and {sheet}")
