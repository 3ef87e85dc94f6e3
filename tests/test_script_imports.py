"""What the benchmarks and tools take from the package is there: no other test runs them all."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path for folder in ("benchmarks", "tools") for path in (ROOT / folder).rglob("*.py"))


def imported_names(script):
    """(module, name) of every `from care_tf... import name`, wherever it stands."""
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "care_tf":
            yield from ((node.module, alias.name) for alias in node.names)


def is_there(module, name):
    """Whether the import would work: a name of the module, or a module of the package."""
    found = importlib.import_module(module)
    if not hasattr(found, name) and hasattr(found, "__path__"):
        importlib.import_module(f"{module}.{name}")
    return hasattr(found, name)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_script_imports_from_the_package_is_there(script):
    assert [f"{module}.{name}" for module, name in imported_names(script) if not is_there(module, name)] == []
