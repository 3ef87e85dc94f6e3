import numpy as np
import pytest
from PIL import Image

from care_tf.data import Manifest


def _drawn_lesions(folder):
    """Twelve images of 48 x 32 px, dark disks on light skin, with their masks; two images to a group."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :48]
    images, masks = [], []
    for number in range(12):
        center = random.uniform((10, 12), (22, 36))
        region = (rows - center[0]) ** 2 + (columns - center[1]) ** 2 < random.uniform(5, 9) ** 2
        skin = np.where(region[..., None], (90, 50, 40), (220, 180, 160)) + random.normal(0, 8, (32, 48, 3))
        images.append(str(folder / f"image_{number}.png"))
        masks.append(str(folder / f"mask_{number}.png"))
        Image.fromarray(skin.clip(0, 255).astype(np.uint8)).save(images[-1])
        Image.fromarray(region.astype(np.uint8) * 255).save(masks[-1])
    return Manifest(
        image_paths=tuple(images),
        labels=np.arange(12) % 2,
        class_names=("DF", "NV"),
        mask_paths=tuple(masks),
        groups=tuple(f"lesion_{number // 2}" for number in range(12)),
        source=str(folder / "manifest.csv"),
    )


@pytest.fixture
def lesions(tmp_path):
    """Twelve drawn lesions of a test's own."""
    return _drawn_lesions(tmp_path)


@pytest.fixture(scope="module")
def shared_lesions(tmp_path_factory):
    """Twelve drawn lesions that the tests of a file look at, and leave as they are."""
    return _drawn_lesions(tmp_path_factory.mktemp("lesions"))
