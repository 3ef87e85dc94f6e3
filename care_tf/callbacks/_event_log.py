"""TensorBoard's event files, written and read with TensorFlow alone; the package tensorboard is for looking at them."""

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from care_tf.files import atomic_path

TRAIN, VALIDATION = "train", "validation"  # TensorBoard's runs: a log's curves of both are in one chart
# `tf.summary.scalar` and its like are in the package tensorboard; what they add to `tf.summary.write` is this.
_DATA_CLASSES = {"scalars": 1, "text": 2, "images": 3}


class EventLog:
    """The events of one training below a folder: those named val_... in validation/, all others in train/.

    Args:
      folder: Made when something is written.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._writers: dict[str, Any] = {}

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Numbers by the names of Keras's logs."""
        for name, value in values.items():
            part = VALIDATION if name.startswith("val_") else TRAIN
            self._write(part, "scalars", name.removeprefix("val_"), tf.constant(value, tf.float32), step)

    def text(self, tag: str, markdown: str, step: int) -> None:
        """A text, which TensorBoard shows as Markdown."""
        self._write(TRAIN, "text", tag, tf.constant(markdown), step)

    def picture(self, tag: str, png: bytes, step: int) -> None:
        """A PNG file, kept as a JPEG of a fraction of its size, which TensorBoard shows as well."""
        from PIL import Image

        image, jpeg = Image.open(io.BytesIO(png)).convert("RGB"), io.BytesIO()
        image.save(jpeg, format="JPEG", quality=88)
        width, height = (str(side).encode() for side in image.size)
        self._write(TRAIN, "images", tag, tf.constant([width, height, jpeg.getvalue()]), step)

    def flush(self) -> None:
        """Puts on disk what has been written."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Ends the files; what is written later begins new ones."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def steps(self, tag: str) -> list[int]:
        """The steps at which something was written in train/, in the order of writing."""
        return [step for path in self._files(TRAIN) for _, step, _, name in _events(path) if name == tag]

    def scalar_steps(self) -> dict[str, list[int]]:
        """Name, as Keras's logs have it -> the steps at which the number was written, in the order of writing."""
        found: dict[str, list[int]] = {}
        for part, prefix in ((TRAIN, ""), (VALIDATION, "val_")):
            for path in self._files(part):
                for _, step, plugin, tag in _events(path):
                    if plugin == "scalars":
                        found.setdefault(prefix + tag, []).append(step)
        return found

    def keep(self, is_kept: Callable[[int, str], bool]) -> None:
        """Drops events on disk, by their step and plugin: "scalars", "text" or "images"."""
        for path in [*self._files(TRAIN), *self._files(VALIDATION)]:
            events = list(_events(path))
            kept = [record for record, step, plugin, _ in events if not plugin or is_kept(step, plugin)]
            if len(kept) < len(events):
                with atomic_path(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
                    for record in kept:
                        writer.write(record)

    def _write(self, part: str, plugin: str, tag: str, value: tf.Tensor, step: int) -> None:
        kind = tf.compat.v1.SummaryMetadata
        metadata = kind(plugin_data=kind.PluginData(plugin_name=plugin), data_class=_DATA_CLASSES[plugin])
        if part not in self._writers:
            self._writers[part] = tf.summary.create_file_writer(str(self._folder / part))
        with self._writers[part].as_default(), tf.summary.record_if(True):
            tf.summary.write(tag, value, step=step, metadata=metadata)

    def _files(self, part: str) -> list[Path]:
        return sorted((self._folder / part).glob("events.out.tfevents.*"))


def _events(path: Path) -> Iterator[tuple[bytes, int, str, str]]:
    """Record, step, plugin and tag of each event; "" and "" of the file's head. Ends before a record cut short."""
    records = iter(tf.data.TFRecordDataset(str(path)))
    while True:
        try:
            record = next(records).numpy()
        except (StopIteration, tf.errors.DataLossError):
            return
        event = tf.compat.v1.Event.FromString(record)
        for value in event.summary.value:
            yield record, event.step, value.metadata.plugin_data.plugin_name, value.tag
        if not event.summary.value:
            yield record, event.step, "", ""
