import base64
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.evaluation._curves import curves_figure, history_rows
from care_tf.evaluation._figures import attention_figure, confusion_figure, difference_figure, recall_figure
from care_tf.evaluation.scores import Estimate, evaluate_predictions

NAMES = ["NV", "M$E$L <b>", "皮肤"]


def _scores(seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], [20, 10, 5])
    share = np.where(labels == 2, rng.uniform(size=35), np.nan)
    references = {
        "uniform": np.where(labels == 2, 0.4, np.nan),
        "centered_gaussian": np.where(labels == 2, 0.7, np.nan),
    }
    probabilities = rng.dirichlet(np.ones(3), 35)
    return evaluate_predictions(labels, probabilities, NAMES, None, share, references, num_resamples=20)


def _texts(picture):
    """What is written in an SVG picture; fails when the SVG is not well formed."""
    kind, _, data = picture.uri.partition(",")
    assert kind == "data:image/svg+xml;base64"
    root = ElementTree.fromstring(base64.b64decode(data))
    return ["".join(element.itertext()).strip() for element in root.iter() if element.tag.endswith("}text")]


def _history(stages=(1, 1, 1, 2, 2), **columns):
    rows = [{"stage": stage, "epoch": i, "loss": 1.0 / (i + 1)} for i, stage in enumerate(stages)]
    return [row | {name: values[i] for name, values in columns.items()} for i, row in enumerate(rows)]


# oracle


def test_recall_bars_name_every_class_with_its_count():
    scores = _scores()
    texts = _texts(recall_figure(scores))
    assert {"NV (n 20)", "M$E$L <b> (n 10)", "皮肤 (n 5)"} <= {" ".join(t.split()) for t in texts}
    recall = scores.classes[2]
    alt = recall_figure(scores).alt
    assert f"皮肤: {100 * recall.recall.value:.1f}\u202f%, {recall.num_correct} of 5" in alt
    assert f"; {100 * recall.precision.value:.1f}\u202f% of {recall.num_calls} calls" in alt and "precision" in texts


def test_recall_bars_show_both_runs():
    texts = _texts(recall_figure(_scores(), _scores(1), ("without", "with")))
    assert {"without", "with"} <= set(texts)
    assert any("→" in text for text in texts)


def test_confusion_matrix_writes_every_count():
    scores = _scores()
    texts = _texts(confusion_figure(scores))
    for row in scores.confusion:
        for count in row:
            assert str(count) in texts


def test_long_class_names_are_wrapped_and_the_matrix_numbers_them():
    names = [f"{'Actinic keratosis / ' * 4}{letter}" for letter in "ABC"]
    labels = np.repeat([0, 1, 2], 4)
    scores = evaluate_predictions(labels, np.eye(3)[labels[::-1]], names, num_resamples=5)
    texts = [" ".join(text.split()) for text in _texts(confusion_figure(scores))]
    assert {"1", "2", "3"} <= set(texts) and not any(len(text) > 40 for text in texts)
    bars = _texts(recall_figure(scores, scores, (names[0], names[1])))
    assert max(map(len, bars)) <= 60  # a line of the legend


def test_attention_figure_shows_classes_with_boxes_beside_the_references():
    picture = attention_figure(_scores(), _scores(1))
    texts = {" ".join(t.split()) for t in _texts(picture)}
    assert {"皮肤 (boxes 5)", "uniform map", "centered Gaussian", "baseline", "run"} <= texts
    assert not any(text.startswith("NV") for text in texts)
    assert "uniform map 40.0\u202f%, centered Gaussian 70.0\u202f%" in picture.alt


def test_differences_are_named_and_described():
    differences = {"macro_auc": Estimate(0.02, 0.01, 0.03), "recall/DF": Estimate(None, None, None)}
    picture = difference_figure(differences, {"macro_auc": "Macro AUC", "recall/DF": "Recall DF"})
    assert "Macro AUC" in _texts(picture)
    assert "Recall DF" not in _texts(picture)
    assert picture.alt == "Paired differences. Macro AUC: +2.0 points (95 % interval +1.0 to +3.0)"


def test_curves_have_a_panel_for_every_kind_and_mark_the_stages():
    history = _history(
        classification_loss=[3, 2, 1, 1, 1], val_classification_loss=[3, 2, 2, 2, 2],
        attention_loss=[None, None, None, -0.1, -0.2], val_macro_auc=[0.5, 0.6, 0.7, 0.8, 0.9], alpha=[0, 0, 0, 1, 1],
    )  # fmt: skip
    picture = curves_figure(history)
    texts = _texts(picture)
    assert {"Classification loss", "Attention loss", "Scores", "macro AUC", "validation", "training"} <= set(texts)
    assert {"stage 1", "stage 2"} <= set(texts)
    assert "Attention inside the box" not in texts and "alpha" not in texts
    assert "5 epochs in 2 stages (1, 2)" in picture.alt and "macro AUC ends at 0.900" in picture.alt


# identities


def test_equal_data_give_equal_bytes():
    assert recall_figure(_scores()).uri == recall_figure(_scores()).uri


def test_data_frame_and_rows_give_the_same_curves():
    pandas = pytest.importorskip("pandas")
    assert curves_figure(pandas.DataFrame(_history())) == curves_figure(_history())


def test_own_matplotlib_settings_are_left_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    recall_figure(_scores())
    assert dict(matplotlib.rcParams) == before


# edges


def test_histories_without_curves_give_no_picture():
    assert curves_figure([]) is None
    assert curves_figure([{"stage": "pretrain", "epoch": 1}]) is None


def test_plain_loss_stands_in_for_the_classification_loss():
    assert "Classification loss" in _texts(curves_figure(_history(("pretrain",))))


# errors


def test_history_without_stages_is_refused():
    with pytest.raises(InputError, match=r"needs a stage. Received: row 0 with \['epoch', 'loss'\]"):
        history_rows([{"epoch": 1, "loss": 0.5}])
