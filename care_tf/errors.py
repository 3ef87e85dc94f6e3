"""The one exception for bad input, by which commands tell a user's mistake from a defect, and how its message ends."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

_LONGEST_MESSAGE = 6000  # twenty problems of 300 characters


class InputError(ValueError):
    """Bad input from the user: a file, a configuration, an argument.

    The message says which rule was broken, what was received, where, and how to fix it. Commands print it as one
    line and exit with `exit_code`.
    """

    exit_code = 2

    # AutoGraph re-raises an exception of converted code in its own type only where it has Exception's constructor;
    # otherwise Keras 2 would show a StagingError.
    if not TYPE_CHECKING:
        __init__ = Exception.__init__

    def __str__(self) -> str:
        """The message; of one that quotes a whole file, how it begins and ends."""
        return shortened(super().__str__(), _LONGEST_MESSAGE)


def reason(error: Exception) -> str:
    """An error in one line, as the reason why one of many files is left out: with its type where it is a defect.

    Example:
      >>> reason(InputError("It is cut off.")), reason(KeyError("Rows"))
      ('It is cut off.', "KeyError: 'Rows'")
    """
    name = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
    return " ".join(f"{name}{error}".split())


def clause(error: object) -> str:
    """What an error says, to be put into a sentence: without its period.

    Example:
      >>> f"The first: {clause(InputError('It is cut off.'))}; try again."
      'The first: It is cut off; try again.'
    """
    return str(error).rstrip(".")


def shortened(text: str, longest: int) -> str:
    """A text of at most `longest` characters, >= 3: of a longer one the beginning and the end.

    Example:
      >>> shortened("0123456789" * 2, 9), shortened("short", 9)
      ('012...789', 'short')
    """
    if len(text) <= longest:
        return text
    start, end = longest // 2 - 1, longest - longest // 2 - 2
    return f"{text[:start]}...{text[len(text) - end :]}"


def shown(value: Any) -> str:
    """`repr`, cut to a length that fits into a message however large the value is."""
    import reprlib

    limited = reprlib.Repr()
    limited.maxstring = limited.maxother = limited.maxlong = 80
    limited.maxlevel = 2
    text = limited.repr(value)
    return text if len(text) <= 150 else f"{text[:150]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: " Did you mean ...?" with the nearest known one, or "".

    Example:
      >>> did_you_mean("focla", ["focal", "ldam"])
      " Did you mean 'focal'?"
    """
    import difflib

    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""
