"""Writes docs/results.md and its plots from docs/results/, and takes comparisons over into docs/results/.

python tools/docs/results_page.py            the page, from what docs/results/ holds
python tools/docs/results_page.py STUDIES    first keeps the comparisons STUDIES/NAME as docs/results/NAME.json
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import results_plot
import results_questions
import results_tables
import results_words

from care_tf.errors import InputError
from care_tf.files import write_text
from care_tf.runs.comparison_extract import ComparisonExtract, extract_comparison, read_extract, write_extract

DOCS = Path(__file__).resolve().parents[2] / "docs"
_INTRODUCTION = """# Results

What comparisons showed, question by question. **Shown** means: the 95 % interval of the paired difference, over the
lesions tested, excludes 0 (bold). All else is *not shown*. The randomness of training is not in the intervals; † says
that all trained models have one sign. Nothing is adjusted for the number of comparisons.

Differences are in points, those of areas (macro AUC, average precision) in fractions. Mean class accuracy is balanced
accuracy. The lowest recall is that of any class, with or without the cue. A recall stands beside its precision and the
difference at equal calls ([judging](judging.md)); the data are the [traps](traps.md). `tools/docs/results_page.py`
makes this page, its sentences included, of [the figures](#methods-and-figures) and nothing else. Before:
[earlier results](earlier_results.md), [the paper's tables](reproduction_results.md)."""


def main(arguments: Sequence[str] | None = None, docs: Path = DOCS) -> int:
    """Takes over the comparisons of a folder, if one is named, and writes the page and its plots."""
    parser = argparse.ArgumentParser(description="Writes docs/results.md from docs/results/.")
    parser.add_argument("studies", type=Path, nargs="?", help="Folder with comparisons NAME to keep first.")
    folder = parser.parse_args(arguments).studies
    try:
        if folder is not None:
            keep_comparisons(folder, docs)
        write_page(docs)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def keep_comparisons(folder: Path, docs: Path) -> None:
    """Keeps every known comparison of a folder as docs/results/NAME.json.

    Raises:
      InputError: None is there, or one cannot be read; then nothing is written.
    """
    names = [name for name in results_questions.STUDIES if (folder / name).is_dir()]
    if not names:
        raise InputError(
            f"The folder of the comparisons must hold one of {', '.join(results_questions.STUDIES)}. Received {folder} "
            "without any. Name the folder above them."
        )
    found = {}
    for name in names:
        group, pairs = results_questions.groups_of(name)
        found[name] = extract_comparison(folder / name, results_questions.rivals_of, group, pairs)
    results_questions.check_studies(found)
    for name, extract in found.items():
        write_extract(docs / "results" / f"{name}.json", extract)


def write_page(docs: Path) -> None:
    """Writes docs/results.md and docs/images/results_*.png from docs/results/."""
    studies = read_studies(docs)
    for kind, names in (("frame", results_questions.FRAMES), ("decoy", results_questions.DECOYS)):
        here = [studies[name] for name in names if name in studies]
        if here:
            results_plot.write_gain_plot(docs / "images" / f"results_{kind}.png", here)
    write_text(docs / "results.md", page(studies))


def read_studies(docs: Path) -> dict[str, ComparisonExtract]:
    """What docs/results/ keeps, in the order of the page.

    Raises:
      InputError: A file is damaged, of a comparison that the page does not know, or of another share than its name.
    """
    found = {path.stem: read_extract(path) for path in sorted((docs / "results").glob("*.json"))}
    results_questions.check_studies(found)
    return {name: found[name] for name in results_questions.STUDIES if name in found}


def page(studies: Mapping[str, ComparisonExtract]) -> str:
    """The page as Markdown."""
    missing = [name for name in results_questions.STUDIES if name not in studies]
    parts = [_INTRODUCTION]
    parts += [f"Not run yet: {', '.join(missing)}."] if missing else []
    parts += [_section(question, answer, studies) for question, answer in results_questions.QUESTIONS.items()]
    return "\n\n".join([*parts, _methods(studies)]) + "\n"


def _section(
    question: str,
    answered: Callable[[Mapping[str, ComparisonExtract]], results_questions.Answer],
    studies: Mapping[str, ComparisonExtract],
) -> str:
    answer = answered(studies)
    sure = f"*How sure.* {answer.sure}" if answer.sure else ""
    parts = [f"## {question}", f"**{answer.sentence}**", answer.shown, sure, answer.all_figures]
    return "\n\n".join(filter(None, parts))


def _methods(studies: Mapping[str, ComparisonExtract]) -> str:
    """What the names of the methods stand for, and the files of figures."""
    titles = dict.fromkeys(  # pairs: a name may have another title in another comparison
        (results_words.name_of(extract, method), extract.titles[method])
        for extract in studies.values()
        for method in results_words.in_order(list(extract.titles))
    )
    kept = ", ".join(f"[{name}](results/{name}.json)" for name in studies) or "none yet"
    names = results_tables.table(["here", "title of the configuration"], [[*each] for each in titles])
    return "\n\n".join(["## Methods and figures", *([names] if titles else []), f"Figures: {kept}."])


if __name__ == "__main__":
    sys.exit(main())
