import sys

import pytest
from command_line import run_tool


@pytest.fixture
def run_main(monkeypatch, capsys, tmp_path):
    """Runs a tool's `main` in tmp_path as the command line would; returns exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(main, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{main.__module__}.py", *map(str, arguments)])
        code = 0
        try:
            run_tool(main)
        except SystemExit as exit_:
            code = exit_.code
        return code, *capsys.readouterr()

    return run
