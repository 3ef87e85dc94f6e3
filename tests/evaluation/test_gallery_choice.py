import numpy as np

from care_tf.evaluation.gallery_choice import MAX_MISTAKES, MAX_RIGHT_CLASSES, chosen_mistakes, chosen_right

NAMES = ("NV", "MEL", "DF")


def _probabilities(predicted, sure, num_classes=3):
    rest = (1 - np.asarray(sure)) / (num_classes - 1)
    found = np.repeat(rest[:, np.newaxis], num_classes, axis=1)
    found[np.arange(len(predicted)), predicted] = sure
    return found


# oracle


def test_mistakes_of_the_class_in_focus_come_first_the_surest_of_each_kind():
    labels = np.array([2, 2, 2, 0, 1, 0, 1, 0])
    predicted = np.array([0, 1, 2, 2, 2, 1, 0, 0])
    found = chosen_mistakes(labels, _probabilities(predicted, [0.5, 0.9, 0.9, 0.6, 0.8, 0.9, 0.7, 0.9]), NAMES, "DF")
    assert [(each.title, each.positions, each.total) for each in found] == [
        ("DF, missed", [1, 0], 2),
        ("Falsely called DF", [4, 3], 2),
        ("Other mistakes", [5, 6], 2),
    ]


def test_right_ones_are_the_surest_and_the_least_sure_of_each_class_the_rarest_first():
    labels = np.array([0, 0, 0, 0, 2, 1, 1])
    predicted = np.array([0, 0, 0, 1, 2, 0, 0])
    found = chosen_right(labels, _probabilities(predicted, [0.7, 0.9, 0.5, 0.9, 0.6, 0.9, 0.9]), NAMES)
    assert [(each.title, each.positions, each.total) for each in found] == [("DF", [4], 1), ("NV", [1, 2], 3)]


# edges


def test_numbers_are_bounded():
    num = 40
    labels = np.arange(num)
    names = tuple(map(str, labels))
    wrong = chosen_mistakes(np.full(num, 2), np.eye(3)[np.zeros(num, int)], NAMES, "DF")
    assert [(len(each.positions), each.total) for each in wrong] == [(MAX_MISTAKES, num)]
    assert len(chosen_right(labels, np.eye(num), names)) == MAX_RIGHT_CLASSES
    assert chosen_mistakes(labels, np.eye(num), names, "3") == []
