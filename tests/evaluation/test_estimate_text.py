import functools

import pytest

from care_tf.evaluation.estimate_text import as_decimal, as_fraction, estimate_text, interval_text, rounded_text
from care_tf.evaluation.scores import Estimate


@pytest.mark.parametrize(
    ("value", "unsigned", "signed"),
    [(0.0, ".000", ".000"), (-0.0004, ".000", ".000"), (-0.5, "\u2212.500", "\u2212.500"), (0.9996, "1.000", "+1.000")],
)
def test_numbers_have_three_decimals_and_no_leading_zero(value, unsigned, signed):
    assert (as_fraction(value), as_fraction(value, is_signed=True)) == (unsigned, signed)


@pytest.mark.parametrize(
    ("value", "decimals", "text", "signed"),
    [
        (-0.04, 1, "0.0", "0.0"),
        (0.04, 1, "0.0", "0.0"),
        (-0.0, 0, "0", "0"),
        (-0.06, 1, "-0.1", "-0.1"),
        (9.96, 1, "10.0", "+10.0"),
    ],
)
def test_what_rounds_to_zero_has_no_sign(value, decimals, text, signed):
    assert (rounded_text(value, decimals), rounded_text(value, decimals, is_signed=True)) == (text, signed)
    assert as_decimal(-1e-9) == "0.000"


def test_what_is_undefined_leaves_its_part_out():
    whole, alone, undefined = Estimate(-0.5, -0.75, 0.25), Estimate(0.5, None, None), Estimate(None, None, None)
    assert [estimate_text(e) for e in (whole, alone, undefined, None)] == [
        "-0.500 [-0.750, 0.250]",
        "0.500",
        "n/a",
        "n/a",
    ]
    assert estimate_text(undefined, undefined="-") == "-"
    signed = functools.partial(as_fraction, is_signed=True)
    assert estimate_text(whole, signed) == "\u2212.500 [\u2212.750, +.250]"
    assert (interval_text(whole, signed), interval_text(alone)) == ("[\u2212.750, +.250]", "")
