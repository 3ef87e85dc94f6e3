import click
import pytest

from care_tf.cli.options import ImageSize, WholeNumbers, Words, one_side, split_words
from care_tf.errors import InputError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("DF", ["DF"]),
        ("DF,VASC", ["DF", "VASC"]),
        (" DF, VASC ,", ["DF", "VASC"]),
        ("No Lung Opacity / Not Normal", ["No Lung Opacity / Not Normal"]),
        ('"nevus, dysplastic",DF', ["nevus, dysplastic", "DF"]),
    ],
)
def test_words(text, words):
    assert Words().convert(text, None, None) == words


def test_no_word_is_a_value_where_it_may_be():
    assert Words(may_be_empty=True).convert("", None, None) == []
    for text in ("", " , "):
        with pytest.raises(click.BadParameter, match="at least one"):
            Words().convert(text, None, None)


def test_whole_numbers():
    assert WholeNumbers().convert("0, 12", None, None) == [0, 12]
    for text in ("-1", "1.5", "one", ""):
        with pytest.raises(click.BadParameter):
            WholeNumbers().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "size"), [("224", (224, 224)), ("192x256", (192, 256)), ("192X256", (192, 256)), ("own", "own")]
)
def test_an_image_size_is_one_number_or_height_and_width(text, size):
    assert ImageSize("own").convert(text, None, None) == size


def test_what_is_no_size_is_refused():
    for text in ("own", "0", "0x5", "5x", "x", "-5", "1x2x3", "1.5", "80*60"):
        with pytest.raises(click.BadParameter, match="must be N or HEIGHTxWIDTH"):
            ImageSize().convert(text, None, None)
    with pytest.raises(InputError, match="one number here: images are square. Received 3x4"):
        one_side((3, 4), "images are square")


def test_configurations_and_changes_stand_in_any_order():
    words = ("seed=1", "isic2018/care", "a.b=[1, 2]", "./odd=name.yaml", "with=hardware/x")
    assert split_words(words) == (["isic2018/care", "./odd=name.yaml"], ["seed=1", "a.b=[1, 2]", "with=hardware/x"])
