"""Losses, maps, callbacks and metrics of a user's own in a configuration, found in the current folder."""

import json

import pandas as pd
import pytest

from care_tf.data import read_manifest
from care_tf.errors import InputError
from care_tf.runs import train_run

PIECES = """
import json
import keras
import tensorflow as tf
from care_tf.attention.activation_maps import hirescam
from care_tf.losses import FocalLoss

made = []


def loss(gamma, class_weights):
    made.append((gamma, list(map(float, class_weights))))
    return FocalLoss(gamma, class_weights=class_weights)


def mapped(features, gradients):
    made.append("map")
    return hirescam(features, gradients)


class Counted(keras.metrics.Mean):
    def __init__(self, class_names):
        super().__init__(name=f"share_of_{class_names[0]}")

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(tf.cast(tf.equal(y_true, 0), tf.float32))


class Listed(keras.callbacks.Callback):
    def __init__(self, folder, stage, first_epoch, name="listed.json"):
        super().__init__()
        self.path, self.start = f"{folder}/{name}", (stage, first_epoch)

    def on_epoch_end(self, epoch, logs=None):
        with open(self.path, "a") as file:
            file.write(json.dumps([*self.start, epoch, sorted(logs)]) + "\\n")


def nothing():
    return None
"""


@pytest.fixture
def pieces(tmp_path, monkeypatch):
    """The module own_pieces in the current folder."""
    (tmp_path / "own_pieces.py").write_text(PIECES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [path for path in __import__("sys").path if path])
    monkeypatch.delitem(__import__("sys").modules, "own_pieces", raising=False)


@pytest.mark.slow
def test_they_are_made_used_and_given_what_they_ask_for(config, pieces, eager):
    run = config(
        data__validation=None,
        every_stage={"class_weight": "balanced", "loss": {"name": "own_pieces:loss", "gamma": 1.5}},
        training={
            "batch_size": 16,
            "callbacks": [{"name": "own_pieces:Listed", "name_of_file": "x"}],
            "metrics": ["own_pieces:Counted"],
        },
        care={"cam": "own_pieces:mapped"},
    )
    with pytest.raises(InputError, match="callback own_pieces:Listed must take .*'name_of_file'"):
        train_run(run, show_progress=False)
    run = run.model_copy(update={"training": run.training.model_copy(update={"callbacks": ("own_pieces:Listed",)})})
    folder = train_run(run, show_progress=False)
    lines = [json.loads(line) for line in (folder / "listed.json").read_text().splitlines()]
    assert [line[:3] for line in lines] == [["pretrain", 0, 0], ["finetune", 1, 0]]
    history = pd.read_csv(folder / "history.csv")
    first = read_manifest(run.data.manifest).class_names[0]
    (share,) = set(history[f"share_of_{first}"].round(6))
    made = __import__("own_pieces").made
    assert made[0][0] == 1.5 and made[0][1][0] == pytest.approx(1 / 4 / share, rel=1e-4) and "map" in made


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"training": {"metrics": ["own_pieces:Count"]}},
            "'Count' in own_pieces .* missing. Did you mean 'Counted'",
        ),
        ({"training": {"callbacks": ["own_peaces:Listed"]}}, "own_peaces' cannot be imported .* the current folder"),
        ({"training": {"callbacks": ["tensorbored"]}}, "callback must be named as module:function.*'tensorbored'"),
        ({"every_stage": {"loss": "own_pieces:nothing"}}, "must make a keras.losses.Loss. Received NoneType"),
        (
            {"every_stage": {"loss": "own_pieces:nothing", "class_weight": "balanced"}},
            "must name class_weights to be weighted",
        ),
        ({"care": {"cam": "own_pieces:nowhere"}}, "activation map own_pieces:nowhere: .* missing"),
    ],
)
def test_wrong_pieces_are_refused_before_anything_is_written(config, pieces, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        train_run(config("refused", **changes), show_progress=False)
    assert not (tmp_path / "refused").exists()
