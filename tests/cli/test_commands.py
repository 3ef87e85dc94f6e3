"""How every command behaves: help, suggestions, one line and code 2, Ctrl-C, defects, what it imports."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from care_tf.cli import options
from care_tf.cli.care import care
from care_tf.cli.commands import Command, Option, command_line
from care_tf.errors import InputError
from care_tf.tensorflow_start import quiet_tensorflow
from care_tf.version import __version__

ROOT = Path(__file__).resolve().parents[2]


def all_commands(command=care, words=()):
    """Every command and group with the words that name it."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from all_commands(command.get_command(context, name), (*words, name))


COMMANDS = dict(all_commands())


@click.command("toy", cls=Command, example="toy --names a b")
@click.option("--names", cls=Option, joined_by=",")
@click.option("--size", cls=Option, joined_by="x", formerly="--size-px")
@click.option("--replace", cls=Option, is_flag=True, formerly="--force")
@click.argument("words", nargs=-1)
@click.pass_context
def toy(context, **values):
    if values.pop("words"):
        raise InputError(str(command_line(context)))
    raise ShownError(values)


class ShownError(Exception):
    """What reached the command."""


def values_of(*words):
    result = CliRunner().invoke(toy, words)
    assert isinstance(result.exception, ShownError), result.output
    return result.exception.args[0]


def test_the_commands_are_those_of_the_documentation():
    assert {" ".join(words) for words, command in COMMANDS.items() if not isinstance(command, click.Group)} == {
        *(
            "train",
            "calibrate",
            "evaluate",
            "predict",
            "serve",
            "compare",
            "check",
            "maps",
            "reproduce",
            "export",
            "demo",
            "configs show",
            "check-device",
        ),
        "completion",
        *("prepare isic2018", "prepare rsna", "prepare folders", "prepare synthetic", "prepare shards", "prepare trap"),
        "prepare weights",
        "segment train",
        *("boxes make", "boxes import", "boxes export", "boxes judge", "boxes review"),
    }


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_a_purpose_and_an_example(words):
    result = CliRunner().invoke(care, [*words, "--help"], prog_name="care")
    assert (result.exit_code, result.stderr) == (0, "")
    usage, _, purpose = result.stdout.splitlines()[:3]
    assert usage.startswith(" ".join(["Usage: care", *words]))
    assert purpose.strip().split(".")[0] and len(purpose) <= 80
    example = result.stdout.partition("\nExample:\n")[2]
    assert all(line.strip().startswith(("care ", "eval ")) for line in example.splitlines()) and example
    assert "..." not in result.stdout.partition("\nCommands:\n")[2]  # no purpose is cut off


def test_examples_can_be_parsed(monkeypatch):
    """An example with an option that is not there, or without one that is required, would be worse than none."""
    monkeypatch.setattr(options.Checked, "convert", click.Path.convert)  # what examples name does not exist
    for words, command in COMMANDS.items():
        for line in command._example.splitlines():
            if not line.startswith("care ") or ">" in line:
                continue
            given = line.split()[1:]
            target = next(
                known for known in sorted(COMMANDS, key=len, reverse=True) if tuple(given[: len(known)]) == known
            )
            assert COMMANDS[target].make_context("care", given[len(target) :]), words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "There is no command trian. Did you mean train? See care --help."),
        (["boxes", "improt"], "There is no command improt. Did you mean import? See care boxes --help."),
        (["segment", "xyz"], "There is no command xyz. See care segment --help."),
        (["maps", "run", "--ouput", "x"], "--output?)"),
        (["boxes", "export", "m.csv", "--format", "pdf", "--output", "x"], "pdf is not one of coco"),
        (["prepare", "synthetic"], "Missing option --output. See care prepare synthetic --help."),
        (["predict", "run", "a.jpg", "--output", "x"], "run must be a run folder"),
    ],
)
def test_what_is_wrong_is_one_line_with_code_2(words, message):
    result = CliRunner().invoke(care, words, prog_name="care")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ") and message in line.replace("'", "")


def test_a_group_alone_shows_its_help():
    result = CliRunner().invoke(care, ["boxes"], prog_name="care")
    assert result.exit_code == 2 and "Commands:\n  make " in result.stderr


def test_the_version():
    assert CliRunner().invoke(care, ["--version"]).stdout == f"care, version {__version__}\n"


@pytest.mark.parametrize("defect", [ValueError, KeyError, OSError, EOFError])
def test_a_defect_keeps_its_traceback(defect):
    @click.command("broken", cls=Command, example="broken")
    def broken():
        raise defect("not the user's fault")

    assert isinstance(CliRunner().invoke(broken).exception, defect)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "m.csv"), "error: m.csv cannot be used: Permission denied."),
        (OSError(28, "No space left on device", "out"), "error: out cannot be used: No space left on device."),
        (type("ResourceExhaustedError", (Exception,), {})("OOM"), "Lower the batch size"),
        (InputError("line 2:\x1b[2J\nand more"), "error: line 2: [2J and more"),
    ],
)
def test_what_the_machine_denies_and_what_steers_a_terminal_is_one_plain_line(error, message):
    @click.command(cls=Command, example="failing")
    def failing():
        raise error

    result = CliRunner().invoke(failing, [])
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr and result.stderr.count("\n") == 1


def test_ctrl_c_is_exit_code_130():
    @click.command("long", cls=Command, example="long")
    def long():
        raise KeyboardInterrupt

    result = CliRunner().invoke(long)
    assert (result.exit_code, result.stderr.strip()) == (130, "interrupted")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("Invalid affine matrix"), 130, "interrupted (ValueError: Invalid affine matrix)"),
        (InputError("Not saved."), 2, "error: Not saved."),
    ],
)
def test_an_error_that_a_compiled_library_makes_of_a_ctrl_c_is_none_of_ours(error, code, said, interruptible):
    """One with a message for the user stays: a Ctrl-C may be a command's ordinary end, and what comes then counts."""

    @click.command("drawing", cls=Command, example="drawing")
    def drawing():
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        raise error

    result = CliRunner().invoke(drawing)
    assert (result.exit_code, result.stderr.strip()) == (code, said)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--names", "a", "b"], {"names": "a,b"}),
        (["--names", "a,b", "--replace"], {"names": "a,b", "replace": True}),
        (["--names=a"], {"names": "a"}),
        (["--names", "--replace"], {"names": "", "replace": True}),
        (["--size", "20", "30"], {"size": "20x30"}),
        (["--size", "20x30"], {"size": "20x30"}),
        (["--size-px", "20", "--force"], {"size": "20", "replace": True}),
        (["--size-px=20"], {"size": "20"}),
    ],
)
def test_several_words_become_one_value_and_former_names_work(words, expected):
    assert values_of(*words) == {"names": None, "size": None, "replace": False} | expected


def test_what_follows_a_double_dash_is_taken_as_it_is():
    result = CliRunner().invoke(toy, ["--names", "a", "--", "--force"], prog_name="care toy")
    assert result.stderr == "error: ['care', 'toy', '--names', 'a', '--', '--force']\n"


def test_help_does_not_show_former_names():
    assert "--force" not in CliRunner().invoke(toy, ["--help"]).stdout


def test_a_chosen_log_level_is_kept(monkeypatch, tmp_path):
    # In the place of TensorFlow, whose start takes seconds.
    (tmp_path / "tensorflow.py").write_text("class config:\n    list_physical_devices = print\ndef zeros(shape): pass")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    level = "import os; from care_tf.tensorflow_start import quiet_tensorflow as start; start()"
    level += "; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    assert python(level).stdout == "\n0\n"
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    assert python(level).stdout == "\n2\n"


def test_the_output_of_a_process_that_has_imported_tensorflow_is_left_alone(monkeypatch):
    redirected = []
    with monkeypatch.context() as patch:  # pytest's capturing redirects too, after the test
        patch.setitem(sys.modules, "tensorflow", object())
        patch.setattr(os, "dup2", lambda *descriptors: redirected.append(descriptors))
        quiet_tensorflow()
    assert not redirected


def python(program, *words):
    return subprocess.run(
        [sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )


RUN_AND_LIST_MODULES = """
import sys
from care_tf.cli import main
try:
    main()
except SystemExit:
    heavy = {"tensorflow", "keras", "numpy", "pydantic", "yaml", "cv2", "pandas", "rich"}
    print(*sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("words", [["--help"], ["boxes", "--help"], ["train", "--help"], ["configs"]], ids=" ".join)
def test_nothing_heavy_loads_that_is_not_needed_and_it_is_quick(words):
    """In CPU time, which other processes do not stretch; 0.15 s measured, and 5 s with TensorFlow."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert python(RUN_AND_LIST_MODULES, *words).stderr.split() == []
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0
