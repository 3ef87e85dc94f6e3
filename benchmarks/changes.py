"""What has become slower, or takes more memory, between two files of records. Needs the standard library only.

Example: python benchmarks/changes.py before.json after.json
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from records import Record, read_records
from rounds import Spread

# A ratio whose ranges do not meet has still not changed where the medians are this close.
TOLERANCE = 0.05


def changes(old: Iterable[Record], new: Iterable[Record]) -> list[tuple[str, Record, Record]]:
    """("slower" or "faster", old, new) of all that changed beyond the spread, the worst first.

    Ratios are compared, since they hold across machines; a record without one is left out, and so is one that only one
    file has. A change is one where the two ranges do not meet and the medians differ by more than `TOLERANCE`. Where
    one of them was measured once, its spread is not known: "slower?" or "faster?".
    """
    before = {_key(each): each for each in old if "ratio" in each}
    pairs = [(before[_key(each)], each) for each in new if "ratio" in each and _key(each) in before]
    changed = [(_change(Spread(**a["ratio"]), Spread(**b["ratio"])), a, b) for a, b in pairs]
    found = [(change, a, b) for change, a, b in changed if change is not None]
    return sorted(found, key=lambda each: each[1]["ratio"]["median"] / each[2]["ratio"]["median"])


def _key(each: Record) -> tuple:
    return each["benchmark"], each["case"], each["variant"], each["unit"], each.get("base")


def _change(old: Spread, new: Spread) -> str | None:
    doubt = "?" if old.low == old.high or new.low == new.high else ""
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
    sys.exit(print_changes(read_records(arguments.old)[1], read_records(arguments.new)[1]))


def print_changes(old: Sequence[Record], new: Sequence[Record]) -> int:
    """Prints the table; 1 where something became slower for certain, else 0."""
    changed = changes(old, new)
    print(changes_table(changed))
    return int(any(change == "slower" for change, _, _ in changed))


if __name__ == "__main__":
    main()
