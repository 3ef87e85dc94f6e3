"""Many problems reported at once: what is wrong is collected, then raised as one error that lists it."""

from collections.abc import Sequence

from care_tf.errors import InputError, clause, shortened

MAX_LISTED = 20
_LONGEST_ENTRY = 280


def listed(entries: Sequence[str], separator: str = "; ") -> str:
    """The entries in one line; of more than 20 the first 20 and how many more there are.

    Example:
      >>> listed(["a", "b"])
      'a; b'
    """
    more = f"{separator}and {len(entries) - MAX_LISTED} more" if len(entries) > MAX_LISTED else ""
    return separator.join(entries[:MAX_LISTED]) + more


def raise_problems(where: str, problems: Sequence[str]) -> None:
    """Raises one `InputError` that lists up to 20 problems and their number; does nothing when there is none."""
    if problems:
        plural = "problems" if len(problems) > 1 else "problem"
        entries = listed([shortened(clause(problem), _LONGEST_ENTRY) for problem in problems])
        raise InputError(f"{where} has {len(problems)} {plural}: {entries}.")
