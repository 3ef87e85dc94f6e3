"""The paper's Fig. 13: an image, its drawn box, and what saliency and segmentation make of it, with their boxes."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from care_tf.box_geometry import union_mask
from care_tf.data import Manifest, read_manifest
from care_tf.errors import InputError
from care_tf.evaluation.map_overlay import full_size, outlined, overlaid, resized
from care_tf.evaluation.picture_grid import Tile, short_name, write_picture_grid
from care_tf.images.pixels import read_image, read_mask


def write_box_figure(
    manifest: str | Path,
    made: Sequence[tuple[str, str | Path, Path]],
    output: Path,
    class_name: str,
    num_images: int = 5,
) -> None:
    """Writes a row per image: the image, its drawn box or mask, and for every method its map and its box.

    Args:
      manifest: With the drawn boxes or masks.
      made: Of each method: its title, the manifest that `care boxes make` wrote, and the folder of its --keep-maps.
      output: The PNG file.
      class_name: Images of this class are shown, the first by name that have a drawn box.
      num_images: How many.

    Raises:
      InputError: A file or a map is not there; the message says which command makes it.
    """
    for title, boxes, maps in made:
        if not Path(boxes).exists() or not maps.is_dir():
            raise InputError(
                f"{title}: {boxes} and its maps in {maps} must be there. Received "
                f"{'no maps' if Path(boxes).exists() else 'no boxes'}. Make them with "
                f"{_making(manifest, title.lower(), class_name, Path(boxes), maps)}."
            )
    rows = read_manifest(manifest)
    shown = _first_with_boxes(rows, class_name, num_images)
    others = [shown.with_boxes_from(read_manifest(boxes)) for _, boxes, _ in made]
    lines = []
    for index, path in enumerate(shown.image_paths):
        image = read_image(path)
        drawn = outlined(resized(image), _region(shown, index, image))
        line = [Tile(resized(image), short_name(Path(path).stem)), Tile(drawn)]
        for own, (_, _, maps) in zip(others, made, strict=True):
            saliency = full_size(_map_of(maps, path) / 255, image.shape[:2], path)
            line.append(Tile(outlined(overlaid(image, saliency), _region(own, index, image))))
        lines.append(line)
    write_picture_grid(output, ["image", "drawn", *(f"{title}: map and box" for title, _, _ in made)], lines)


def _first_with_boxes(rows: Manifest, class_name: str, num_images: int) -> Manifest:
    chosen = [index for index in np.flatnonzero(rows.has_boxes) if rows.class_names[rows.labels[index]] == class_name]
    if not chosen:
        raise InputError(f"No image of {class_name} in {rows.source} has a box.")
    return rows.subset(sorted(chosen, key=lambda index: rows.image_paths[index])[:num_images])


def _making(manifest: str | Path, method: str, class_name: str, boxes: Path, maps: Path) -> str:
    """The command that makes what is missing; boxes that exist stay as they are, whoever corrected them."""
    output = maps.with_name(f"{maps.name}.csv") if boxes.exists() else boxes
    words = [manifest, "--method", method, "--classes", class_name, "--output", output, "--keep-maps", maps]
    command = f"care boxes make {shlex.join(map(str, words))}"
    return f"{command} --model FOLDER, of care segment train" if method == "segmentation" else command


def _region(rows: Manifest, index: int, image: np.ndarray) -> np.ndarray:
    """The pixels in an image's boxes, or its mask at its own size."""
    if rows.mask_paths[index]:
        return read_mask(rows.mask_paths[index])
    return union_mask(rows.boxes[index], *image.shape[:2])


def _map_of(folder: Path, image_path: str) -> np.ndarray:
    name = f"{Path(image_path).name}.png"
    found = sorted(folder.rglob(name))
    if len(found) != 1:
        raise InputError(f"{folder} must hold one map {name}. Received {len(found)}. Run care boxes make again.")
    return read_image(found[0])[..., 0]
