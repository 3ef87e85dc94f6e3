import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import shutil

import keras
import numpy as np
import pytest
from eager_steps import eager_steps
from PIL import Image

from care_tf.boxes.segmentation import segmentation_training as training
from care_tf.boxes.segmentation._mask_batches import segmentation_batches
from care_tf.boxes.segmentation.cross_fitting import CrossFittedSegmentation, deal_groups, read_record
from care_tf.boxes.segmentation.segmentation_training import SegmentationSettings, train_segmentation
from care_tf.data.image_identity import image_identities
from care_tf.errors import InputError
from care_tf.files import file_sha256, sole_work
from care_tf.images.pixels import read_image, read_mask
from care_tf.losses import DiceLoss

SETTINGS = SegmentationSettings(
    image_size_px=(32, 48), batch_size=4, max_epochs=2, validation_fraction=0.34, backbone="squeezenet1_1"
)


def _build_small_network(image_size, **_):
    images = keras.Input((*image_size, 3))
    scaled = keras.layers.Rescaling(1 / 255)(images)
    return keras.Model(images, keras.layers.Conv2D(2, 3, padding="same", activation="softmax")(scaled))


@pytest.fixture
def small_network(monkeypatch):
    """In the place of DeepLabV3+, whose building alone takes seconds; and not traced, which takes as long."""
    monkeypatch.setattr(training, "build_segmentation_network", _build_small_network)
    with eager_steps():
        yield


@pytest.fixture(scope="module")
def trained(shared_lesions, tmp_path_factory):
    """Two networks: the manifest, their folder, what `train_segmentation` gave, and what it printed."""
    lesions = dataclasses.replace(shared_lesions, max_pixel_value=4095)
    folder, printed = tmp_path_factory.mktemp("trained") / "networks", io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(training, "build_segmentation_network", _build_small_network)
        models = train_segmentation(lesions, folder, SETTINGS)
    return lesions, folder, models, printed.getvalue()


def _files(folder):
    return sorted(path.name for path in folder.iterdir())


def _history(path, column):
    with open(path) as file:
        return [float(row[column]) for row in csv.DictReader(file)]


@pytest.mark.one_generation
def test_batches_are_the_images_and_their_masks(lesions):
    ((images, masks), *rest) = segmentation_batches(lesions, (32, 48), 12)
    assert not rest
    np.testing.assert_array_equal(images, [read_image(path) for path in lesions.image_paths])
    np.testing.assert_array_equal(masks[..., 0], [read_mask(path) for path in lesions.mask_paths])


@pytest.mark.one_generation
def test_training_batches_move_image_and_mask_together(lesions):
    for images, masks in segmentation_batches(lesions, (32, 48), 4, seed=0):
        dark = images.numpy().mean(-1) < 130
        inside = masks.numpy()[..., 0] > 0
        skin = images.numpy().min(-1) > 20  # what a rotation brings in from outside is black
        agreement = (dark & skin & inside).sum() / (dark & skin | inside).sum()
        assert agreement > 0.8


def test_cross_fitted_training_end_to_end(trained):
    lesions, folder, models, printed = trained
    assert _files(folder) == [
        "fingerprint.txt",
        "model_1.csv",
        "model_1.keras",
        "model_2.csv",
        "model_2.keras",
        "segmentation.json",
    ]
    assert "network 1 of 2: 6 images" in printed
    lines = [line for line in printed.splitlines() if line.startswith("epoch")]
    assert len(lines) == 4 and all("left" in line for line in lines)
    assert lines[-1].endswith("at most 0:00:00 left") and not lines[1].endswith("at most 0:00:00 left")
    assert len(_history(folder / "model_1.csv", "val_loss")) == 2
    # Each image: exactly one network that did not see it, and that is the one of its fold.
    folds = deal_groups(lesions.groups, 2)
    for path, group, fold in zip(lesions.image_paths, lesions.groups, folds, strict=True):
        saw = [bool(model.saw & image_identities(path, group)) for model in models]
        assert saw == [fold != 1, fold != 2]
    settings = {**json.loads(json.dumps(dataclasses.asdict(SETTINGS))), "max_pixel_value": 4095}
    assert read_record(folder) == (models, settings)
    segmentation = CrossFittedSegmentation(folder)
    values = segmentation(read_image(lesions.image_paths[0]), lesions.image_paths[0], lesions.groups[0])
    assert values.shape == (32, 48) and 0 <= values.min() <= values.max() <= 1


@pytest.mark.slow
def test_a_second_start_trains_only_what_is_missing(trained, tmp_path, small_network):
    lesions, folder = trained[0], shutil.copytree(trained[1], tmp_path / "networks")
    first, second = (folder / f"model_{number}.keras" for number in (1, 2))
    # Named as in a process that trains this one alone: the last bits depend on the names.
    names = [[layer.name for layer in keras.models.load_model(path).layers] for path in (first, second)]
    assert names[0] == names[1]
    times = first.stat().st_mtime_ns, second.stat().st_mtime_ns
    second.unlink()
    train_segmentation(lesions, folder, SETTINGS, show_progress=False)
    assert first.stat().st_mtime_ns == times[0] and second.stat().st_mtime_ns > times[1]
    with pytest.raises(InputError, match="holds networks of other images or settings"):
        train_segmentation(lesions, folder, dataclasses.replace(SETTINGS, seed=1))


@pytest.mark.slow
def test_a_network_learns_dark_disks(lesions, tmp_path):
    settings = dataclasses.replace(SETTINGS, num_folds=1, max_epochs=6, patience_epochs=6)
    (model,) = train_segmentation(lesions, tmp_path / "networks", settings, show_progress=False)
    assert all(model.saw & image_identities(*pair) for pair in zip(lesions.image_paths, lesions.groups, strict=True))
    history = _history(tmp_path / "networks/model_1.csv", "loss")
    assert min(history) < 0.6 * history[0]
    segmentation, image = CrossFittedSegmentation(tmp_path / "networks"), read_image(lesions.image_paths[0])
    with pytest.raises(InputError, match="All 1 segmentation models saw"):
        segmentation(image, lesions.image_paths[0], "")
    Image.fromarray(image[:, ::-1]).save(tmp_path / "unseen.png")
    values = segmentation(image[:, ::-1], str(tmp_path / "unseen.png"), "")
    assert values.shape == (32, 48) and 0 <= values.min() < values.max() <= 1


@pytest.mark.slow
def test_the_best_epoch_is_kept_even_when_training_runs_to_its_end(lesions, tmp_path, small_network, monkeypatch):
    """The last epoch is made a bad one, in which no lesion is found: its weights must not be what is saved.

    Without groups, images are groups of their own.
    """
    saved, lesions = [], dataclasses.replace(lesions, groups=())
    build = training.build_segmentation_network

    def remember(*arguments, **options):
        saved.append(build(*arguments, **options))
        return saved[-1]

    class Spoiler(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.epoch == 2:
                kernel, _ = self.model.get_weights()
                self.model.set_weights([0 * kernel, np.array([20.0, -20.0], np.float32)])

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

    monkeypatch.setattr(training, "build_segmentation_network", remember)
    monkeypatch.setattr(training, "_EpochLine", lambda *_: Spoiler())
    settings = dataclasses.replace(SETTINGS, num_folds=1, max_epochs=3, patience_epochs=9, initial_learning_rate=0.5)
    train_segmentation(lesions, tmp_path / "networks", settings)
    history = _history(tmp_path / "networks/model_1.csv", "val_loss")
    assert history[-1] > min(history) + 0.01
    folds = deal_groups(lesions.groups, 3, settings.seed + 1)
    ((images, masks),) = segmentation_batches(lesions.subset(folds == 1), (32, 48), 12)
    assert float(DiceLoss()(masks, saved[0](images))) == pytest.approx(min(history), abs=2e-3)


def _without_training(monkeypatch):
    monkeypatch.setattr(training, "_train_network", lambda manifest, path, *_: path.write_bytes(b"network"))


@pytest.mark.one_generation
@pytest.mark.parametrize("kind", ["image", "mask"])
def test_a_finished_network_is_not_taken_for_one_of_other_files_of_the_same_names(lesions, tmp_path, monkeypatch, kind):
    _without_training(monkeypatch)
    train_segmentation(lesions, tmp_path / "networks", SETTINGS, show_progress=False)
    paths = lesions.image_paths if kind == "image" else lesions.mask_paths
    shutil.copy(paths[1], paths[0])
    with pytest.raises(InputError, match="holds networks of other images or settings"):
        train_segmentation(lesions, tmp_path / "networks", SETTINGS, show_progress=False)


@pytest.mark.one_generation
def test_encoder_weights_are_known_by_their_content(lesions, tmp_path, monkeypatch):
    _without_training(monkeypatch)
    folder, (first, second) = tmp_path / "networks", (tmp_path / name for name in ("first.h5", "second.h5"))

    def train(weights):
        train_segmentation(lesions, folder, dataclasses.replace(SETTINGS, encoder_weights=weights), show_progress=False)

    first.write_bytes(b"one")
    train(str(first))
    shutil.copy(first, second)
    train(str(second))
    first.write_bytes(b"other")
    with pytest.raises(InputError, match="holds networks of other images or settings"):
        train(str(first))
    (folder / "fingerprint.txt").write_text(_by_name(lesions, str(second)))  # as earlier versions wrote it
    train(str(second))
    assert (folder / "fingerprint.txt").read_text().strip() != _by_name(lesions, str(second))


def _by_name(manifest, weights):
    images = [sorted(image_identities(*pair)) for pair in zip(manifest.image_paths, manifest.groups, strict=True)]
    masks = [file_sha256(path) for path in manifest.mask_paths]
    settings = dataclasses.asdict(dataclasses.replace(SETTINGS, encoder_weights=weights))
    return hashlib.sha256(json.dumps([manifest.fingerprint(), images, masks, settings]).encode()).hexdigest()


@pytest.mark.one_generation
def test_refused_settings_can_be_mended_in_the_same_folder(lesions, tmp_path, monkeypatch):
    wrong = dataclasses.replace(SETTINGS, image_size_px=(30, 40))
    with pytest.raises(InputError, match="multiples of 16 px"):
        train_segmentation(lesions, tmp_path / "networks", wrong, show_progress=False)
    _without_training(monkeypatch)
    assert len(train_segmentation(lesions, tmp_path / "networks", SETTINGS, show_progress=False)) == 2


@pytest.mark.one_generation
@pytest.mark.parametrize("kind", ["image", "mask"])
def test_a_corrupt_file_is_named(lesions, tmp_path, small_network, kind):
    path = lesions.image_paths[0] if kind == "image" else lesions.mask_paths[0]
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48), np.uint8)).save(path)
    with open(path, "r+b") as file:  # header and end are whole
        file.seek(200)
        file.write(b"\0" * 300)
    settings = dataclasses.replace(SETTINGS, num_folds=1, max_epochs=1)
    with pytest.raises(InputError, match=f"{kind}_0.png: this {kind} is corrupt"):
        train_segmentation(lesions, tmp_path / "networks", settings, show_progress=False)


@pytest.mark.one_generation
def test_classes_are_capped_and_images_without_mask_left_out(lesions, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "_train_network", lambda manifest, path, *_: (seen.append(manifest), path.touch()))
    masks = ("", *lesions.mask_paths[1:])
    manifest = dataclasses.replace(lesions, mask_paths=masks)
    settings = dataclasses.replace(SETTINGS, num_folds=1, max_images_per_class=4)
    train_segmentation(manifest, tmp_path / "networks", settings, show_progress=False)
    assert seen[0].class_counts == {"DF": 4, "NV": 4}
    assert lesions.image_paths[0] not in seen[0].image_paths


@pytest.mark.one_generation
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_folds": 0}, "num_folds must be at least 1. Received 0"),
        ({"validation_fraction": 0.6}, "validation_fraction must be in"),
        ({"max_images_per_class": 0}, "max_images_per_class must be at least 1"),
        ({"initial_learning_rate": 0.0}, "initial_learning_rate must be > 0"),
        ({"seed": -1}, "seed must lie in"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(SETTINGS, **changes)


@pytest.mark.one_generation
def test_a_manifest_without_masks_and_a_foreign_folder_are_refused(lesions, tmp_path):
    with pytest.raises(InputError, match="has masks of 0 groups .* needs at least 6"):
        train_segmentation(lesions.without_boxes(), tmp_path / "networks", SETTINGS)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="exists and is no segmentation training"):
        train_segmentation(lesions, tmp_path / "mine", SETTINGS)
    assert _files(tmp_path / "mine") == ["thesis.txt"]
    with pytest.raises(InputError, match="thesis.txt is a file, and the networks need a folder"):
        train_segmentation(lesions, tmp_path / "mine/thesis.txt", SETTINGS)


@pytest.mark.one_generation
def test_two_processes_never_train_in_one_folder_and_left_overs_are_no_foreign_files(lesions, tmp_path, monkeypatch):
    folder = tmp_path / "networks"
    with sole_work(folder), pytest.raises(InputError, match="Another run is at work on .*networks; wait for it"):
        train_segmentation(lesions, folder, SETTINGS)
    for name in (".fingerprint.txt.writing", ".fingerprint.txt.written.txt"):  # of a process killed at its first file
        (folder / name).touch()
    _without_training(monkeypatch)
    train_segmentation(lesions, folder, SETTINGS, show_progress=False)
    assert not [name for name in _files(folder) if name.startswith(".")]
