"""What an import did with every image and box of the annotation file, to be read by a person."""

import dataclasses
from collections import Counter

from care_tf.problems import MAX_LISTED, listed


@dataclasses.dataclass(frozen=True)
class ImportSummary:
    """The record of one import; tuples hold one text per image or box.

    Args:
      num_annotated: Images in the annotation file.
      num_matched: Those that the manifest has.
      num_images: Images that got boxes.
      num_boxes: Boxes they got.
      num_without_box: Matched images that the file says have none (of the wanted labels).
      num_images_left: Images of the manifest that the file does not know.
      unmatched: Names of the file that the manifest does not have.
      clipped: Boxes that were cut at the image's border.
      outside: Boxes that were dropped because they lie outside of the image.
      scaled: Images that were annotated in another size.
      turned: Images that were annotated without their EXIF rotation.
      untold: Images with an EXIF rotation, of which the file does not tell whether it was obeyed; taken as obeyed.
      kept: Images whose own boxes or masks were kept instead.
      replaced: Images whose own boxes or masks gave way.
      untouched: Images that have annotations, but no box.
      ignored: How often annotations of kinds that are not boxes occurred.
      other_labels: How many boxes had a label that was not wanted.
      bad: Entries that should have been boxes and were none; they were dropped.
      copies: Images with several copies that have the same boxes, as Roboflow exports them.
      num_repeated: Boxes that occurred twice and were taken once.
    """

    num_annotated: int
    num_matched: int = 0
    num_images: int = 0
    num_boxes: int = 0
    num_without_box: int = 0
    num_images_left: int = 0
    unmatched: tuple[str, ...] = ()
    clipped: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    scaled: tuple[str, ...] = ()
    turned: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    untouched: tuple[str, ...] = ()
    ignored: Counter[str] = dataclasses.field(default_factory=Counter)
    other_labels: Counter[str] = dataclasses.field(default_factory=Counter)
    bad: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    num_repeated: int = 0

    @property
    def is_doubtful(self) -> bool:
        """Whether a person should look at `text`: something of the file is not in the manifest as it is in the file."""
        return any((self.unmatched, self.bad, self.clipped, self.outside, self.untold, self.untouched))

    def text(self) -> str:
        """Lines to print: what was done, then whatever deserves a look, up to 20 of a kind by name."""
        lines = [
            f"{self.num_annotated} annotated images, {self.num_matched} of them in the manifest: "
            f"{self.num_images} got {self.num_boxes} boxes, {self.num_without_box} have none",
            f"{self.num_images_left} images of the manifest are not in the annotations",
        ]
        lists = [
            ("", self.unmatched, "annotated images are not in the manifest"),
            ("warning: ", self.bad, "entries are no boxes and were dropped"),
            ("", self.copies, "images have several copies with the same boxes, which were taken once"),
            ("warning: ", self.clipped, "boxes leave their image and were clipped"),
            ("warning: ", self.outside, "boxes outside of their image were dropped"),
            ("", self.scaled, "images were annotated in another size; their boxes were scaled"),
            ("", self.turned, "images were annotated without their EXIF rotation; their boxes were turned"),
            (
                "warning: ",
                self.untold,
                "images have an EXIF rotation, and the annotations do not tell whether the tool obeyed it; "
                "taken as obeyed, so look at them",
            ),
            ("", self.kept, "images kept the boxes they had"),
            ("", self.replaced, "images had other boxes or a mask, which were replaced"),
            ("warning: ", self.untouched, "images have annotations, but none that is a box; they were left alone"),
        ]
        lines += [f"{mark}{len(entries)} {what}: {listed(entries)}" for mark, entries, what in lists if entries]
        counts = [(self.ignored, "annotations are no boxes"), (self.other_labels, "boxes have other labels")]
        for counter, what in counts:
            if counter:
                kinds = ", ".join(f"{name or '(no label)'} {count}" for name, count in counter.most_common(MAX_LISTED))
                lines.append(f"{counter.total()} {what}: {kinds}")
        if self.num_repeated:
            lines.append(f"{self.num_repeated} boxes occurred twice and were taken once")
        return "\n".join(lines)
