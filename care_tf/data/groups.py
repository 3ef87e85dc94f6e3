"""Groups of images: an image without a patient or lesion is a group of its own."""

from collections.abc import Sequence

NO_GROUP = "row {row}, no group"
SORTED_FIRST = "\0{row}"
"""A name that comes before all others: what is drawn from sorted groups depends on their order."""


def own_groups(groups: Sequence[str], name: str = NO_GROUP) -> list[str]:
    """The groups with a name for every image.

    Args:
      groups: n patients or lesions, "" where unknown.
      name: What an image without a group is called, with `{row}` for its position.

    Returns:
      n names.

    Example:
      >>> own_groups(["p1", "", "p1"])
      ['p1', 'row 1, no group', 'p1']
    """
    return [str(group) or name.format(row=row) for row, group in enumerate(groups)]


def groups_or_none(groups: Sequence[str]) -> list[str] | None:
    """`own_groups`, or None where no image has a group."""
    return own_groups(groups) if any(groups) else None
