"""Worker processes of this machine."""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any

from care_tf.errors import InputError
from care_tf.workers._worker_pool import Work, WorkerDiedError


class LocalPool:
    """A `WorkerPool` of processes that end with this one, however it ends.

    When one of them dies, all tasks under way count as lost, and the next task starts new processes; `submit` raises
    an `InputError` where those end, too.

    Args:
      work: What a process does with a task.
      packed: What all tasks share.
      num_workers: Processes.
      num_under_way: As of `WorkerPool`.
      environments: Variables of the environment for the first process, the second, and so on around.
    """

    def __init__(
        self,
        work: Work,
        packed: bytes,
        num_workers: int,
        num_under_way: int,
        environments: Sequence[Mapping[str, str]] = ({},),
    ) -> None:
        self.num_under_way = num_under_way
        self._work, self._packed = work, packed
        self._num_workers, self._environments = num_workers, environments
        # Spawned: a fork would copy locks that other threads, such as TensorFlow's, hold.
        self._context = multiprocessing.get_context("spawn")
        # Nothing is ever written: the workers see the pipe's end when this process closes it or is gone.
        self._end, self._lifeline = self._context.Pipe(duplex=False)
        self._num_started = self._context.Value("i", 0)  # workers that were ready for a task so far
        self._executor = self._new_executor()

    def submit(self, task: Any) -> Future:
        try:
            return self._executor.submit(self._work, self._packed, task)
        except BrokenProcessPool:
            self._restart()
            return self.submit(task)

    def wait(self, handles: Sequence[Future]) -> set[Future]:
        return concurrent.futures.wait(handles, return_when=concurrent.futures.FIRST_COMPLETED).done

    def result(self, handle: Future) -> Any:
        try:
            return handle.result()
        except BrokenProcessPool as error:
            raise WorkerDiedError(str(error)) from error

    def close(self) -> None:
        """Ends the processes at once, in the middle of a task if need be."""
        self._lifeline.close()
        self._executor.shutdown(cancel_futures=True)
        self._end.close()

    def _new_executor(self) -> ProcessPoolExecutor:
        shared = (self._end, self._num_started, self._environments)
        return ProcessPoolExecutor(self._num_workers, self._context, _prepare, shared)

    def _restart(self) -> None:
        self._executor.shutdown()
        self._executor = self._new_executor()
        try:
            self._executor.submit(os.getpid).result()
        except BrokenProcessPool as error:
            if self._num_started.value:
                raise InputError(
                    f"New workers end while they start, perhaps for lack of memory ({error}); take fewer of them."
                ) from error
            raise InputError(
                "A script that hands out work to several workers must do so below `if __name__ == '__main__':`, since "
                "every worker imports it. Received workers that end before they are ready. Add that line, or use one "
                "worker; where the line is there, what they wrote above says why they end."
            ) from error


def _prepare(end: Connection, num_started: Any, environments: Sequence[Mapping[str, str]]) -> None:
    with num_started.get_lock():
        number = num_started.value
        num_started.value += 1
    os.environ.update(environments[number % len(environments)])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal: the starter decides
    threading.Thread(target=_exit_at, args=[end], daemon=True).start()


def _exit_at(end: Connection) -> None:
    end.poll(None)
    os._exit(1)
