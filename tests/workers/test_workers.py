import os
import pathlib
import socket
import sys
import types

import pytest

from care_tf.errors import InputError
from care_tf.workers import Workers, open_pool


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        ({"backend": "spark"}, "backend must be one of local, dask, ray. Received 'spark'"),
        ({"num_workers": 0}, "workers must be at least 1. Received 0"),
        ({"scheduler": "tcp://a:1"}, "A scheduler goes with the backends dask and ray. Received 'tcp://a:1'"),
    ],
)
def test_workers_that_cannot_be_are_refused(workers, message):
    with pytest.raises(InputError, match=message):
        Workers(**workers)


@pytest.mark.parametrize(
    ("cpu_max", "expected"), [("max 100000", 6), ("150000 100000", 2), ("900000 100000", 6), (None, 6), ("?", 6)]
)
def test_a_worker_per_core_that_a_container_may_use(monkeypatch, cpu_max, expected):
    def read_text(path):
        assert path == pathlib.Path("/sys/fs/cgroup/cpu.max")
        if cpu_max is None:
            raise FileNotFoundError
        return cpu_max

    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    monkeypatch.setattr(pathlib.Path, "read_text", read_text)
    assert Workers().num_local == expected
    assert Workers(num_workers=9).num_local == 9


@pytest.mark.parametrize(("backend", "module"), [("dask", "distributed"), ("ray", "ray")])
def test_a_backend_that_is_not_installed_is_refused(monkeypatch, backend, module):
    monkeypatch.setitem(sys.modules, module, None)
    message = rf"backend {backend} needs {module}.*care_tf\[{backend}\]"
    with pytest.raises(InputError, match=message), open_pool(Workers(backend, num_workers=2), print, b""):
        pass


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_a_ray_cluster_that_is_not_there_is_said_before_ray_waits_for_it(monkeypatch, form):
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        address = form.format(taken.getsockname()[1])
        monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(__spec__="found", init=pytest.fail))
        message = f"must be the address of a running ray cluster that answers. Received {address}: .*refused"
        with pytest.raises(InputError, match=message), open_pool(Workers("ray", 1, address), print, b""):
            pass
