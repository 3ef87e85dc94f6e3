"""The configuration reference, read from the schema's source: a key's meaning is its entry in the class's docstring."""

import ast
import dataclasses
import re
from pathlib import Path

import griffe
from house_docstrings import rewritten

_START = """# Configuration

A run is a YAML file: which images, which classifier, how its attention is trained, and a list of stages. `care train
FILE key=value ...` trains it, and each `key=value` changes one key, such as `data.image_size_px=128`. `care configs`
lists the files that come with the package, and `care configs show NAME` prints one with every key filled in.

- `extends: FILE`, or a list of files, takes over their keys. Mappings are merged key by key; what comes later wins.
- `with=FILE` on the command line merges a file below those that extend others: `with=hardware/squeezenet_two_cores`.
- A key that is unknown, missing or out of range is refused before anything is loaded, all problems in one message.
- Where a *choice* has arguments, it is written `{name: focal, gamma: 2}`; [strategies](../strategies.md) lists what
  each computes. A name may also be a [function of your own](../strategies.md#your-own-functions), `module:function`.

The configuration of `care demo`, as an example:

"""
# Class of the schema -> its heading, and how its keys begin.
_SECTIONS = {
    "RunConfig": ("The run", ""),
    "DataConfig": ("`data`: the images", "data."),
    "Selection": ("`data.train`, `data.validation`, `data.test`: rows of the manifest", "data.train."),
    "ModelConfig": ("`model`: the classifier", "model."),
    "CareConfig": ("`care`: the attention loss", "care."),
    "MaskHeadConfig": ("`care.mask_head`: masks learned with the network", "care.mask_head."),
    "TrainingConfig": ("`training`: what all stages share", "training."),
    "Stage": ("`stages.NAME`: one stage of training", "stages.NAME."),
    "Augmentation": ("`stages.NAME.augmentation`: random changes of the images", "stages.NAME.augmentation."),
}
_FILES = ("runs/config.py", "runs/_stage.py", "data/augmentation.py")
_NAMES = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "`true` or `false`",
    "None": "`null`",
    "Any": "any value",
    "Setting": "choice",
    "PositiveInt": "whole number ≥ 1",
    "NonNegativeInt": "whole number ≥ 0",
}
_LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@dataclasses.dataclass(frozen=True)
class Key:
    """One key of the configuration.

    Attributes:
      name: Its name in its section.
      kind: What it takes, for people.
      default: Its default as YAML writes it; None where it must be given.
      meaning: The entry of its class's docstring.
    """

    name: str
    kind: str
    default: str | None
    meaning: str


def page(root: Path) -> str:
    """The page, as Markdown."""
    parts = [_START, "```yaml\n", (root / "configs" / "demo.yaml").read_text(encoding="utf-8"), "```\n"]
    for name, (title, start) in _SECTIONS.items():
        node = _classes(root)[name]
        parts += [f"\n## {title}\n\n", _description(node), "\n\n| key | value | meaning |\n|---|---|---|\n"]
        for key in keys(node):
            value = key.kind if key.default is None else f"{key.kind}; default `{key.default}`"
            value = f"{value}; **required**" if key.default is None else value
            cells = (f"`{key.name}`{{ #{start}{key.name} }}", value, key.meaning)
            parts.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n")
    return "".join(parts)


def _classes(root: Path) -> dict[str, ast.ClassDef]:
    found: dict[str, ast.ClassDef] = {}
    for file in _FILES:
        tree = ast.parse((root / "care_tf" / file).read_text(encoding="utf-8"))
        found |= {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return found


def _sections(node: ast.ClassDef) -> list[griffe.DocstringSection]:
    return griffe.Docstring(rewritten(ast.get_docstring(node) or "")).parse("google", warnings=False)


def _description(node: ast.ClassDef) -> str:
    texts = [section.value for section in _sections(node) if section.kind is griffe.DocstringSectionKind.text]
    return texts[0] if texts else ""


def keys(node: ast.ClassDef) -> list[Key]:
    """The keys of a class of the schema, in its order.

    Raises:
      ValueError: A key has no entry in the docstring.
    """
    kinds = (griffe.DocstringSectionKind.attributes, griffe.DocstringSectionKind.parameters)
    entries = [item for section in _sections(node) if section.kind in kinds for item in section.value]
    meanings = {item.name: item.description for item in entries}
    found = []
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            name = field.target.id
            if name not in meanings:
                raise ValueError(f"{node.name}.{name} is not in the class's docstring. Say there what it means.")
            default, limits = _value(field.value)
            kind = _kind(field.annotation)
            kind = re.sub(r"\b(whole number|number)\b", rf"\1 {limits}", kind) if limits else kind
            found.append(Key(name, kind, default, _in_yaml(meanings[name])))
    return found


def _in_yaml(meaning: str) -> str:
    """A docstring's entry in one line, with values as YAML writes them: None is null, texts need no quotes."""
    text = re.sub(r"\bNone\b", "`null`", " ".join(meaning.split()))
    return re.sub(r'"([\w./:]+)"', r"`\1`", text)


def _kind(annotation: ast.expr) -> str:
    match annotation:
        case ast.BinOp(left, ast.BitOr(), right):
            return f"{_kind(left)} or {_kind(right)}"
        case ast.Constant(value):
            return _NAMES[str(value)]
        case ast.Name(name) | ast.Attribute(attr=name):
            return _NAMES.get(name, "mapping")
        case ast.Subscript(ast.Name("Literal"), choices):
            return " or ".join(f"`{choice}`" for choice in ast.literal_eval(choices))
        case ast.Subscript(ast.Name("dict"), ast.Tuple([key, value])):
            return f"mapping of {_kind(key)} to {_kind(value)}"
        case ast.Subscript(ast.Name("tuple"), ast.Tuple([one, ast.Constant(value=end)])) if end is ...:
            return "mapping of stages" if getattr(one, "id", "") == "Stage" else f"list of {_kind(one)}s"
        case ast.Subscript(ast.Name("tuple"), ast.Tuple(several)):
            return f"{len(several)} of: {_kind(several[0])}"
    raise ValueError(f"The type {ast.unparse(annotation)} has no words yet. Add them to {__file__}.")


def _value(value: ast.expr | None) -> tuple[str | None, str]:
    """The default as YAML writes it, None without one, and the limits."""
    match value:
        case None:
            return None, ""
        case ast.Call(ast.Attribute(attr="Field"), keywords=keywords):
            given = {keyword.arg: keyword.value for keyword in keywords}
            limits = [f"{sign} {ast.unparse(given[name])}" for name, sign in _LIMITS.items() if name in given]
            return _value(given.get("default"))[0], " and ".join(limits)
        case ast.Call():
            return "{}", ""
    words = {"None": "null", "True": "true", "False": "false", "()": "[]"}
    text = ast.unparse(value).strip("'\"")
    return words.get(text, text), ""
