"""A small data set to review: five images of 200 x 150 px, three of the rare class."""

import threading

import numpy as np
import pytest
from PIL import Image

from care_tf.boxes.review.server import make_review_server
from care_tf.data.manifest import Manifest, write_manifest

BOXES = {"a": [[50, 40, 110, 100]], "b": [[10, 10, 60, 60], [100, 50, 160, 120]], "c": [], "d": [], "e": [[0, 0, 9, 9]]}
LABELS = {"a": "DF", "b": "DF", "c": "DF", "d": "NV", "e": "VASC"}


@pytest.fixture
def manifest_path(tmp_path):
    """`data/manifest.csv` with the images a to e beside it; the source of every box is "dsr"."""
    folder = tmp_path / "data"
    folder.mkdir()
    for i, name in enumerate(BOXES):
        pixels = np.full((150, 200, 3), (200, 160, 40 * i), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    names = ("DF", "NV", "VASC")
    manifest = Manifest(
        image_paths=tuple(str(folder / f"{name}.png") for name in BOXES),
        labels=np.array([names.index(label) for label in LABELS.values()]),
        class_names=names,
        boxes=tuple(np.array(boxes, np.float32).reshape(-1, 4) for boxes in BOXES.values()),
        groups=tuple(f"patient {name}" for name in BOXES),
        box_sources=tuple("dsr" if boxes else "" for boxes in BOXES.values()),
    )
    write_manifest(manifest, folder / "manifest.csv")
    return folder / "manifest.csv"


@pytest.fixture
def serve():
    """Serves a review while a test runs; returns its URL."""
    running = []

    def start(review):
        server, url = make_review_server(review)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.append((server, thread))
        return url

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()
