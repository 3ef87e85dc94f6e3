import numpy as np
import pytest
from PIL import Image

from care_tf.boxes.segmentation import segmentation_training as training
from care_tf.boxes.segmentation.cross_fitting import read_record
from care_tf.cli.segment_train import train as segment_train


@pytest.fixture
def manifest(tmp_path):
    rows = ["image,label,mask"]
    for number in range(8):
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
        Image.fromarray(np.tri(8, dtype=np.uint8)).save(tmp_path / f"mask_{number}.png")
        rows.append(f"{number}.png,{'AB'[number % 2]},mask_{number}.png")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "manifest.csv"


def test_the_options_reach_the_training_and_the_record(run, manifest, tmp_path, monkeypatch):
    trained = []

    def train(manifest, path, *_):
        trained.append(len(manifest))
        path.write_bytes(b"network")

    monkeypatch.setattr(training, "_train_network", train)
    network = "--architecture deeplab_v3 --backbone resnet18 --encoder-weights weights.h5 "
    options = (
        network + "--num-folds 3 --image-size 32 64 --max-images-per-class 4 --max-epochs 5 --batch-size 2 --seed 7"
    )
    _, out, _ = run(segment_train, manifest, "--output", "networks", *options.split())
    models, settings = read_record(tmp_path / "networks")
    assert len(models) == 3 and trained == [8 - 3, 8 - 3, 8 - 2]
    architecture = {"architecture": "deeplab_v3", "encoder_weights": "weights.h5"}
    given = {"num_folds": 3, "image_size_px": [32, 64], "max_images_per_class": 4, "max_epochs": 5, "batch_size": 2}
    assert given | {"seed": 7, "backbone": "resnet18"} | architecture == {
        name: value
        for name, value in settings.items()
        if name not in ("patience_epochs", "initial_learning_rate", "validation_fraction", "max_pixel_value")
    }
    assert "wrote 3 networks and segmentation.json to networks" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seed", "-1"], "-1 is not in the range 0<=x<=4294967295"),
        (["--batch-size", "0"], "batch_size must be at least 1"),
        (["--num-folds", "9"], "training 9 networks needs at least 20"),
        (["--image-size", "30", "40"], "multiples of 16 px"),
        (["--backbone", "vgg"], "must be one of squeezenet1_1, resnet18"),
        (["--architecture", "deeplab"], "must be one of deeplab_v3, deeplab_v3_plus"),
        (["--architecture", "keras_hub/a", "--backbone", "resnet18"], "must be left out beside a preset"),
        (["--architecture", "keras_hub/a", "--encoder-weights", "b.h5"], "None and 'b.h5' beside keras_hub/a"),
        (["--encoder-weights", "nowhere.h5"], "not a file"),
        (["--weights", "imagenet"], "there is none for squeezenet1_1"),
    ],
)
def test_bad_options_are_refused_and_leave_no_networks(run, manifest, tmp_path, options, message):
    code, _, err = run(segment_train, manifest, "--output", "networks", *options)
    assert code == 2 and err.startswith("error: ") and message in err
    assert not list(tmp_path.glob("networks/model_*")) and not list(tmp_path.glob("networks/segmentation.json"))


def test_bad_manifests_are_refused(refuses, manifest, tmp_path):
    (tmp_path / "no_masks.csv").write_text("image,label\n0.png,A\n1.png,B\n")
    for path, message in (
        (tmp_path / "nowhere.csv", "There is no manifest"),
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "0.png", "is not UTF-8 text"),
        (tmp_path / "no_masks.csv", "has masks of 0 groups"),
    ):
        assert message in refuses(segment_train, path, "--output", "networks")
    assert not (tmp_path / "networks").exists()
