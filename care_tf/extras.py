"""The libraries that only some packages need: the error for a missing one names the extra to install."""

import importlib.util

from care_tf.errors import InputError


class MissingExtraError(InputError, ImportError):
    """A library of an extra is not installed: bad input to a command, and a failed import to Python."""


def require_extra(needed_by: str, extra: str, *modules: str) -> None:
    """Checks that libraries are installed, without importing them.

    Args:
      needed_by: What needs them, for the message: a package or a feature.
      extra: The extra of care_tf that brings them all.
      *modules: The libraries, by the names that are imported.

    Raises:
      MissingExtraError: One of them is not installed.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingExtraError(
            f"{needed_by} needs {', '.join(modules)}. Received a Python environment without {', '.join(missing)}. "
            f"Run pip install 'care_tf[{extra}]'."
        )
