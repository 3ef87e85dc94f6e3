"""What a person decided about an image's boxes, and how a manifest's `box_source` remembers it."""

import numpy as np

REVIEWED = "reviewed:"
CORRECTED = REVIEWED + "corrected"
REJECTED = REVIEWED + "rejected"
UNKNOWN_SOURCE = "unknown"


def reviewed_source(old_source: str, old_boxes: np.ndarray, boxes: np.ndarray) -> str:
    """The `box_source` of boxes that a person has confirmed.

    | boxes after review            | box_source              |
    |-------------------------------|-------------------------|
    | none                          | "reviewed:rejected"     |
    | the proposed ones, unchanged  | "reviewed:<old source>" |
    | moved, resized, added, fewer  | "reviewed:corrected"    |

    Args:
      old_source: Who proposed the boxes; "" where unknown. A source that is reviewed already gets no second prefix.
      old_boxes: float32 (k,4) as proposed, px.
      boxes: float32 (m,4) as decided, px.

    Example:
      >>> box = np.array([[1, 2, 3, 4]], np.float32)
      >>> reviewed_source("dsr", box, box), reviewed_source("dsr", box, box + 1), reviewed_source("dsr", box, box[:0])
      ('reviewed:dsr', 'reviewed:corrected', 'reviewed:rejected')
    """
    if not len(boxes):
        return REJECTED
    if not np.array_equal(old_boxes, boxes):
        return CORRECTED
    return old_source if old_source.startswith(REVIEWED) else REVIEWED + (old_source or UNKNOWN_SOURCE)


def decision_of(source: str) -> str:
    """What a `box_source` remembers: "accepted", "corrected" or "rejected"; "" where nobody has looked yet."""
    if not source.startswith(REVIEWED):
        return ""
    return {CORRECTED: "corrected", REJECTED: "rejected"}.get(source, "accepted")
