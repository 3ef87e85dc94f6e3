"""What has become slower, or takes more memory, between two files of records. Needs the standard library only.

Example: python benchmarks/changes.py before.json after.json
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from records import Record, read_records
from rounds import Spread

# A ratio whose ranges do not meet has still not changed where the medians are this close.
TOLERANCE = 0.05
# What makes two machines one here.
MACHINE = ("processor", "cores", "gpus")


def changes(old: Iterable[Record], new: Iterable[Record], one_machine: bool = True) -> list[tuple[str, Record, Record]]:
    """("slower" or "faster", old, new) of all that changed beyond the spread, the worst first.

    Ratios are compared, which depend less on the machine than seconds do; a record without one is left out, and so is
    one that only one file has. A change is one where the two ranges do not meet and the medians differ by more than
    `TOLERANCE`. Where one of them was measured once, so that its spread is not known, or the machine is another one:
    "slower?" or "faster?".
    """
    before = {_key(each): each for each in old if "ratio" in each}
    pairs = [(before[_key(each)], each) for each in new if "ratio" in each and _key(each) in before]
    changed = [(_change(Spread(**a["ratio"]), Spread(**b["ratio"]), one_machine), a, b) for a, b in pairs]
    found = [(change, a, b) for change, a, b in changed if change is not None]
    return sorted(found, key=lambda each: each[1]["ratio"]["median"] / each[2]["ratio"]["median"])


def _key(each: Record) -> tuple:
    return each["benchmark"], each["case"], each["variant"], each["unit"], each.get("base")


def _change(old: Spread, new: Spread, one_machine: bool) -> str | None:
    doubt = "" if one_machine and old.low < old.high and new.low < new.high else "?"
    if new.low > old.high and new.median > old.median * (1 + TOLERANCE):
        return f"slower{doubt}"
    if new.high < old.low and new.median < old.median / (1 + TOLERANCE):
        return f"faster{doubt}"
    return None


def changes_table(changed: Sequence[tuple[str, Record, Record]]) -> str:
    """One line for each change."""
    lines = []
    for change, old, new in changed:
        name = f"{new['benchmark']}: {new['variant']} / {new['base']} ({new['case']}; {new['unit']})"
        lines.append(f"{change:7} {Spread(**old['ratio'])} -> {Spread(**new['ratio'])}  {name}")
    return "\n".join(lines) or "No ratio has changed beyond its spread."


def main() -> None:
    """Prints what changed from one file to another; exits with 1 where something became slower for certain."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, help="JSON file of benchmarks/run.py")
    parser.add_argument("new", type=Path, help="a later one")
    arguments = parser.parse_args()
    sys.exit(print_changes(read_records(arguments.old), read_records(arguments.new)))


def print_changes(old: tuple[dict[str, Any], list[Record]], new: tuple[dict[str, Any], list[Record]]) -> int:
    """Prints the table, from `read_records` of both; 1 where something became slower for certain, else 0."""
    one_machine = all(old[0].get(name) == new[0].get(name) for name in MACHINE)
    if not one_machine:
        there, here = (", ".join(str(content[0].get(name)) for name in MACHINE) for content in (old, new))
        print(f"Another machine ({there}; here {here}): what is slower or faster may be its doing.")
    changed = changes(old[1], new[1], one_machine)
    print(changes_table(changed))
    return int(any(change == "slower" for change, _, _ in changed))


if __name__ == "__main__":
    main()
