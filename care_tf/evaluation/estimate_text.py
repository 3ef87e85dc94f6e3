"""An estimate as text: the value and its interval in brackets."""

from collections.abc import Callable

from care_tf.evaluation.scores import Estimate

MINUS = "\u2212"
"""The sign that is as long as a plus, for text that people read."""
PARTIAL_NOTE = (
    "(k of n): over the k of n models that have the figure; on the folds of the others the class, its boxes, or any "
    "call of it is missing, or they were predicted before there was such a figure."
)
"""What the end of `partial_text` means."""


def rounded_text(value: float, decimals: int, is_signed: bool = False) -> str:
    """A number with its decimals; without a sign where they are all 0.

    Example:
      >>> rounded_text(-0.26, 1), rounded_text(-0.04, 1), rounded_text(0.26, 1, is_signed=True)
      ('-0.3', '0.0', '+0.3')
    """
    text = f"{value:{'+' if is_signed else ''}.{decimals}f}"
    return text if float(text) else text.lstrip("+-")


def as_decimal(value: float) -> str:
    """Three decimals: "0.547"."""
    return rounded_text(value, 3)


def as_fraction(value: float | None, is_signed: bool = False) -> str:
    """Three decimals without the leading zero; "n/a" where undefined.

    Example:
      >>> as_fraction(0.5474), as_fraction(1.0), as_fraction(0.5474, is_signed=True), as_fraction(None)
      ('.547', '1.000', '+.547', 'n/a')
    """
    if value is None:
        return "n/a"
    text = rounded_text(value, 3, is_signed)
    sign = text[0] if text[0] in "+-" else ""
    return sign.replace("-", MINUS) + text.removeprefix(sign).removeprefix("0")


def interval_text(estimate: Estimate, number: Callable[[float], str] = as_decimal) -> str:
    """The interval in brackets; "" where undefined.

    Example:
      >>> interval_text(Estimate(0.63, 0.58, 0.68))
      '[0.580, 0.680]'
    """
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{number(estimate.low)}, {number(estimate.high)}]"


def estimate_text(
    estimate: Estimate | None, number: Callable[[float], str] = as_decimal, undefined: str = "n/a"
) -> str:
    """The value with its interval; the value alone where there is no interval.

    Args:
      estimate: The figure, or None.
      number: How its numbers are written.
      undefined: What to write where there is no value.

    Example:
      >>> estimate_text(Estimate(0.63, 0.58, 0.68)), estimate_text(Estimate(0.63, None, None), as_fraction)
      ('0.630 [0.580, 0.680]', '.630')
    """
    if estimate is None or estimate.value is None:
        return undefined
    return f"{number(estimate.value)} {interval_text(estimate, number)}".rstrip()


def partial_text(number: int, total: int) -> str:
    """What follows a mean that not all models have: how many do.

    Example:
      >>> partial_text(1, 2), partial_text(2, 2)
      (' (1 of 2)', '')
    """
    return f" ({number} of {total})" if number < total else ""
