"""The one exception for bad input, so that tools can tell a user's mistake from a defect."""

from typing import TYPE_CHECKING


class InputError(ValueError):
    """Bad input from the user: a file, a configuration, an argument.

    The message says which rule was broken, what was received, where, and how to fix it. Tools print it as one
    line and exit with code 2.
    """

    # AutoGraph re-raises an exception of converted code in its own type only where it has Exception's constructor;
    # otherwise Keras 2 would show a StagingError.
    if not TYPE_CHECKING:
        __init__ = Exception.__init__
