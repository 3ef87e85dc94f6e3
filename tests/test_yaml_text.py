import time

import pytest

from care_tf.errors import InputError
from care_tf.yaml_text import parse_yaml

_BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
_MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))


def test_aliases_and_merges_are_read():
    text = "base: &base {a: 1, b: 2}\nown: {<<: *base, b: 3}\nsame: *base"
    assert parse_yaml(text, "t.yaml") == {"base": {"a": 1, "b": 2}, "own": {"a": 1, "b": 3}, "same": {"a": 1, "b": 2}}


def test_an_empty_document_is_none():
    assert parse_yaml("", "t.yaml") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_BOMB, "at most 100,000 values"),
        (_MERGE_BOMB, "at most 100,000 values"),
        ("a: &a [*a]", "a value which contains it"),
        ("a: " + "[" * 5000, "more than 100 deep"),
        ("- " * 5000, "more than 100 deep"),
        ("\n".join(f"a{n}: &a{n} [{f'*a{n - 1}' if n else 1}]" for n in range(200)), "more than 100 deep"),
        ("a: [1", "t.yaml is not valid YAML"),
        ("a: \x1b", "t.yaml is not valid YAML"),
        ("a: 2026-13-01", "is no date.*Put quotes around a text"),
        ("a: " + "1" * 5000, "is no date, number"),
        ("a: 0x_", "is no date, number"),
        ("a: !!int ''", "is no date, number"),
        ("a: !!bool x", "is no date, number"),
        ("a: !!timestamp x", "is no date, number"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ('a: "\\0"', "a character that no text may have"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_short_message_and_soon(text, message):
    begun = time.monotonic()
    with pytest.raises(InputError, match=message) as caught:
        parse_yaml(text, "t.yaml")
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)
    assert time.monotonic() - begun < 5
