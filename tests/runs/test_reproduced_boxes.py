"""Fig. 13: drawn boxes and masks beside made ones, and the command that makes what is missing."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from care_tf.box_geometry import union_mask
from care_tf.data import read_manifest, write_manifest
from care_tf.errors import InputError
from care_tf.evaluation.map_overlay import outlined, resized
from care_tf.images.pixels import read_image
from care_tf.runs import reproduced_boxes
from care_tf.runs.reproduced_boxes import write_box_figure


def test_boxes_and_masks_are_outlined_beside_made_ones(image_folder, monkeypatch):
    rows = read_manifest(image_folder / "manifest.csv")
    mask = np.zeros((10, 20), bool)
    mask[2:5, 3:9] = True
    Image.fromarray(mask.astype(np.uint8) * 255).save(image_folder / "mask.png")
    masked = rows.class_names.index("rare") == rows.labels
    first = int(np.flatnonzero(masked)[0])
    boxes, masks = list(rows.boxes), list(rows.mask_paths)
    boxes[first], masks[first] = boxes[first][:0], str(image_folder / "mask.png")
    drawn = dataclasses.replace(rows, boxes=tuple(boxes), mask_paths=tuple(masks))
    write_manifest(drawn, image_folder / "drawn.csv")
    (image_folder / "maps").mkdir()
    for path in drawn.subset(masked).image_paths:
        name = f"{path.rpartition('/')[2]}.png"
        Image.fromarray(np.full((10, 20), 128, np.uint8)).save(image_folder / "maps" / name)
    grids = []
    monkeypatch.setattr(reproduced_boxes, "write_picture_grid", lambda output, titles, lines: grids.append(lines))
    made = [("DSR", image_folder / "manifest.csv", image_folder / "maps")]
    write_box_figure(image_folder / "drawn.csv", made, image_folder / "fig13.png", "rare")
    (lines,) = grids
    assert [len(line) for line in lines] == [3, 3, 3]
    shown = sorted(drawn.subset(masked).image_paths)
    for line, path in zip(lines, shown, strict=True):
        row = drawn.image_paths.index(path)
        region = mask if row == first else union_mask(drawn.boxes[row], 10, 20)
        np.testing.assert_array_equal(line[1].pixels, outlined(resized(read_image(path)), region))


@pytest.mark.parametrize(
    ("title", "has_boxes", "command"),
    [
        ("DSR", False, "make m.csv --method dsr --classes 'Lung Opacity' --output {0}/b.csv --keep-maps {0}/m."),
        ("DSR", True, "--output {0}/m.csv --keep-maps {0}/m."),
        ("Segmentation", False, "--keep-maps {0}/m --model FOLDER, of care segment train."),
    ],
)
def test_the_command_for_what_is_missing_is_named(tmp_path, title, has_boxes, command):
    if has_boxes:
        (tmp_path / "b.csv").touch()
    with pytest.raises(InputError) as caught:
        write_box_figure("m.csv", [(title, tmp_path / "b.csv", tmp_path / "m")], tmp_path / "p.png", "Lung Opacity")
    assert command.format(tmp_path) in str(caught.value)
