"""Dead links: of the documents as they lie in the repository, and of the finished site."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

_FENCE = re.compile(r"^(```|~~~).*?^\1[ ]*$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"^(```|~~~).*?^\1[ ]*$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(<?([^)#>\s]*)(?:#([^)>\s]*))?>?\)")


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """The text with `change` applied to what is no code."""
    parts, end = [], 0
    for code in _CODE.finditer(text):
        parts += [change(text[end : code.start()]), code.group()]
        end = code.end()
    return "".join([*parts, change(text[end:])])


def documents(root: Path) -> list[Path]:
    """The Markdown documents of the repository."""
    return [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md"))]


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*?)\s*$", _FENCE.sub("", text), re.MULTILINE)
    found: set[str] = set()
    for heading in headings:
        anchor = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)).lower().replace(" ", "-")
        number = 0
        while (numbered := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(numbered)
    return found


def dead_links(root: Path) -> list[str]:
    """Relative links between documents, and from them to other files, whose file or heading does not exist."""
    problems = []
    for document in documents(root):
        for target, anchor in _LINK.findall(_CODE.sub("", document.read_text(encoding="utf-8"))):
            if re.match(r"[a-z]+:", target):
                continue
            path = document.parent / target if target else document
            where = f"{document.relative_to(root)}: the link {target}{'#' * bool(anchor)}{anchor}"
            if not path.exists():
                problems.append(f"{where} leads nowhere.")
            elif anchor and path.suffix == ".md" and anchor not in anchors(path.read_text(encoding="utf-8")):
                problems.append(f"{where} leads to a heading that {path.name} does not have.")
    return problems


class _Page(HTMLParser):
    """The ids of a page, what it links to, and what it loads."""

    def __init__(self, text: str):
        super().__init__()
        self.ids: set[str] = set()
        self.targets: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids |= {value for name in ("id", "name") if (value := given.get(name))}
        target = given.get("href") or given.get("src")
        if target and tag == "a":
            self.targets.append(target)
        elif target and not (tag == "link" and given.get("rel") not in ("stylesheet", "icon", "preload", "preconnect")):
            self.loaded.append(target)


def problems_of_site(site: Path) -> list[str]:
    """Links of the site's pages that lead nowhere, and what a page would load from the net."""
    pages = {path.resolve(): _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    problems = []
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        problems += [f"{name} loads {url} from the net." for url in page.loaded if re.match(r"(https?:)?//", url)]
        if path.name == "404.html":  # its links are those of the server's root
            continue
        for target in {*page.targets, *page.loaded}:
            if re.match(r"([a-z]+:|//)", target):
                continue
            file, _, anchor = target.partition("#")
            found = (path.parent / unquote(file.partition("?")[0])).resolve() if file else path
            found = found / "index.html" if found.is_dir() else found
            if not found.exists():
                problems.append(f"{name}: {target} leads nowhere.")
            elif anchor and found in pages and unquote(anchor) not in {*pages[found].ids, "__top"}:
                problems.append(f"{name}: {target} leads to an anchor that does not exist.")
    return problems
