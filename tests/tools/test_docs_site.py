"""What the documentation site is generated from and checked for; `make docs` builds it."""

import sys
from pathlib import Path

import click
import pydantic
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "docs"))

pytest.importorskip("griffe", reason="needs requirements-docs.txt")

import api_pages  # noqa: E402
import command_page  # noqa: E402
import configuration_page  # noqa: E402
import house_docstrings  # noqa: E402
import links  # noqa: E402
import shell_lines  # noqa: E402


def test_the_configuration_reference_has_every_key_of_the_schema():
    from care_tf.data import Augmentation
    from care_tf.runs import config
    from care_tf.runs._stage import Stage

    written = {
        name: {key.name: key.default for key in configuration_page.keys(node)}
        for name, node in configuration_page._classes(ROOT).items()
        if name in configuration_page._SECTIONS
    }
    sections = [value for value in vars(config).values() if isinstance(value, type)]
    schema = {kind.__name__: kind.model_fields for kind in sections if issubclass(kind, pydantic.BaseModel)}
    del schema["_Section"]
    for kind in (Stage, Augmentation):
        schema[kind.__name__] = kind.__dataclass_fields__
    assert {name: list(fields) for name, fields in written.items()} == {
        name: list(fields) for name, fields in schema.items()
    }
    required = {f"{name}.{key}" for name, fields in written.items() for key in fields if fields[key] is None}
    assert required == {
        "RunConfig.data", "RunConfig.model", "RunConfig.output", "RunConfig.stages", "DataConfig.image_size_px",
        "DataConfig.manifest", "DataConfig.test", "DataConfig.train", "ModelConfig.backbone", "Stage.epochs",
        "Stage.name",
    }  # fmt: skip


def test_the_stages_choices_are_all_described():
    from care_tf.data.sampling import SAMPLING
    from care_tf.losses import CLASSIFICATION_LOSSES, EMBEDDING_LOSSES
    from care_tf.losses.class_weights import CLASS_WEIGHTS
    from care_tf.network.decoupled_classifier import CLASSIFIER_CHANGES

    keys = {key.name: key for key in configuration_page.keys(configuration_page._classes(ROOT)["Stage"])}
    registries = {
        "loss": CLASSIFICATION_LOSSES,
        "class_weight": CLASS_WEIGHTS,
        "embedding_loss": EMBEDDING_LOSSES,
        "sampling": SAMPLING,
        "classifier": CLASSIFIER_CHANGES,
    }
    assert {
        key: [name for name in registry if f"`{name}`" not in keys[key].meaning] for key, registry in registries.items()
    } == {key: [] for key in registries}


def test_a_key_without_a_meaning_is_refused():
    import ast

    [node] = ast.parse(
        'class Section:\n    """A section.\n\n    Attributes:\n      a: One.\n    """\n\n    b: int = 1'
    ).body
    with pytest.raises(ValueError, match=r"Section\.b is not in the class's docstring"):
        configuration_page.keys(node)


def test_the_command_reference_has_every_command():
    page = command_page.page()
    for command in ("care train", "care boxes make", "care prepare isic2018", "care configs", "care configs show"):
        assert f"\n## `{command}`\n" in page
    assert "| `--overwrite` |" in page and "--help" not in page.split("## `care train`")[1]


def test_the_api_reference_lists_each_definition_once():
    pages = api_pages.pages(ROOT)
    listed = [line for page in pages.values() for line in page.splitlines() if line.startswith("::: ")]
    assert len(listed) == len(set(listed)) > 80
    assert "::: care_tf.model.CAREModel" in listed
    assert "::: care_tf.boxes.manifest_from_folders" in listed
    assert "::: care_tf.boxes.exchange.manifest_from_folders" not in listed


def test_docstrings_are_rewritten():
    text = "Adds.\n\ny = a + b\n\nArgs:\n  a, b: Numbers,\n    two.\n  *c: More.\n\nSource: Euclid,\n  book 7."
    assert house_docstrings.rewritten(text) == (
        "Adds.\n\n```text\ny = a + b\n```\n\nArgs:\n  a: Numbers,\n    two.\n  b: Numbers,\n    two.\n  *c: More.\n\n"
        "**Source.** Euclid, book 7.\n"
    )


def test_dead_links_are_found(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text(
        "# A `b` c\n[x](#a-b-c) [y](../README.md#no) `[z](no.md)`\n```\n[z](no.md)\n```"
    )
    (tmp_path / "README.md").write_text("# R\n[x](docs/a.md#a-b-c) [y](docs/no.md) [z](https://example.org/no)\n")
    assert links.dead_links(tmp_path) == [
        "README.md: the link docs/no.md leads nowhere.",
        "docs/a.md: the link ../README.md#no leads to a heading that README.md does not have.",
    ]
    (tmp_path / "a.html").write_text('<a href="b.html#x"></a><a href="b.html#y"></a><script src="https://x.org/s.js">')
    (tmp_path / "b.html").write_text('<p id="x"></p><img src="no.png">')
    assert links.problems_of_site(tmp_path) == [
        "a.html loads https://x.org/s.js from the net.",
        "a.html: b.html#y leads to an anchor that does not exist.",
        "b.html: no.png leads nowhere.",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("care trian isic2018/care", "no command 'trian'"),
        ("care boxes make m.csv --method bms --clases DF --output b.csv", "--clases"),
        ("care evaluate", "Missing argument 'RUN'"),
        ("care boxes review", "Missing argument 'MANIFEST'"),
    ],
)
def test_wrong_command_lines_are_found(line, message):
    [words] = shell_lines.care_lines(f"```sh\n{line}\n```")
    with pytest.raises(click.ClickException) as caught:
        shell_lines.parsed(words)
    assert message in caught.value.format_message()


def test_the_documents_configurations_exist():
    from care_tf.cli.options import split_words
    from care_tf.runs.config import load_config

    lines = [
        words for page in links.documents(ROOT) for words in shell_lines.care_lines(page.read_text(encoding="utf-8"))
    ]
    trained = []
    for line in lines:
        command, parameters = shell_lines.parsed(line)
        if command.name == "train" and "words" in parameters:
            [name], changes = split_words(parameters["words"])
            trained.append(load_config(name, changes))
    assert len(lines) > 40 and len(trained) > 4
