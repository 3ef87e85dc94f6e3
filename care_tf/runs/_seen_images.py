"""Which images a run has seen in training, as far as that can still be told."""

from typing import NamedTuple

from care_tf.errors import InputError
from care_tf.runs import _folder as run_folder
from care_tf.runs._folder import LoadedRun
from care_tf.runs._training_rows import TrainingRows, read_training_rows


class SeenRows(NamedTuple):
    """What the run's configuration selects now.

    Attributes:
      rows: What it trains and validates on; None where that cannot be read.
      doubt: Why these may not be the rows that the run was trained on, as a sentence; "" where they are.
    """

    rows: TrainingRows | None
    doubt: str = ""


def seen_rows(run: LoadedRun) -> SeenRows:
    """The rows that a run was trained and validated on, held to the fingerprints that it wrote then."""
    try:
        rows = read_training_rows(run.config)
    except InputError as error:
        return SeenRows(None, str(error))
    known = run_folder.read_environment(run.folder)
    if any(known.get(name) != fingerprint for name, fingerprint in rows.fingerprints().items()):
        return SeenRows(rows, f"The rows of {run.config.data.manifest} have changed since {run.folder} was trained.")
    return SeenRows(rows)
