"""Images handed out to workers, and what became of each."""

from collections.abc import Generator, Sequence

from care_tf.boxes.making.one_image import ImageResult, ImageTask, annotate, annotate_in_worker
from care_tf.files import file_state
from care_tf.workers import Workers, open_pool, stream_results


def stream_images(packed: bytes, tasks: Sequence[ImageTask], workers: Workers) -> Generator[ImageResult, None, None]:
    """`stream_results` of images; one local worker is this process.

    Raises:
      InputError: The backend is not installed, or the cluster cannot be reached or is lost on the way.
    """
    if not tasks:
        return
    if workers.backend == "local" and workers.num_local == 1:
        for task in tasks:
            yield annotate(packed, task)
        return
    with open_pool(workers, annotate_in_worker, packed) as pool:
        try:
            yield from stream_results(pool, tasks, _failed)
        except Exception as error:
            # `annotate` itself raises nothing: the cluster is gone, or its machines lack care_tf or its packages.
            if workers.backend == "local":
                raise
            raise workers.lost(error) from error


def _failed(task: ImageTask, message: str) -> ImageResult:
    size, modified_ns = file_state(task.image_path)
    return ImageResult(task.row, "failed", message=message, size=size, modified_ns=modified_ns)
