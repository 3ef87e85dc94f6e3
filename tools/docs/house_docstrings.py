"""Docstrings of this code base as mkdocstrings reads them: shared entries apart, formulas as they are drawn."""

import re
from typing import Any

import griffe

_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Example|Yields|Source)\b.*", re.MULTILINE)


class HouseDocstrings(griffe.Extension):
    """Rewrites every docstring before it is parsed."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrites the docstring of a function, class, module or attribute."""
        if obj.docstring:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(text: str) -> str:
    """A docstring with one entry per name, formulas in blocks of code, and the source as a paragraph."""
    text = re.sub(r"^( +)((?:\*{0,2}\w+, )+\*{0,2}\w+): ((?:.*\n?)(?:\1 +.*\n?)*)", _apart, text, flags=re.MULTILINE)
    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
    text = re.sub(r"^Source: ((?:.*\n?)(?: +.*\n?)*)", _source, text, flags=re.MULTILINE)
    start = _SECTION.search(text)
    prose, rest = (text[: start.start()], text[start.start() :]) if start else (text, "")
    return "\n\n".join(map(_drawn, prose.strip("\n").split("\n\n"))) + "\n\n" + rest


def _apart(match: re.Match) -> str:
    indent, names, meaning = match.group(1), match.group(2), match.group(3).rstrip("\n")
    return "".join(f"{indent}{name}: {meaning}\n" for name in names.split(", "))


def _source(match: re.Match) -> str:
    return f"**Source.** {' '.join(match.group(1).split())}\n"


def _drawn(paragraph: str) -> str:
    lines = paragraph.splitlines()
    is_prose = not lines or lines[-1].endswith((".", ":", ";", ",")) or lines[0].startswith(("|", "-", "`", "    "))
    if not is_prose and any(re.search(r" = |\S {2,}\S|\S <?->? \S", line) for line in lines):
        return "```text\n" + paragraph + "\n```"
    return paragraph
