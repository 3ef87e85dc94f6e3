"""Functions of a user's own, named in a configuration or on a command line."""

import contextlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from care_tf.errors import InputError, did_you_mean
from care_tf.extras import MissingExtraError

TRUST = "CARE_TF_TRUST"
_UNTRUSTED: ContextVar[str] = ContextVar("untrusted", default="")


def is_own(name: str) -> bool:
    """Whether a name has the form "module:function"."""
    return ":" in name


@contextlib.contextmanager
def strangers_code_refused(folder: str | os.PathLike, trust: bool = False) -> Iterator[None]:
    """Within it `named_function` imports nothing that a folder names, which may come from somebody else.

    Modules of this package, those that are imported already and are not Python's own, and those that the environment
    variable CARE_TF_TRUST names, separated by commas, are as welcome as ever.

    Args:
      folder: Where the names are from, for the message.
      trust: Refuses nothing.
    """
    token = _UNTRUSTED.set("" if trust else os.fspath(folder))
    try:
        yield
    finally:
        _UNTRUSTED.reset(token)


def named_function(name: str, what: str) -> tuple[ModuleType, Callable[..., Any]]:
    """Imports the function that "module:function" names.

    Args:
      name: "module:function"; the module is looked for in the current folder, too.
      what: What the function is to serve as, for messages: "backbone", "method".

    Returns:
      The module and the function.

    Raises:
      InputError: The module cannot be imported, or holds no such function; or within `strangers_code_refused`.

    Example:
      >>> named_function("os.path:basename", "method")[1]("a/b")
      'b'
    """
    module_name, _, function_name = name.partition(":")
    _check_trusted(name, what, module_name)
    if os.getcwd() not in sys.path and "" not in sys.path:  # the command `care` starts without it
        sys.path.append(os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except MissingExtraError:
        raise  # says itself what to install
    except (ImportError, ValueError) as error:
        missing = (getattr(error, "name", None) or "").partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and missing != module_name.partition(".")[0]:
            remedy = f"Run pip install {missing}"
        else:
            remedy = "It must be installed, in the current folder or in one on PYTHONPATH, on every machine that works"
        raise InputError(
            f"The {what} {name}: module {module_name!r} cannot be imported ({error}). {remedy}."
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        found = "is missing" if function is None else f"is a {type(function).__name__}"
        known = [key for key, value in vars(module).items() if callable(value)]
        raise InputError(
            f"The {what} {name}: {function_name!r} in {module_name} must be a function; it {found}."
            f"{did_you_mean(function_name, known)}"
        )
    return module, function


def made_by(
    name: str, what: str, arguments: Mapping[str, Any], offered: Mapping[str, Any]
) -> tuple[Callable[[], Any], set[str]]:
    """What makes a piece of a user's own: the function that "module:function" names, with its arguments.

    Args:
      name: "module:function"; a class is a function that makes its instances.
      what: What it is to serve as, for messages: "classification loss".
      arguments: Given beside the name in a configuration.
      offered: Further ones, of which it gets those that it names.

    Returns:
      The function with all its arguments, yet to be called, and the names of those offered that it takes.

    Raises:
      InputError: As `named_function`, or it does not take these arguments.

    Example:
      >>> make, taken = made_by("fractions:Fraction", "number", {"numerator": 1}, {"denominator": 2, "color": "red"})
      >>> make(), taken
      (Fraction(1, 2), {'denominator'})
    """
    _, function = named_function(name, what)
    try:
        signature = inspect.signature(function)
        taken = {key: value for key, value in offered.items() if key in signature.parameters and key not in arguments}
        signature.bind(**arguments, **taken)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The {what} {name} must take the arguments beside its name. Received {dict(arguments)} and, where it "
            f"names them, {', '.join(offered)}: {error}. Correct one of the two."
        ) from error
    return lambda: function(**arguments, **taken), set(taken)


def _check_trusted(name: str, what: str, module_name: str) -> None:
    package = module_name.partition(".")[0]
    trusted = [each.strip() for each in os.environ.get(TRUST, "").split(",")]
    is_imported = module_name in sys.modules and package not in (*sys.stdlib_module_names, *sys.builtin_module_names)
    if _UNTRUSTED.get() and not (is_imported or package == "care_tf" or {package, module_name} & set(trusted)):
        raise InputError(
            f"The {what} of {_UNTRUSTED.get()} must be one of care_tf's. Received {name}, code that would run on this "
            f"machine. If you trust it, set the environment variable {TRUST}={package}, or import {module_name} first."
        )
