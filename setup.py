"""Packaging: what is installed and what it needs. Tool settings: pyproject.toml; versions: requirements*.txt."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def requirements(name: str) -> list[str]:
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


_, _, version = (ROOT / "care_tf" / "version.py").read_text(encoding="utf-8").partition("__version__ = ")
version = version.strip().strip('"')

setup(
    name="care_tf",
    version=version,
    description="Class-specific attention regularization for imbalanced medical image classification in Keras",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["care_tf", "care_tf.*"]),
    package_data={
        "care_tf.evaluation": ["*.j2"],
        "care_tf.boxes.judging": ["*.j2"],
        "care_tf.boxes.review": ["*.html", "*.js", "*.css", "*.svg"],
    },
    install_requires=requirements("requirements.txt"),
    extras_require={
        "addons": requirements("requirements-tf215.txt"),
        "dicom": requirements("requirements-dicom.txt"),
        "dask": requirements("requirements-dask.txt"),
        "ray": requirements("requirements-ray.txt"),
    },
)
