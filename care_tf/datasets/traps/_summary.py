"""What is in a trap, as a table: images of every class with and without the cue, split by split."""

from collections import Counter

from care_tf.data.groups import own_groups
from care_tf.data.manifest import Manifest
from care_tf.data.noted_columns import CUE, PAIR
from care_tf.datasets.traps._sides import NO_CUE, SPLITS, TEST_BALANCED, TEST_CLEAN, TEST_REVERSED, TRAIN, VALIDATION

_MEANING = {
    TRAIN: "the cue goes with the class",
    VALIDATION: "as in training: choose a model by it, never by a test",
    TEST_CLEAN: "no image has the cue",
    TEST_BALANCED: "every class as often with the cue as without",
    TEST_REVERSED: "the cue goes with the other classes",
}


def trap_summary(manifest: Manifest) -> str:
    """A Markdown table with a row for every split, class and cue.

    Args:
      manifest: With splits and the column `cue` in its `inputs`, as a trap has them.

    Returns:
      The table: images, lesions (or patients), images with boxes, and, of `test_balanced`, pairs; with a line on what
      each split is.
    """
    groups = own_groups(manifest.groups)
    has_boxes, cues, pairs = manifest.has_boxes, manifest.inputs[CUE], manifest.inputs[PAIR]
    images: Counter = Counter()
    boxes: Counter = Counter()
    lesions: dict[tuple, set] = {}
    num_pairs: Counter = Counter()
    for row, (split, cue) in enumerate(zip(manifest.splits, cues, strict=True)):
        cell = (split, int(manifest.labels[row]), cue)
        images[cell] += 1
        boxes[cell] += int(has_boxes[row])
        lesions.setdefault(cell, set()).add(groups[row])
        num_pairs[cell] += bool(pairs[row])
    order = sorted(images, key=lambda cell: (SPLITS.index(cell[0]), cell[1], cell[2] == NO_CUE))
    lines = ["| split | class | cue | images | lesions | with boxes | in pairs |", "|---|---|---|---|---|---|---|"]
    for cell in order:
        numbers = f"{images[cell]:,} | {len(lesions[cell]):,} | {boxes[cell]:,} | {num_pairs[cell]:,}"
        lines.append(f"| {cell[0]} | {manifest.class_names[cell[1]]} | {cell[2]} | {numbers} |")
    present = [split for split in SPLITS if split in manifest.splits]
    return "\n".join([*lines, "", *(f"- `{split}`: {_MEANING[split]}" for split in present)])
