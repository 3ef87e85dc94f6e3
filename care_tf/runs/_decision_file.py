"""decision.json of a run folder: how the run's probabilities are read, and which images that was chosen on."""

import os
from pathlib import Path
from typing import Any

from care_tf.data import Manifest
from care_tf.data.image_identity import TrainingImages
from care_tf.errors import InputError
from care_tf.evaluation.decision_thresholds import Decision, Rule
from care_tf.files import write_json
from care_tf.text_files import read_json, read_record

DECISION = "decision.json"


def write_decision(folder: Path, decision: Decision, rule: Rule, rows: Manifest) -> None:
    """Writes a decision that was made with the images of `rows`."""
    content = {
        "temperature": decision.temperature,
        "thresholds": dict(zip(decision.class_names, decision.thresholds, strict=True)),
        "rule": str(rule),
        "manifest": os.path.basename(rows.source),
        "num_images": len(rows),
        "images": TrainingImages.of(rows).numbers.tolist(),
    }
    write_json(folder / DECISION, content, durable=True)


def read_decision(folder: Path) -> Decision | None:
    """The decision of a run folder; None where none was made."""
    if _read(folder) is None:
        return None

    def decision(content: dict[str, Any]) -> Decision:
        return Decision(tuple(content["thresholds"]), content["temperature"], tuple(content["thresholds"].values()))

    return read_record(folder / DECISION, decision)


def num_chosen_on(folder: Path, rows: Manifest) -> int:
    """How many of some images the decision was made with: themselves, or others of their patient or lesion."""
    content = _read(folder)
    known = set() if content is None else set(content["images"])
    return sum(bool(known & set(TrainingImages.of(rows.subset([row])).numbers.tolist())) for row in range(len(rows)))


def _read(folder: Path) -> dict[str, Any] | None:
    path = folder / DECISION
    if not path.exists():
        return None
    try:
        content = read_json(path, finite=False)
        if {"temperature", "thresholds", "images"} <= set(content):
            return dict(content)
    except (InputError, TypeError, ValueError):
        pass
    raise InputError(f"{path} must hold a decision. Received something else. Make it anew: care calibrate {folder}.")
