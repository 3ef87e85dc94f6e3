from care_tf.data.groups import SORTED_FIRST, groups_or_none, own_groups


def test_an_image_without_a_group_is_one_of_its_own():
    assert own_groups(["p1", "", "p1", ""]) == ["p1", "row 1, no group", "p1", "row 3, no group"]


def test_groups_of_one_image_may_sort_before_all_others():
    names = own_groups(["", "\t", "", "0"], SORTED_FIRST)
    assert len(set(names)) == 4 and sorted(names) == [names[0], names[2], names[1], names[3]]


def test_where_no_image_has_a_group_there_are_none():
    assert groups_or_none(["", ""]) is None
    assert groups_or_none(["", "p1"]) == ["row 0, no group", "p1"]
