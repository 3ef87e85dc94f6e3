from care_tf.data.class_focus import focus_classes, rarest_class, rarest_first

_COUNTS = {"NV": 9, "DF": 2, "MEL": 5, "VASC": 2}


def test_of_equally_rare_classes_the_first_given_comes_first():
    assert rarest_first(_COUNTS) == ["DF", "VASC", "MEL", "NV"]
    assert rarest_first(dict(reversed(_COUNTS.items()))) == ["VASC", "DF", "MEL", "NV"]


def test_the_rarest_class_has_images():
    assert rarest_class({"NV": 3, "none": 0, "DF": 2}) == "DF"


def test_the_rarest_class_in_training_must_be_in_the_test_too():
    assert rarest_class(_COUNTS, present={"NV": 1, "DF": 0, "MEL": 7, "VASC": 0}) == "MEL"
    assert rarest_class({"NV": 9}, present={"NV": 1, "new": 8}) == "new"


def test_classes_with_boxes_are_in_focus_and_without_any_the_rarest():
    assert focus_classes(_COUNTS, {"NV", "VASC", "MEL"}) == ["VASC", "MEL", "NV"]
    assert focus_classes(_COUNTS) == focus_classes(_COUNTS, {"other"}) == ["DF"]
