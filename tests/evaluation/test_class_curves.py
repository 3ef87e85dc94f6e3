import base64

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from care_tf.evaluation.class_curves import GRID, class_curves
from care_tf.evaluation.curve_figures import class_curves_figure, reliability_figure

RNG = np.random.default_rng(0)
LABELS = RNG.permutation(np.arange(90) % 5 % 3)
PROBABILITIES = (RNG.dirichlet(np.ones(3), 90) + 0.5 * np.eye(3)[LABELS]).round(2) / 1.5
NAMES = ("a", "b", "c")


# oracle


def test_curves_equal_scikit_learn_at_its_thresholds():
    for index, curves in enumerate(class_curves(LABELS, PROBABILITIES, NAMES, num_resamples=2)):
        is_positive, scores = index == LABELS, PROBABILITIES[:, index]
        false, true, _ = roc_curve(is_positive, scores, drop_intermediate=False)
        precision, recall, _ = precision_recall_curve(is_positive, scores)
        for place, x in enumerate(GRID):
            assert curves.roc.value[place] == pytest.approx(true[false <= x + 1e-9].max())
            # scikit-learn's last point, precision 1 at recall 0, is no threshold
            assert curves.precision.value[place] == pytest.approx(precision[:-1][recall[:-1] >= x - 1e-9].max())


# identities


def test_intervals_hold_the_curve_and_the_prediction_lies_under_it():
    groups = np.arange(90) // 2
    for index, curves in enumerate(class_curves(LABELS, PROBABILITIES, NAMES, groups, num_resamples=100)):
        for curve in (curves.roc, curves.precision):
            assert (curve.low <= curve.value + 1e-9).mean() > 0.9 and (curve.value <= curve.high + 1e-9).mean() > 0.9
        false, recall, precision = curves.at_prediction
        called = PROBABILITIES.argmax(axis=1) == index
        assert recall == pytest.approx(called[index == LABELS].mean())
        assert precision == pytest.approx((index == LABELS)[called].mean())
        assert false == pytest.approx(called[index != LABELS].mean())


def test_a_perfect_ranking_goes_through_the_corner():
    (curves, _) = class_curves([0, 0, 1, 1], np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]), ["a", "b"])
    assert (curves.roc.value == 1).all() and (curves.precision.value == 1).all()


# edges


def test_a_class_without_images_has_no_curve_and_one_that_is_never_predicted_no_dot():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.7, 0.3, 0.0]])
    curves = class_curves([0, 0, 1], probabilities, NAMES, num_resamples=3)
    assert [each.name for each in curves] == ["a", "b"] and curves[1].at_prediction is None


# pictures


def test_pictures_say_what_they_show():
    curves = class_curves(LABELS, PROBABILITIES, NAMES, num_resamples=2)[0]
    picture = class_curves_figure(curves, curves, ("plain", "CARE"))
    assert "Curves of a, 36 of 90 images" in picture.alt and "CARE: recall" in picture.alt
    drawn = base64.b64decode(reliability_figure(LABELS, [("plain", "#000000", PROBABILITIES)]).uri.split(",")[1])
    assert b"plain" in drawn and b"share right" in drawn
