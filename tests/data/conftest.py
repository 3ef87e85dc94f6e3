"""A small folder of images and its manifest, shared by the tests of the data part."""

import csv
import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def write_rows():
    """Writes rows (dicts) as a CSV with the given columns; returns the path."""

    def write(path, rows, columns=("image", "label", "boxes", "mask", "group", "split", "fold", "box_source")):
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


@pytest.fixture
def image_folder(tmp_path, write_rows):
    """Eleven 20 x 10 px images of two classes, three of the rare one with boxes; returns the folder."""
    random = np.random.default_rng(0)
    rows = []
    for i in range(11):
        name = f"image_{i}.png" if i % 2 else f"image_{i}.jpg"
        Image.fromarray(random.integers(0, 256, (10, 20, 3), np.uint8)).save(tmp_path / name)
        rare = i in (1, 4, 7)
        rows.append(
            {
                "image": name,
                "label": "rare" if rare else "common",
                "boxes": json.dumps([[i, 1, i + 4, 6]]) if rare else "",
                "group": f"patient_{i // 2}",
                "split": "train" if i < 8 else "test",
                "fold": i % 3,
                "box_source": "hand" if rare else "",
            }
        )
    write_rows(tmp_path / "manifest.csv", rows)
    return tmp_path
