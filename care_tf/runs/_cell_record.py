"""What cell.json holds: which stages predicted which rows, so that a run of a comparison is known to be finished."""

import hashlib
from collections.abc import Sequence

from care_tf.data import Manifest
from care_tf.network.attention_place import attention_layer_names
from care_tf.runs.config import CareConfig


def cell_record(stages: Sequence[str], tested: Manifest, care: CareConfig) -> str:
    """sha256 (hex) of all that the predictions of a run come from.

    Args:
      stages: Fingerprint of every stage.
      tested: The rows that it predicts.
      care: Says which activation map is noted beside them.
    """
    parts = [*stages, tested.fingerprint(), care.cam, *attention_layer_names(care.attention_layer)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
