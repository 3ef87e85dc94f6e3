import numpy as np
import pytest
from PIL import Image

from care_tf.datasets.isic_segmentation import IMAGES, MASKS, read_isic_segmentation
from care_tf.errors import InputError


@pytest.fixture
def download(tmp_path):
    (tmp_path / IMAGES).mkdir()
    (tmp_path / MASKS).mkdir()
    for number in range(3):
        Image.new("RGB", (20, 15)).save(tmp_path / IMAGES / f"ISIC_000000{number}.jpg")
        mask = np.zeros((15, 20), np.uint8)
        mask[4:9, 5 : 10 + number] = 255
        Image.fromarray(mask).save(tmp_path / MASKS / f"ISIC_000000{number}_segmentation.png")
    (tmp_path / IMAGES / "ATTRIBUTION.txt").touch()
    return tmp_path


def test_every_image_has_its_mask_and_is_its_own_group(download):
    manifest = read_isic_segmentation(download)
    assert manifest.class_counts == {"lesion": 3}
    assert manifest.groups == ("ISIC_0000000", "ISIC_0000001", "ISIC_0000002")
    assert manifest.has_boxes.all()
    assert manifest.mask_paths[1].endswith("ISIC_0000001_segmentation.png")


def test_a_mask_of_everything_is_left_out(download):
    Image.new("L", (20, 15), 255).save(download / MASKS / "ISIC_0000001_segmentation.png")
    with pytest.warns(UserWarning, match="no mask for ISIC_0000001"):
        manifest = read_isic_segmentation(download)
    assert manifest.has_boxes.tolist() == [True, False, True]


def test_all_unreadable_masks_are_listed(download):
    for number in (0, 2):
        (download / MASKS / f"ISIC_000000{number}_segmentation.png").write_text("no mask")
    with pytest.raises(InputError, match="has 2 problems: .*ISIC_0000000_segmentation.*ISIC_0000002_segmentation"):
        read_isic_segmentation(download)


def test_incomplete_downloads_are_refused(download, tmp_path):
    (download / MASKS / "ISIC_0000002_segmentation.png").unlink()
    with pytest.raises(InputError, match="ISIC_0000002_segmentation.png does not exist"):
        read_isic_segmentation(download)
    for image in (download / IMAGES).glob("*.jpg"):
        image.unlink()
    with pytest.raises(InputError, match="holds no .jpg images"):
        read_isic_segmentation(download)
    with pytest.raises(InputError, match="is not an ISIC 2018 task 1 download: ISIC2018_Task1-2_Training_Input"):
        read_isic_segmentation(tmp_path / "nowhere")
