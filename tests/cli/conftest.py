import pytest
from click.testing import CliRunner


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs a command in tmp_path as the command line would; returns exit code, stdout, stderr. A defect is raised."""
    monkeypatch.chdir(tmp_path)

    def run(command, *arguments):
        result = CliRunner().invoke(command, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture
def refuses(run):
    """Runs a command that must end with code 2 and one line; returns the line."""

    def refuses(command, *arguments):
        code, out, err = run(command, *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ") and len(err.splitlines()) == 1
        return err

    return refuses
