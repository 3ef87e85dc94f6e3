import pytest

from care_tf.boxes.making.methods import FunctionMethod
from care_tf.boxes.making.one_image import BoxSettings, ImageTask, annotate_in_worker, pack
from care_tf.errors import InputError
from care_tf.workers import Workers, open_pool
from care_tf.workers import _dask_pool as dask_pool
from care_tf.workers._dask_pool import DaskPool

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
PACKED = pack(FunctionMethod("bms", "care_tf.boxes.saliency._bms:bms_saliency"), BoxSettings())
NO_IMAGE = ImageTask(5, "no_such_image.png", "", "")


@pytest.fixture(scope="module")
def cluster():
    """One that a user has running already, in threads of this process: 1 worker of 3 cores."""
    options = {"n_workers": 1, "threads_per_worker": 3, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster:
        yield cluster


@pytest.mark.parametrize(("num_workers", "num_under_way"), [(None, 6), (2, 2)])
def test_a_running_cluster_is_given_as_many_images_as_asked_for(cluster, num_workers, num_under_way):
    with open_pool(Workers("dask", num_workers, cluster.scheduler_address), annotate_in_worker, PACKED) as pool:
        assert pool.num_under_way == num_under_way
        handles = [pool.submit(NO_IMAGE), pool.submit(NO_IMAGE)]
        assert set(pool.wait(handles)) <= set(handles)
        results = [pool.result(handle) for handle in handles]
    assert [(result.row, result.status) for result in results] == [(5, "failed")] * 2
    assert "no_such_image.png does not exist" in results[0].message


def test_a_cluster_without_workers_is_not_waited_for_forever(monkeypatch):
    monkeypatch.setattr(dask_pool, "_SECONDS_BETWEEN_LOOKS", 0.1)
    monkeypatch.setattr(dask_pool, "SECONDS_FOR_WORKERS", 0.2)
    options = {"n_workers": 0, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        pool = DaskPool(client, annotate_in_worker, PACKED, 2)
        handle = pool.submit(NO_IMAGE)
        for ask in (lambda: pool.wait([handle]), lambda: pool.result(handle)):
            with pytest.raises(distributed.TimeoutError):
                ask()


def test_a_cluster_that_does_not_answer_is_refused():
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}),
        pytest.raises(InputError, match="address of a running dask cluster that answers. Received tcp://127.0.0.1:1: "),
        open_pool(Workers("dask", scheduler="tcp://127.0.0.1:1"), annotate_in_worker, PACKED),
    ):
        pass
