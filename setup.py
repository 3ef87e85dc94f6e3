"""Packaging: what is installed and what it needs. Tool settings: pyproject.toml; versions: requirements*.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def requirements(name: str, extra: str = "") -> list[str]:
    """The requirements of a file that name an extra in brackets behind them, or those that name none."""
    chosen = []
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        requirement, _, comment = line.partition("#")
        if requirement.strip() and extra in (re.findall(r"\[(\w+)\]", comment) or [""]):
            chosen.append(requirement.strip())
    return chosen


EXTRAS = {
    extra: requirements("requirements.txt", extra) for extra in ("runs", "boxes", "segmentation", "serve", "dicom")
}
for extra in ("dicom", "dask", "ray", "hub", "onnx", "torch"):
    EXTRAS[extra] = EXTRAS.get(extra, []) + requirements(f"requirements-{extra}.txt")
_, _, version = (ROOT / "care_tf" / "version.py").read_text(encoding="utf-8").partition("__version__ = ")

setup(
    name="care_tf",
    version=version.strip().strip('"'),
    description="Class-specific attention regularization for imbalanced medical image classification in Keras",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The care_tf contributors",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    keywords="attention, class imbalance, Grad-CAM, Keras, long-tailed recognition, medical imaging, TensorFlow",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Healthcare Industry",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
        "Typing :: Typed",
    ],
    python_requires=">=3.10,<3.14",
    # The configurations stay at the top of the checkout, where they are edited, and are installed with the package.
    packages=[*find_packages(include=["care_tf", "care_tf.*"]), "care_tf.configs"],
    package_dir={"care_tf.configs": "configs"},
    package_data={
        "": ["py.typed", "*.pyi", "*.j2", "*.html", "*.js", "*.css", "*.svg"],
        "care_tf.configs": ["*.yaml", "*/*.yaml"],
    },
    entry_points={"console_scripts": ["care = care_tf.cli:main"]},
    install_requires=requirements("requirements.txt"),
    extras_require={
        **EXTRAS,
        # PyTorch is as large as TensorFlow and reads one file once.
        "all": sorted({each for extra, brought in EXTRAS.items() if extra != "torch" for each in brought}),
        "addons": requirements("requirements-tf215.txt"),
    },
)
