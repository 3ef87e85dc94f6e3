"""Broken inputs out of valid ones. Each is known by the seed of its `random.Random`, so that it can be made again."""

import random
import re

_NUMBER = re.compile(rb"-?\d+(\.\d+)?")
_TEXT = re.compile(rb'"[^"\n]{0,40}"')
_NUMBERS: tuple[bytes, ...] = (
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"Infinity",
    b"1e-320",
    b"65536",
    b"4294967296",
    b"9" * 40,
    b"1" * 5000,
)
_NUMBERS += (b"0x_", b"1_1", b"1,5", b"-0.0", b"2026-13-01", b"12:99:99", b"1.2.3")
_VALUES: tuple[bytes, ...] = (
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'""',
    b"[[]]",
    b'{"a": 1}',
    b'"' + b"x" * 2000 + b'"',
    b"[" * 2000,
    b'"\\u0000"',
)
_TOKENS: tuple[bytes, ...] = (
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x1b[2J",
    b"\n",
    b"\r",
    b",",
    b";",
    b"\t",
    b'"',
    b"'",
    b"<",
    b"&",
    b"*",
)
_TOKENS += (
    b": ",
    b"- ",
    b"&a [*a]",
    b"<<: *a",
    b"!!timestamp x",
    b"!!int ''",
    b"!!python/name:os.system",
    b"{[(",
    b"../" * 9,
)
_TOKENS += (b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"\xed\xa0\x80", "\u202e\u0130\u00df".encode(), b"a" * 5000)


def mutated(valid: list[bytes], chance: random.Random) -> bytes:
    """One of the valid inputs after one to four changes."""
    data = chance.choice(valid)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        data = chance.choice(_CHANGES)(data, valid, chance)
    return data


def _place(data, chance):
    return chance.randrange(len(data) + 1)


def _flip(data, valid, chance):
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8)) if data else 0):
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _extreme_bytes(data, valid, chance):
    start, size = _place(data, chance), chance.choice((1, 2, 4))
    return data[:start] + chance.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * size + data[start + size :]


def _cut_off(data, valid, chance):
    return data[: _place(data, chance)]


def _leave_out(data, valid, chance):
    start = _place(data, chance)
    return data[:start] + data[start + chance.choice((1, 2, 8, 64)) :]


def _repeat(data, valid, chance):
    start = _place(data, chance)
    part = data[start : start + chance.choice((1, 8, 64))]
    return data[:start] + part * chance.choice((2, 3, 50)) + data[start:]


def _splice(data, valid, chance):
    other = chance.choice(valid)
    return data[: _place(data, chance)] + other[_place(other, chance) :]


def _insert(data, valid, chance):
    start = _place(data, chance)
    return data[:start] + chance.choice(_TOKENS) + data[start:]


def _replace(pattern, replacements):
    def change(data, valid, chance):
        found = list(pattern.finditer(data[:100_000]))
        if not found:
            return _insert(data, valid, chance)
        place = chance.choice(found)
        return data[: place.start()] + chance.choice(replacements) + data[place.end() :]

    return change


def _swap_lines(data, valid, chance):
    lines = data.split(b"\n")
    first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"\n".join(lines)


_CHANGES = (
    *(_flip, _extreme_bytes, _cut_off, _leave_out, _repeat, _splice, _insert, _swap_lines),
    *(_replace(_NUMBER, _NUMBERS), _replace(_NUMBER, _VALUES), _replace(_TEXT, _VALUES), _replace(_TEXT, _NUMBERS)),
)
