"""The one exception for bad input, so that tools can tell a user's mistake from a defect."""


class InputError(ValueError):
    """Bad input from the user: a file, a configuration, an argument.

    The message says which rule was broken, what was received, where, and how to fix it. Tools print it as one
    line and exit with code 2.
    """
