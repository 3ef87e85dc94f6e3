"""The API reference: a page for each package, with the names of its `__all__`; mkdocstrings fills in the docstrings."""

import ast
from pathlib import Path

_START = """# API reference

The public names, read from their docstrings. `import care_tf` loads neither TensorFlow nor Keras: names resolve when
they are first used. What is not listed here may change without notice.

| package | what is in it |
|---|---|
"""


def pages(root: Path) -> dict[str, str]:
    """File name -> Markdown: an overview, and a page for each package that has public names."""
    stubs = sorted(root.glob("care_tf/*/**/__init__.pyi"))
    found: dict[str, str] = {}
    seen: dict[str, str] = {}
    overview = [_START]
    for stub in stubs:
        package = ".".join(stub.parent.relative_to(root).parts)
        summary = _summary(stub.with_suffix(".py"))
        overview.append(f"| [`{package}`]({package}.md) | {summary} |\n")
        parts = [f"# `{package}`\n\n{summary}\n"]
        for name, origin in _public_names(stub).items():
            if origin in seen:
                parts.append(f"\n## `{name}`\n\nThe same as [`{seen[origin]}.{name}`][{seen[origin]}.{name}].\n")
                continue
            seen[origin] = package
            parts.append(f"\n::: {package}.{name}\n")
        found[f"reference/api/{package}.md"] = "".join(parts)
    overview.append("\n## Names of `care_tf` itself\n\n")
    root_stub = root / "care_tf" / "__init__.pyi"
    for name, origin in _public_names(root_stub).items():
        if origin in seen:
            overview.append(f"- [`care_tf.{name}`][{seen[origin]}.{name}]\n")
    found["reference/api/README.md"] = "".join(overview)
    return found


def _summary(module: Path) -> str:
    return (ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or "").splitlines()[0]


def _public_names(stub: Path) -> dict[str, str]:
    """Public name -> where it is defined, in the order of `__all__`."""
    origins: dict[str, str] = {}
    listed: list[str] = []
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                origins[alias.name] = _definition(stub.parent, node.module, alias.name)
        elif isinstance(node, ast.Assign):
            listed = ast.literal_eval(node.value)
    return {name: origins[name] for name in listed if name in origins}


def _definition(package: Path, module: str, name: str) -> str:
    """File and name of a definition, through the packages that pass it on."""
    path = package.joinpath(*module.split(".")) if module else package
    stub = path / "__init__.pyi"
    if stub.exists():
        return _public_names(stub).get(name, f"{path}:{name}")
    return f"{path}:{name}"
