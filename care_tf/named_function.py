"""Functions of a user's own, named in a configuration or on a command line."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from care_tf.errors import InputError


def named_function(name: str, what: str) -> tuple[ModuleType, Callable[..., Any]]:
    """Imports the function that "module:function" names.

    Args:
      name: "module:function"; the module must be importable.
      what: What the function is to serve as, for messages: "backbone", "method".

    Returns:
      The module and the function.

    Raises:
      InputError: The module cannot be imported, or holds no such function.

    Example:
      >>> named_function("os.path:basename", "method")[1]("a/b")
      'b'
    """
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise InputError(
            f"The {what} {name}: module {module_name!r} cannot be imported ({error}). It must be installed or in a "
            "folder on PYTHONPATH, on every machine that does the work."
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        found = "is missing" if function is None else f"is a {type(function).__name__}"
        raise InputError(f"The {what} {name}: {function_name!r} in {module_name} must be a function; it {found}.")
    return module, function
