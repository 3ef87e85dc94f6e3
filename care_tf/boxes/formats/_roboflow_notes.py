"""What Roboflow's README.roboflow.txt says was done to the exported images, and with them to the boxes."""

import os
import re
import warnings
from pathlib import Path

from care_tf.errors import InputError
from care_tf.problems import listed
from care_tf.text_files import read_text

_NOTES = "README.roboflow.txt"
# "Resize to 640x640 (Stretch)" and "(Fit within)" keep a box's place in the image; borders and cuts do not.
_MOVES = re.compile(
    r"^\* *(.*(?:flip|rotat|crop|shear|mosaic|\btile|isolate|fit \(|\bfill\b).*)$", re.IGNORECASE | re.MULTILINE
)


def warn_of_moved_boxes(path: str | os.PathLike) -> None:
    """Warns where the notes beside annotations, or in a folder above, name steps by which boxes leave their place."""
    folder = Path(path).absolute()
    file = next((each / _NOTES for each in (folder, *folder.parents[:2]) if (each / _NOTES).is_file()), None)
    try:
        steps = _MOVES.findall(read_text(file)) if file else []
    except InputError:  # notes of another encoding are not Roboflow's
        return
    if steps:
        warnings.warn(
            f"{file} says that the exported images were changed ({listed(steps)}): their boxes need not fit your own "
            "images; export again without these steps, or look at the boxes",
            stacklevel=3,
        )
