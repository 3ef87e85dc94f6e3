"""history.csv: one row per epoch of every stage."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from care_tf.files import atomic_path

HISTORY = "history.csv"


def write_history(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes history.csv into a run folder."""
    import pandas as pd

    with atomic_path(folder / HISTORY) as temporary:
        pd.DataFrame(list(rows)).to_csv(temporary, index=False)
