"""Messages for bad input end alike; suggestions of the nearest word."""

import ast
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


def messages_without_an_end(source: str) -> list[str]:
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    named = [call for call in calls if getattr(call.func, "id", "") == "InputError"]
    ends = [end for call in named for end in ends_of(call.args[0])]
    return [end for end in ends if end and not end.endswith(".") and not is_ended(end)]


def test_every_message_ends_with_a_period():
    bad = {path.relative_to(ROOT): messages_without_an_end(path.read_text()) for path in ROOT.glob("care_tf/**/*.py")}
    assert {path: ends for path, ends in bad.items() if ends} == {}


def test_what_was_received_is_a_sentence_of_its_own():
    assert [path for path in ROOT.glob("care_tf/**/*.py") if "; received " in path.read_text()] == []


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
