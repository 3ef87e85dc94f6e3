"""The one exception for bad input, by which commands tell a user's mistake from a defect, and how its message ends."""

from collections.abc import Iterable
from typing import TYPE_CHECKING


class InputError(ValueError):
    """Bad input from the user: a file, a configuration, an argument.

    The message says which rule was broken, what was received, where, and how to fix it. Commands print it as one
    line and exit with code 2.
    """

    # AutoGraph re-raises an exception of converted code in its own type only where it has Exception's constructor;
    # otherwise Keras 2 would show a StagingError.
    if not TYPE_CHECKING:
        __init__ = Exception.__init__


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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: " Did you mean ...?" with the nearest known one, or "".

    Example:
      >>> did_you_mean("focla", ["focal", "ldam"])
      " Did you mean 'focal'?"
    """
    import difflib

    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""
