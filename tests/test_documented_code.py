"""The Python code of README and docs/ runs as it stands, on small images and networks."""

import csv

import keras
import numpy as np
import pytest
from documents import PAGES, ROOT, python_blocks, run_blocks
from eager_steps import eager_steps
from PIL import Image

RUN = {
    "README.md",
    "docs/boxes.md",
    "docs/judging.md",
    "docs/keras.md",
    "docs/monitoring.md",
    "docs/own_project.md",
    "docs/quick_start.md",
    "docs/scaling.md",
    "docs/serving.md",
}
CLASSES = ["DF", "NV"]
SMALL = [("(224, 224)", "(32, 32)"), ("epochs=60", "epochs=2, verbose=0")]


def test_every_page_with_python_is_run():
    assert {page.relative_to(ROOT).as_posix() for page in PAGES if python_blocks(page)} == RUN


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with manifests of twelve images, half of them of the rare class and with a box."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(12):
        name = f"{number}.png"
        Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / name)
        boxes = "[[4, 6, 20, 24]]" if number % 2 else ""
        rows.append([name, CLASSES[1 - number % 2], boxes, 30 + number if number else "", "female" if number else ""])
    header = ["image", "label", "boxes", "age", "sex"]
    for manifest, columns in (("manifest.csv", 5), ("train.csv", 3), ("validation.csv", 3)):
        with open(tmp_path / manifest, "w", newline="") as file:
            csv.writer(file).writerows(row[:columns] for row in [header, *rows])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def small_classifier():
    image = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 8, 4, activation="relu", name="block2")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="block4")(x)
    x = keras.layers.Dense(len(CLASSES), activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, x)


@pytest.mark.usefixtures("rewritten_graphs")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:CARE trained no attention")  # on noise stage 1 need not end
def test_the_readme_runs(folder):
    names = {"classifier": small_classifier(), "images": np.zeros((2, 32, 32, 3), np.float32)}
    run_blocks("README.md", names, SMALL)
    assert names["maps"].shape[0] == 2
    assert (folder / "classifier.keras").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:CARE trained no attention")
def test_the_page_on_caremodel_runs(folder):
    from care_tf.data import evaluation_dataset, read_manifest, training_dataset

    train = read_manifest("train.csv")
    names = {
        "keras": keras,
        "layers": keras.layers,
        "classifier": small_classifier(),
        "train": train,
        "dataset": training_dataset(train, (32, 32), 6, seed=0),
        "validation": evaluation_dataset(train, (32, 32), 6),
        "counts": [6, 6],
    }
    with eager_steps():  # the README's fit, which is traced, is the same but for its metrics
        run_blocks("docs/keras.md", names, [SMALL[1]])
    assert next(iter(names["dataset"]))[0]["age"].shape == (12, 2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:CARE trained no attention")
def test_the_pages_on_monitoring_and_on_devices_run(folder):
    import tensorflow as tf

    import care_tf
    from care_tf.data import evaluation_dataset, read_manifest, training_dataset

    train = read_manifest("train.csv")
    dataset = training_dataset(train, (32, 32), 6, seed=0)
    names = {"care_tf": care_tf, "tf": tf, "build_classifier": small_classifier, "batches": dataset.take(2)}
    run_blocks("docs/scaling.md", names)
    model = care_tf.CAREModel(small_classifier())
    model.compile("adam", "sparse_categorical_crossentropy")
    validation = evaluation_dataset(train, (32, 32), 6, masks=True)
    names = {"care_tf": care_tf, "train": train, "dataset": dataset, "validation": validation, "model": model}
    with eager_steps():  # what the callback is given is the same
        run_blocks("docs/monitoring.md", names, [SMALL[1]])
    assert any((folder / "logs").iterdir())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:CARE trained no attention")
def test_the_quick_start_runs(folder):
    counts = "size_px=64, train_counts=(8, 8, 8, 8), validation_counts=(2, 2, 2, 2), test_counts=(1, 1, 1, 1)"
    small = [("SyntheticLesions().write", f"SyntheticLesions({counts}).write"), ("epochs=20", "epochs=2, verbose=0")]
    names = {}
    with eager_steps():
        run_blocks("docs/quick_start.md", names, small)
    assert names["model"].attention_map(np.zeros((1, 64, 64, 3), np.float32)).shape[0] == 1


def test_the_page_on_boxes_runs():
    image = np.full((60, 80, 3), 200, np.uint8)
    image[20:40, 30:60] = (90, 50, 40)
    names = {"image": image}
    run_blocks("docs/boxes.md", names)
    np.testing.assert_allclose(names["boxes"], [[30, 20, 60, 40]], atol=3)


def test_the_page_on_judging_runs():
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    good = np.eye(2)[labels] * 0.6 + random.dirichlet([1, 1], 40) * 0.4
    names = {
        "class_names": CLASSES,
        "labels": labels,
        "probabilities": good,
        "baseline_probabilities": random.dirichlet([1, 1], 40),
        "patients": np.arange(40) // 2,
        "validation_labels": labels,
        "validation_probabilities": good,
    }
    run_blocks("docs/judging.md", names)
    assert names["gain"]["mean_class_accuracy"].value > 0 and names["temperature"] > 0


@pytest.mark.slow
def test_the_page_on_serving_runs(folder):
    import care_tf

    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))
    for name in ("lesion.jpg", "a.jpg", "b.png"):
        image.save(folder / name)
    small = [
        ("(224, 224)", "(32, 32)"),
        ('["MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]', '["DF", "NV"]'),
        ("b.dcm", "b.png"),
    ]
    names = {"model": care_tf.CAREModel(small_classifier())}
    run_blocks("docs/serving.md", names, small)
    assert names["probabilities"].shape == (2, 2) and names["attention"].shape == (40, 50)
