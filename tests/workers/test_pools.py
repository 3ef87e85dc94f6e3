import os

import pytest

from care_tf.workers import Workers, _pools, open_pool


def told(_, name):
    """What a process has in its environment."""
    return os.getpid(), os.environ.get(name, "")


@pytest.mark.slow
def test_long_tasks_have_a_device_each_and_none_waits_in_line():
    with open_pool(Workers(num_workers=2), told, b"", is_long=True, devices=["3", "7"]) as pool:
        assert pool.num_under_way == 2
        handles = [pool.submit("CUDA_VISIBLE_DEVICES") for _ in range(8)]
        for _ in range(100):
            if len(dict(said := [pool.result(handle) for handle in handles])) == 2:
                break
            handles = [pool.submit("CUDA_VISIBLE_DEVICES") for _ in range(8)]  # one process took them all
    assert set(dict(said).values()) == {"3", "7"}


def test_without_a_gpu_the_cores_are_shared_out(monkeypatch):
    monkeypatch.setattr(Workers, "num_local", 9)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "5")  # which a person has chosen
    assert _pools._environments([], 4) == [{"TF_NUM_INTRAOP_THREADS": "2"}]
    assert _pools._environments([], 20) == [{"TF_NUM_INTRAOP_THREADS": "1"}]
    assert _pools._environments(["0", "1"], 4) == [
        {"CUDA_VISIBLE_DEVICES": name, "TF_FORCE_GPU_ALLOW_GROWTH": "true"} for name in ("0", "1")
    ]
