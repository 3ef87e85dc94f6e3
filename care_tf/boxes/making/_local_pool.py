"""Worker processes of this machine."""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any

from care_tf.boxes.making._worker_pool import WorkerDiedError
from care_tf.boxes.making.one_image import ImageResult, ImageTask, annotate_in_worker
from care_tf.errors import InputError


class LocalPool:
    """A `WorkerPool` of processes that end with this one, however it ends.

    When one of them dies, all images under way count as lost, and the next image starts new processes; `submit` raises
    an `InputError` where those end, too.
    """

    def __init__(self, packed: bytes, num_workers: int) -> None:
        self.num_under_way = 2 * num_workers
        self._packed = packed
        self._num_workers = num_workers
        # Spawned: a fork would copy locks that other threads, such as TensorFlow's, hold.
        self._context = multiprocessing.get_context("spawn")
        # Nothing is ever written: the workers see the pipe's end when this process closes it or is gone.
        self._end, self._lifeline = self._context.Pipe(duplex=False)
        self._has_started = self._context.RawValue("b", 0)  # set by the first worker that is ready for an image
        self._executor = self._new_executor()

    def submit(self, task: ImageTask) -> Future:
        try:
            return self._executor.submit(annotate_in_worker, self._packed, task)
        except BrokenProcessPool:
            self._restart()
            return self.submit(task)

    def wait(self, handles: Sequence[Future]) -> set[Future]:
        return concurrent.futures.wait(handles, return_when=concurrent.futures.FIRST_COMPLETED).done

    def result(self, handle: Future) -> ImageResult:
        try:
            return handle.result()
        except BrokenProcessPool as error:
            raise WorkerDiedError(str(error)) from error

    def close(self) -> None:
        """Ends the processes at once, in the middle of an image if need be."""
        self._lifeline.close()
        self._executor.shutdown(cancel_futures=True)
        self._end.close()

    def _new_executor(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._num_workers, self._context, _prepare, (self._end, self._has_started))

    def _restart(self) -> None:
        self._executor.shutdown()
        self._executor = self._new_executor()
        try:
            self._executor.submit(os.getpid).result()
        except BrokenProcessPool as error:
            if self._has_started.value:
                raise InputError(
                    f"New workers end while they start, perhaps for lack of memory ({error}); take fewer of them."
                ) from error
            raise InputError(
                "A script that makes boxes with several workers must do so below `if __name__ == '__main__':`, since "
                "every worker imports it. Received workers that end before they are ready. Add that line, or use one "
                "worker; where the line is there, what they wrote above says why they end."
            ) from error


def _prepare(end: Connection, has_started: Any) -> None:
    has_started.value = 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal: the starter decides
    threading.Thread(target=_exit_at, args=[end], daemon=True).start()


def _exit_at(end: Connection) -> None:
    end.poll(None)
    os._exit(1)
