"""Messages for bad input end alike; suggestions of the nearest word."""

import ast
import re
from pathlib import Path

import pytest

from care_tf.errors import did_you_mean

ROOT = Path(__file__).resolve().parents[1]
# What may end a message because it ends with a period itself: another InputError, a suggestion, a whole sentence.
ENDED = ("error", "did_you_mean", "suggestion", "contradiction", "_CONTRACT")


def ends_of(node: ast.expr) -> list[str]:
    """The last text of a message, "{name}" for a value that is filled in; of both branches where there are two."""
    if isinstance(node, ast.BinOp):
        return ends_of(node.right)
    if isinstance(node, ast.IfExp):
        return ends_of(node.body) + ends_of(node.orelse)
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[-1], ast.Constant):
        return [str(node.values[-1].value)]
    return [f"{{{ast.unparse(node.values[-1].value if isinstance(node, ast.JoinedStr) else node)}}}"]


def is_ended(end: str) -> bool:
    return end.startswith("{") and any(word in end for word in ENDED)


def messages(tree: ast.Module) -> list[ast.expr]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    return [call.args[0] for call in calls if getattr(call.func, "id", "") == "InputError"]


def messages_without_an_end(source: str) -> list[str]:
    ends = [end for message in messages(ast.parse(source)) for end in ends_of(message)]
    return [end for end in ends if end and not end.endswith(".") and not is_ended(end)]


def starts_of(node: ast.expr) -> list[str]:
    """The first text of a message, "" for a value that is filled in; of both branches where there are two."""
    if isinstance(node, ast.BinOp):
        return starts_of(node.left)
    if isinstance(node, ast.IfExp):
        return starts_of(node.body) + starts_of(node.orelse)
    first = node.values[0] if isinstance(node, ast.JoinedStr) else node
    return [str(first.value)] if isinstance(first, ast.Constant) else [""]


def lower_case_starts(source: str) -> list[str]:
    """The starts that are neither a capital letter nor code: a word like `image_size`, or an argument of the module."""
    tree = ast.parse(source)
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    arguments |= {ast.unparse(node.target) for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)}
    starts = [start for message in messages(tree) for start in starts_of(message) if start[:1].islower()]
    words = {start: start.split()[0] for start in starts}
    return [start for start, word in words.items() if word not in arguments and not re.search(r"[_.=]", word)]


def test_every_message_ends_with_a_period():
    bad = {path.relative_to(ROOT): messages_without_an_end(path.read_text()) for path in ROOT.glob("care_tf/**/*.py")}
    assert {path: ends for path, ends in bad.items() if ends} == {}


def test_every_message_starts_with_a_capital_letter_or_code():
    bad = {path.relative_to(ROOT): lower_case_starts(path.read_text()) for path in ROOT.glob("care_tf/**/*.py")}
    assert {path: starts for path, starts in bad.items() if starts} == {}


def test_other_starts_are_seen():
    assert lower_case_starts('InputError(f"no {value}.")\nInputError("no" if x else "No")') == ["no ", "no"]
    assert lower_case_starts('def f(seed): InputError("seed is"), InputError("a_b is"), InputError(f"{x} is")') == []


def test_what_was_received_is_a_sentence_of_its_own():
    assert [path for path in ROOT.glob("care_tf/**/*.py") if "; received " in path.read_text()] == []


def test_no_message_advises_to_delete():
    """What stands in the way may be somebody's work."""
    advice = re.compile(r"\b(remove|delete|erase)\b", re.IGNORECASE)
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.glob("care_tf/**/*.py")}
    texts = [(path.name, ast.unparse(text)) for path, tree in trees.items() for text in messages(tree)]
    assert [(name, text) for name, text in texts if advice.search(text)] == []


@pytest.mark.parametrize(
    "source",
    [
        'InputError("no")',
        'InputError(f"no {value}")',
        'InputError("a." + (f"b {c}" if d else "e."))',
        "InputError(text)",
    ],
)
def test_other_ends_are_seen(source):
    assert len(messages_without_an_end(source)) == 1


def test_the_nearest_word_is_suggested_and_a_far_one_is_not():
    assert did_you_mean("focel", ["focal", "ldam"]) == " Did you mean 'focal'?"
    assert did_you_mean("hinge", ["focal", "ldam"]) == ""
