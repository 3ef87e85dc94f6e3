"""Writes docs/results.md and its plots from docs/results/, and takes comparisons over into docs/results/.

python tools/docs/results_page.py            the page, from what docs/results/ holds
python tools/docs/results_page.py STUDIES    first keeps the comparisons STUDIES/NAME as docs/results/NAME.json
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import results_plot
import results_questions
from results_tables import evidence, folded, how_sure, sizes, table, values_table
from results_words import in_order, name_of, twins_of, without_twins

from care_tf.errors import InputError
from care_tf.files import write_text
from care_tf.runs.comparison_extract import ComparisonExtract, extract_comparison, read_extract, write_extract

_NOT_RUN = """Planned and not run: five seeds and all methods with frames on 50 and 70 % (two seeds, four methods),
five seeds with frames on all (three); three seeds, cross entropy, random boxes, cropping and other
supervised methods with the square on all (two seeds, five methods); ISIC 2018 fine-tuned on all four
folds with two seeds and all nevi (two folds, one seed, nevi capped; with EfficientNet-Lite0 one fold,
the last block alone), and there cropping and painting; stickers, rulers, ink, hair and letters, for
which there are [traps](traps.md); the reversed and the clean tests of the traps, which `care evaluate
--split` gives; learned masks beside a fixed square in the middle; any network or image size but these.
With another share of frames the number of melanomas differs, too, so that the plot is not of the share
alone."""
_ELSEWHERE = """Others report the accuracy of the worst group, in percent, of other networks and at other settings: no
figure here compares with them.

| images | plain | guided | source |
|---|---|---|---|
| Waterbirds-100, boxes on 1 % of the training images | 43.4 | energy 56.1, L1 51.1 | Rao et al., ICCV 2023 |
| ISIC with colour patches | 51.7 | RRR 63.0, R4 71.5, random perturbation 78.2 | the R4 paper, TMLR 2025 |
| decoy dermatology (HAM10000, 64 px, corner swatch) | 48.4 | RRR 68.3, R4 78.1 | the same |
| decoy MNIST | 22.4 | RRR 85.4, R4 94.8 | the same |"""
_EARLIER = """Lesion reliance of this comparison was measured with an earlier filling, which left part of a large lesion
to be seen: too low, the more so the larger the lesion."""
DOCS = Path(__file__).resolve().parents[2] / "docs"
_INTRODUCTION = """# Results

Do boxes around lesions teach a classifier to look at the lesion, and are its answers better for it? Most comparisons
train on skin images where a *cue* beside the lesion, a dark frame or a drawn square, goes with the class in a share of
the images (50 %: it tells nothing; 100 %: always), and test where it does not ([traps](traps.md)); the baseline, CSL,
weights the classes and uses no boxes. A figure *rises* or *falls* only where that is **shown**: the 95 % interval of
the paired difference, over the lesions tested, excludes 0, and every trained model has the difference's sign."""
_READING = """*Methods.* CARE and energy draw the attention map into the boxes; perturbation and input gradient ask that
pixels outside do not matter to the answer, *swapped surroundings* that it stays when those pixels are exchanged with
another image's. Simple rivals: *cropping* and *painting* train on images without what lies outside the boxes, *random
boxes* are CARE with boxes of the same sizes elsewhere, which still cover half of a large lesion.

*Figures.* Mean class accuracy is balanced accuracy; the lowest recall is that of any class, with or without the cue.
Lesion reliance is above 0 where the lesion moves the output more than its surroundings do ([judging](judging.md)).
Differences are in points, those of areas (macro AUC, average precision) in fractions. Bold: shown, decided before
rounding. All else is *not shown*, which does not say that there is no difference. An interval is of the lesions tested
and these trained models: trained again, a method comes out otherwise, which the sign of each model guards against in
part, the less the fewer seeds there are. Nothing is adjusted for the number of comparisons. A recall stands beside its
precision and the difference at equal calls.

`tools/docs/results_page.py` makes this page, its sentences included, of [the figures](#studies-and-methods) and nothing
else. Before: [earlier results](earlier_results.md), [the paper's tables](reproduction_results.md)."""


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
    twins = {name: twins_of(extract) for name, extract in studies.items()}
    studies = {name: without_twins(extract) for name, extract in studies.items()}
    found = {question: answered(studies) for question, answered in results_questions.QUESTIONS.items()}
    answers = {question: answer for question, answer in found.items() if answer is not None}
    open_questions = [question for question, answer in found.items() if answer is None]
    shares = [*results_questions.FRAMES, *results_questions.DECOYS]
    missing = "; ".join(results_questions.STUDIES[name] for name in shares if name not in studies)
    not_run = " ".join([*open_questions, *([f"Comparisons: {missing}."] if missing else [])])
    rows = [
        [f"[{question}](#{_anchor(question)})", answer.sentence, evidence(answer.studies)]
        for question, answer in answers.items()
    ]
    rows += [["Not run yet", not_run, ""]] if not_run else []
    short = f"## In short\n\n{table(['question', 'answer', 'how sure'], rows)}"
    sections = [_section(question, answer) for question, answer in answers.items()]
    return "\n\n".join([_INTRODUCTION, short, _READING, *sections, _studies(studies, twins)]) + "\n"


def _anchor(heading: str) -> str:
    return "-".join(re.findall(r"\w+", heading.lower()))


def _section(question: str, answer: results_questions.Answer) -> str:
    parts = [f"## {question}", f"**{answer.sentence}**", answer.shown]
    parts += [f"*How sure.* {how_sure(answer.studies, answer.differences)}"]
    parts += [folded("All differences", answer.differences)]
    return "\n\n".join(parts)


def _studies(studies: Mapping[str, ComparisonExtract], twins: Mapping[str, Mapping[str, str]]) -> str:
    """How the methods of each comparison were trained and tested, what their names stand for, and what was not run."""
    settings, rows, figures = list(dict.fromkeys(extract.setting for extract in studies.values())), [], []
    for name, extract in studies.items():
        title = results_questions.STUDIES[name]
        trained = ", ".join(f"{count:,} of {label}" for label, count in extract.training_images.items())
        tested = "{:,} of {:,} lesions".format(*sizes(extract))
        cells = [f"[{title}](results/{name}.json)", trained, tested, str(len(extract.seeds)), str(len(extract.folds))]
        rows.append([*cells, extract.setting if len(settings) > 1 else ""])
        earlier = f"\n\n{_EARLIER}" if name in results_questions.EARLIER_FILLING else ""
        figures.append(folded(f"Own figures, shares in percent: {title}", values_table(extract) + earlier))
    titles = dict.fromkeys(  # pairs: a name may have another title in another comparison
        (name_of(extract, method), extract.titles[method])
        for extract in studies.values()
        for method in in_order(list(extract.titles))
    )
    trained = table(["comparison", "images trained on", "images tested", "seeds", "folds", "training"], rows)
    names = table(["here", "title of the configuration"], [[*each] for each in titles])
    common = [f"Training, everywhere: {settings[0]}."] if len(settings) == 1 else []
    same = [
        f"In {results_questions.STUDIES[name]} the methods {method} and {other} are one training, and stand here once."
        for name, each in twins.items()
        for method, other in each.items()
    ]
    tables = [trained, names, *same, _NOT_RUN, _ELSEWHERE] if studies else []
    return "\n\n".join(["## Studies and methods", *common, *tables, *figures])


if __name__ == "__main__":
    sys.exit(main())
