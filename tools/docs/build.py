"""Builds the documentation site in site/ from docs/, the code and the command, and checks it: `make docs`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import api_pages
import command_page
import configuration_page
import links
import notebook_pages
import shell_lines
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "build" / "docs"
CONFIG = ROOT / "build" / "mkdocs.yml"
BUILT = ROOT / "build" / "site"
SITE = ROOT / "site"
# Documents at the top of the repository -> their pages.
TOP_PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}


def main() -> int:
    """Writes the pages, builds the site and checks both; prints every problem."""
    if sys.version_info < (3, 11):
        advice = "make clean, then make PYTHON=python3.12 docs."
        print(f"error: The documentation site needs Python 3.11 or newer: {advice}", file=sys.stderr)
        return 2
    problems = links.dead_links(ROOT) + shell_lines.problems(ROOT)
    write_pages()
    nav, unlisted = navigation(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    problems += [f"{page} is in no navigation. Add it to `nav` in mkdocs.yml." for page in unlisted]
    write_config(nav)
    # From the folder of the interpreter, so that the environment need not be activated.
    zensical = str(Path(sys.executable).parent / "zensical")
    command = [zensical, "build", "--strict", "--clean", "--config-file", str(CONFIG)]
    built = subprocess.run(command, check=False, env={**os.environ, "NO_COLOR": "1"})
    if built.returncode:
        problems.append("zensical found problems: see above.")
    else:
        shutil.rmtree(SITE, ignore_errors=True)
        BUILT.rename(SITE)
        problems += links.problems_of_site(SITE)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


def write_pages() -> None:
    """Fills build/docs: the pages of docs/, those at the top of the repository, and the generated ones."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES, ignore=shutil.ignore_patterns("*.ipynb"))
    for document, page in TOP_PAGES.items():
        shutil.copy(ROOT / document, PAGES / page)
    generated = {
        "reference/configuration.md": configuration_page.page(ROOT),
        "reference/commands.md": command_page.page(),
        **api_pages.pages(ROOT),
    }
    for name, text in generated.items():
        (PAGES / name).parent.mkdir(parents=True, exist_ok=True)
        (PAGES / name).write_text(text, encoding="utf-8")
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        notebook_pages.write_page(notebook, PAGES / "notebooks")
    for path in PAGES.rglob("*.md"):
        written_in = ROOT if path.name in TOP_PAGES.values() else ROOT / "docs" / path.parent.relative_to(PAGES)
        text = for_the_site(path.read_text(encoding="utf-8"), path.parent, written_in)
        path.write_text(text, encoding="utf-8")


def for_the_site(text: str, folder: Path, written_in: Path) -> str:
    """A page in `folder` with its links led to the site's pages; a file that is no page is copied beside them.

    Args:
      text: Markdown whose links hold in the folder `written_in` of the repository.
      folder: Where the page is, in build/docs.
      written_in: See `text`.
    """

    def led(match: re.Match) -> str:
        target, anchor = match.group(1), match.group(2) or ""
        if re.match(r"[a-z]+:", target) or (folder / target).is_file():
            return match.group()
        in_repository = (written_in / target).resolve().relative_to(ROOT)
        name = in_repository.as_posix()
        if name == "README.md":
            page = PAGES / "index.md"
        elif name in TOP_PAGES:
            page = PAGES / TOP_PAGES[name]
        elif in_repository.parts[0] == "docs":
            page = (PAGES / in_repository.relative_to("docs")).with_suffix(".md")
            page = page if page.is_file() else PAGES / in_repository.relative_to("docs") / "README.md"
        else:
            page = PAGES / "source" / in_repository
            page.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / in_repository, page)
        return f"]({Path(os.path.relpath(page, folder)).as_posix()}{anchor})"

    return links.outside_code(text, lambda prose: re.sub(r"\]\(<?([^)#>\s]+)(#[^)>\s]*)?>?\)", led, prose))


def navigation(entries: list[Any]) -> tuple[list[Any], list[str]]:
    """The navigation with its patterns filled in, and the pages that are not in it."""
    listed: set[str] = set()

    def filled(entry: Any) -> list[Any]:
        if isinstance(entry, dict):
            [(title, value)] = entry.items()
            if isinstance(value, str) and "*" not in value:
                listed.add(value)
                return [entry]
            return [{title: [page for one in ([value] if isinstance(value, str) else value) for page in filled(one)]}]
        pages = sorted(PAGES.glob(entry), key=lambda path: (path.name != "README.md", path.stem))
        names = [page.relative_to(PAGES).as_posix() for page in pages]
        new = [name for name in names if name not in listed]
        listed.update(names)
        return list(new)

    nav = [page for entry in entries for page in filled(entry)]
    every = {path.relative_to(PAGES).as_posix() for path in PAGES.rglob("*.md")}
    return nav, sorted(every - listed)


def write_config(nav: list[Any]) -> None:
    """Writes the settings that zensical reads: those of mkdocs.yml, with this navigation and these paths."""
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    settings |= {"nav": nav, "docs_dir": PAGES.name, "site_dir": BUILT.name}
    handler = settings["plugins"][1]["mkdocstrings"]["handlers"]["python"]
    handler["paths"] = [str(ROOT)]
    handler["options"]["extensions"] = [str(ROOT / "tools" / "docs" / "house_docstrings.py")]
    CONFIG.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
