"""The Python code of README and docs/: what a test has to run."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A block that no test runs says why, in a comment above it.
_BLOCK = re.compile(r"(<!-- not run: \S[^\n]* -->\n\n?)?```python\n(.*?)```", re.DOTALL)


def python_blocks(page):
    """The blocks of a page, without those that are marked as not run."""
    return [code for marked, code in _BLOCK.findall((ROOT / page).read_text(encoding="utf-8")) if not marked]


def run_blocks(page, names, replaced=()):
    """Runs a page's blocks one after another among `names`, after replacing texts (old, new) that must be there."""
    blocks = python_blocks(page)
    for old, new in replaced:
        assert any(old in block for block in blocks), f"{page} has no {old!r} any more"
        blocks = [block.replace(old, new) for block in blocks]
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
