"""What is in the wheel, and that it works away from the checkout."""

import email
import importlib.util
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALLED_KINDS = (".py", ".pyi", ".typed", ".yaml", ".j2", ".html", ".js", ".css", ".svg")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("build") is None, reason="pip install -r requirements-dev.txt"),
]


def run(*command, cwd, check=True):
    result = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def files():
    """The checkout's files, relative; whatever git ignores is left out."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    return [name for name in listed if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(files, tmp_path_factory):
    """The sdist and the wheel made from it, from a copy of the checkout; with the environment's own setuptools."""
    folder = tmp_path_factory.mktemp("build")
    for name in files:
        target = folder / "checkout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", folder / "checkout", cwd=folder)
    (sdist,), (wheel,) = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def python(built, tmp_path_factory):
    """A Python that has the installed wheel, and for everything else the packages of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    executable = folder / "bin" / "python"
    (site_packages,) = folder.glob("lib/python*/site-packages")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site_packages, built[1], cwd=folder)
    # A path in a .pth file brings packages, and not what that folder's own .pth files do: no editable care_tf.
    (site_packages / "tests_own.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return executable


def test_the_wheel_holds_the_package_the_configurations_and_nothing_else(files, built):
    expected = {name for name in files if name.startswith("care_tf/") and name.endswith(INSTALLED_KINDS)}
    expected |= {f"care_tf/{name}" for name in files if name.startswith("configs/")}
    with zipfile.ZipFile(built[1]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (licence,) = [name for name in wheel.namelist() if name.endswith("licenses/LICENSE")]
        assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert names == expected
    assert {"care_tf/py.typed", "care_tf/__init__.pyi", "care_tf/configs/demo.yaml"} <= names


def test_the_sdist_holds_what_the_wheel_is_made_of(built):
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"setup.py", "pyproject.toml", "requirements.txt", "README.md", "LICENSE", "CITATION.cff"} <= names
    assert {path.name for path in ROOT.glob("requirements*.txt")} <= names


def test_the_metadata_names_the_extras_and_keeps_the_base_small(built):
    with zipfile.ZipFile(built[1]) as wheel:
        (path,) = [name for name in wheel.namelist() if name.endswith("/METADATA")]
        metadata = email.message_from_bytes(wheel.read(path))
    extras = {"runs", "boxes", "segmentation", "serve", "dicom", "dask", "ray", "hub", "onnx", "torch", "all", "addons"}
    assert set(metadata.get_all("Provides-Extra")) == extras
    required = metadata.get_all("Requires-Dist")
    base = {re.match(r"[\w-]+", line)[0] for line in required if "extra ==" not in line}
    assert base == {"tensorflow", "keras", "numpy", "pillow", "lazy-loader", "click", "tqdm"}
    assert all(any(f'extra == "{extra}"' in line for line in required) for extra in extras)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] and metadata["Classifier"] and metadata["Keywords"] and metadata.get_payload()


def test_the_installed_command_works_in_an_empty_folder(python, tmp_path):
    where = run(python, "-c", "import care_tf; print(care_tf.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(python.parents[1])
    assert "train" in run(python, "-m", "care_tf", "--help", cwd=tmp_path)
    listed = run(python, "-m", "care_tf", "configs", cwd=tmp_path)
    names = {path.relative_to(ROOT / "configs").with_suffix("").as_posix() for path in ROOT.glob("configs/**/*.yaml")}
    assert names <= set(listed.split())
    assert list(tmp_path.iterdir()) == []


def test_the_console_command_is_the_packages_own(built):
    with zipfile.ZipFile(built[1]) as wheel:
        (path,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
        assert wheel.read(path).decode().split() == ["[console_scripts]", "care", "=", "care_tf.cli:main"]


def test_a_type_checker_sees_the_lazy_names(python, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import care_tf\n"
        "reveal_type(care_tf.CAREModel)\n"
        "reveal_type(care_tf.losses.attention_terms)\n"
        "reveal_type(care_tf.data.read_manifest)\n"
        "care_tf.losses.no_such_loss\n"
    )
    # Of the installed libraries the package alone: NumPy's and others' types take most of the time.
    (tmp_path / "mypy.ini").write_text("[mypy]\nfollow_imports = skip\n[mypy-care_tf.*]\nfollow_imports = silent\n")
    options = ["--python-executable", python, "--ignore-missing-imports"]
    said = run(sys.executable, "-m", "mypy", *options, "mine.py", cwd=tmp_path, check=False)
    assert "care_tf.model.care_model.CAREModel" in said
    assert "def (attention:" in said and "care_tf.data.manifest.Manifest" in said
    assert 'has no attribute "no_such_loss"' in said and "Found 1 error" in said
