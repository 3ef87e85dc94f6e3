import contextlib

import numpy as np
import pytest
from PIL import Image

from care_tf.boxes.making import _result_stream as result_stream
from care_tf.boxes.making._result_stream import stream_images
from care_tf.boxes.making.methods import FunctionMethod
from care_tf.boxes.making.one_image import BoxSettings, ImageTask, annotate, pack
from care_tf.errors import InputError
from care_tf.workers import Workers
from care_tf.workers._worker_pool import WorkerDiedError

PACKED = pack(FunctionMethod("bms", "care_tf.boxes.saliency._bms:bms_saliency"), BoxSettings())


class Pool:
    """Works on an image when its result is asked for, the newest first; notes how many others were under way.

    Args:
      deadly: Rows whose images kill their worker.
      together: A death takes all images that are under way along, as in a pool of processes.
    """

    num_under_way = 3

    def __init__(self, deadly=(), together=False):
        self.deadly, self.together = deadly, together
        self.under_way, self.lost, self.tries = {}, set(), []

    def submit(self, task):
        handle = object()
        self.under_way[handle] = task
        self.tries.append((task.row, len(self.under_way)))
        return handle

    def wait(self, handles):
        assert set(handles) == set(self.under_way)
        if self.together and any(task.row in self.deadly for task in self.under_way.values()):
            self.lost |= set(handles)
            return list(handles)
        return handles[-1:]

    def result(self, handle):
        task = self.under_way.pop(handle)
        if task.row in self.deadly or handle in self.lost:
            raise WorkerDiedError("as the test asked")
        return annotate(PACKED, task)


@pytest.fixture
def tasks(tmp_path):
    Image.fromarray(np.full((12, 16, 3), 90, np.uint8)).save(tmp_path / "a.png")
    return [ImageTask(row, str(tmp_path / "a.png"), "", "") for row in range(8)]


@pytest.fixture
def streamed(monkeypatch, tasks):
    """Runs the tasks on a pool; returns status by row, in the order of the results."""

    def run(pool, backend="dask"):
        monkeypatch.setattr(result_stream, "open_pool", lambda workers, work, packed: contextlib.nullcontext(pool))
        return {result.row: result.status for result in stream_images(PACKED, tasks, Workers(backend, 2))}

    return run


def test_results_come_as_they_are_ready_and_few_images_are_under_way(streamed):
    pool = Pool()
    assert list(streamed(pool)) == [2, 3, 4, 5, 6, 7, 1, 0]
    assert pool.tries == [(0, 1), (1, 2), *((row, 3) for row in range(2, 8))]


def test_nothing_is_handed_out_before_a_result_is_taken(monkeypatch, tasks):
    pool = Pool()
    monkeypatch.setattr(result_stream, "open_pool", lambda workers, work, packed: contextlib.nullcontext(pool))
    stream = stream_images(PACKED, tasks, Workers("local", 2))
    assert pool.tries == []
    next(stream)
    assert len(pool.tries) == 3


@pytest.mark.parametrize("together", [False, True])
def test_what_was_lost_with_a_worker_is_tried_again_alone(streamed, together):
    pool = Pool(deadly=(1, 6), together=together)
    assert streamed(pool) == {row: "failed" if row in (1, 6) else "no box" for row in range(8)}
    rows = [row for row, _ in pool.tries]
    again = [pool.tries[index] for index, row in enumerate(rows) if row in rows[:index]]
    assert {row for row, _ in again} >= {1, 6}
    assert all(num_under_way == 1 for _, num_under_way in again)
    assert len(again) == (2 if not together else len(set(again)))


def test_a_second_death_says_why_and_when_the_file_was_written(monkeypatch, tasks):
    pool = Pool(deadly=(3,))
    monkeypatch.setattr(result_stream, "open_pool", lambda workers, work, packed: contextlib.nullcontext(pool))
    (failed,) = [result for result in stream_images(PACKED, tasks, Workers("dask")) if result.status == "failed"]
    assert failed.message == "its worker process died twice, perhaps for lack of memory: as the test asked"
    assert (failed.row, failed.size > 0, failed.modified_ns > 0) == (3, True, True)


def test_a_cluster_that_is_lost_on_the_way_is_said_and_keeps_what_is_finished(monkeypatch, tasks):
    pool, results = Pool(), []
    monkeypatch.setattr(result_stream, "open_pool", lambda workers, work, packed: contextlib.nullcontext(pool))

    def lost(handles):
        raise ConnectionError("nobody there")

    message = r"The dask workers cannot continue \(ConnectionError: nobody there\); what is finished is kept"
    with pytest.raises(InputError, match=message):
        for result in stream_images(PACKED, tasks, Workers("dask")):
            results.append(result)
            pool.wait = lost
    assert len(results) == 1
