"""Every library has a requirement, and a missing one is one line with the command that installs it."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from saved_file import SAVED, loads_the_file

from care_tf.errors import InputError
from care_tf.extras import require_extra

ROOT = Path(__file__).resolve().parents[1]
# What is imported under another name than it is installed by, or comes with something else.
DISTRIBUTIONS = {
    **{"PIL": "pillow", "cv2": "opencv-python-headless", "skimage": "scikit-image", "sklearn": "scikit-learn"},
    **{"yaml": "pyyaml", "keras_cv": "keras-cv", "keras_hub": "keras-hub", "distributed": "dask"},
    **{"lazy_loader": "lazy-loader"},
    **{"h5py": "keras", "werkzeug": "flask"},
}


def requirements():
    """extra -> the distributions it brings; "" is the base."""
    brought = {"": set()}
    for path in (
        ROOT / f"requirements{suffix}.txt" for suffix in ("", "-dicom", "-dask", "-ray", "-hub", "-onnx", "-torch")
    ):
        own = path.stem.partition("-")[2]
        for line in path.read_text(encoding="utf-8").splitlines():
            requirement, _, comment = line.partition("#")
            for extra in re.findall(r"\[(\w+)\]", comment) or [own]:
                brought.setdefault(extra, set()).update(re.findall(r"^[\w-]+", requirement))
    return brought


def nodes(tree):
    """All nodes but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from nodes(node)


@functools.cache  # several tests look at every file
def libraries(path, with_functions=True):
    """The libraries a file imports, what its `require_extra` calls name (extra, library), and care_tf's own modules."""
    imported, required, own = set(), set(), set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not with_functions:
        tree.body = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require_extra":
            extra, *modules = (argument.value for argument in node.args[1:])
            required |= {(extra, module) for module in modules}
    own = {name for name in imported if name.split(".")[0] == "care_tf"}
    return {name.split(".")[0] for name in imported - own} - {"", *sys.stdlib_module_names}, required, own


FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in ROOT.glob("care_tf/**/*.py")
}


def packages_and_itself(module):
    parts = module.split(".")
    return {".".join(parts[:depth]) for depth in range(1, len(parts) + 1)}


def required_on_the_way(module):
    """What is checked before a module's own code runs: by it, the packages above it, and the modules it imports."""
    on_the_way = packages_and_itself(module) | libraries(FILES[module])[2]
    return set().union(*(libraries(FILES[name])[1] for name in on_the_way if name in FILES))


def test_every_imported_library_is_a_requirement_of_the_base_or_of_an_extra_that_is_checked():
    base = requirements()[""]
    unchecked = [
        f"{module} imports {library}"
        for module, path in FILES.items()
        for library in sorted(libraries(path)[0])
        if DISTRIBUTIONS.get(library, library) not in base
        and library != "werkzeug"
        and library not in {name for _, name in required_on_the_way(module)}
    ]
    assert unchecked == []


def test_the_extra_that_a_message_names_brings_the_library():
    brought = requirements()
    wrong = [
        f"{module}: {extra} brings no {library}"
        for module, path in FILES.items()
        for extra, library in libraries(path)[1]
        if DISTRIBUTIONS.get(library, library) not in brought[extra]
    ]
    assert wrong == []


def test_no_requirement_is_unused():
    imported = set().union(*(libraries(path)[0] for path in FILES.values()))
    used = {DISTRIBUTIONS.get(library, library) for library in imported}
    assert set().union(*requirements().values()) - used == set()


def test_loading_a_run_asks_for_no_other_extra_than_its_own():
    loaded, left = set(), {"care_tf.runs._folder", "care_tf.runs.run_calibration"}
    while left := {above for name in left for above in packages_and_itself(name)} & set(FILES) - loaded:
        loaded |= left
        left = set().union(*(libraries(FILES[name], with_functions=False)[2] for name in left))
    asked = [(extra, name) for name in loaded for extra, _ in libraries(FILES[name], with_functions=False)[1]]
    assert ("runs", "care_tf.runs") in asked and [each for each in asked if each[0] != "runs"] == []


def test_the_message_names_what_is_missing_and_the_extra():
    with pytest.raises(InputError, match=r"Maps needs json, no_such. .* without no_such. .* 'care_tf\[boxes\]'"):
        require_extra("Maps", "boxes", "json", "no_such")
    with pytest.raises(ImportError):
        require_extra("Maps", "boxes", "no_such")
    require_extra("Maps", "boxes", "json")


def without(libraries, program):
    """Runs a program in which libraries cannot be imported; returns its output, errors first."""
    program = f"import sys\nfor name in {libraries}: sys.modules[name] = None\n{program}"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    return (result.stderr + result.stdout).strip()


@pytest.mark.parametrize(
    ("library", "statement", "extra"),
    [
        ("pydantic", "import care_tf.runs", "runs"),
        ("sklearn", "import care_tf; care_tf.data.stratified_group_folds([0, 1] * 2, list('abcd'), 2)", "runs"),
        ("matplotlib", "from care_tf.evaluation import write_report", "runs"),
        ("skimage", "import care_tf; care_tf.boxes.dsr_saliency", "boxes"),
        ("flask", "from care_tf.boxes.review import serve_review", "boxes"),
        ("pydicom", "from care_tf.datasets.dicom import read_dicom; read_dicom('a.dcm')", "dicom"),
    ],
)
def test_a_wing_without_its_extra_is_refused_in_one_line(library, statement, extra):
    line = without([library], f"try:\n  {statement}\nexcept ValueError as error: print(type(error).__name__, error)")
    line = line.splitlines()[-1]
    assert re.match(r"(MissingExtraError|InputError) ", line)
    assert f"without {library}. Run pip install 'care_tf[{extra}]'." in line


@pytest.mark.slow
@loads_the_file
def test_the_base_trains_without_any_extra_and_its_own_extra_is_all_that_serving_needs(tmp_path):
    brought = requirements()
    extras = set().union(*brought.values()) - brought[""]
    names = {distribution: name for name, distribution in DISTRIBUTIONS.items()}
    # TensorFlow and Keras come with some of these, and may use them.
    blocked = sorted({names.get(name, name) for name in extras} - {"yaml"})
    # TensorFlow first, which brings Keras: of the orders of imports in tests/test_registration.py the one that needs
    # a process more.
    program = """
import care_tf.data.pipeline
import io, keras, numpy as np, care_tf
saved = keras.models.load_model(SAVED)
from care_tf.data import training_dataset, read_manifest
classifier = care_tf.backbones.build_classifier("small_cnn", image_size=(16, 16), num_classes=2)
model = care_tf.CAREModel(classifier)
model.compile("sgd", "sparse_categorical_crossentropy", metrics=[care_tf.metrics.MacroAUC(2)], run_eagerly=True)
images, masks = np.zeros((4, 16, 16, 3), "float32"), np.ones((4, 16, 16, 1), "float32")
callbacks = [care_tf.callbacks.TwoStageSchedule(patience=1, alpha=0.5)]
model.fit({"image": images, "mask": masks}, np.array([0, 1, 0, 1]), epochs=1, verbose=0,
          validation_data=(images, np.array([0, 1, 0, 1])), callbacks=callbacks)
care_tf.serving.export_saved_model(model, SERVED, preprocess=lambda images: images, image_size=(16, 16),
                                   class_names=("DF", "NV"))
assert len(care_tf.manifest_from_folders(IMAGES)) == 2

for name in EXTRA: del sys.modules[name]
from PIL import Image
from werkzeug.serving import BaseWSGIServer
from care_tf.cli.care import care
image = io.BytesIO()
Image.fromarray(images[0].astype("uint8")).save(image, "PNG")
def answer_once(server):
    answer = server.app.test_client().post("/predict?pictures=1", data=image.getvalue())
    print("trained", type(saved).__module__, "served", answer.status_code)
BaseWSGIServer.serve_forever = answer_once
care.main(["serve", SERVED, "--port", "0"])
"""
    extra = [*(names.get(name, name) for name in brought["serve"]), "jinja2"]  # which comes with Flask
    folders = {"SERVED": str(tmp_path / "model"), "IMAGES": str(tmp_path / "images")}
    for name, value in {"EXTRA": extra, "SAVED": str(SAVED), **folders}.items():
        program = program.replace(name, repr(value))
    for name in ("DF", "NV"):
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / name / f"{name}.png")
    assert "\ntrained care_tf.model.care_model served 200\n" in without(blocked, program)
