import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from care_tf.boxes.making.one_image import BoxSettings, ImageTask, annotate_in_worker, pack
from care_tf.errors import InputError
from care_tf.workers import _local_pool as local_pool
from care_tf.workers._local_pool import LocalPool
from care_tf.workers._worker_pool import WorkerDiedError

# What a worker is like comes back as the message of an image that failed.
MODULE = """
import os, pathlib, signal, sys, time
from care_tf.boxes import bms_saliency, dsr_saliency
num_loads = 0
class Method:
    name, settings = "told", {}
    def __setstate__(self, state):
        global num_loads
        num_loads += 1
    def __getstate__(self):
        return {"no": "state"}
    def __call__(self, image, image_path, group, class_name):
        if group == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if group == "sleep":
            time.sleep(60)
        if group == "saliency":
            bms_saliency(image), dsr_saliency(image)
            peak_mb = int(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
            raise RuntimeError(f"{peak_mb} {'tensorflow' in sys.modules} {os.environ['TF_NUM_INTRAOP_THREADS']}")
        raise RuntimeError(f"{os.getpid()} {num_loads}")
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """told_map.py, on the path here and in processes that start from here, and an image."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "told_map.py").write_text(MODULE)
    pixels = np.random.default_rng(0).integers(0, 256, (450, 600, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("told_map", None)


@pytest.fixture(scope="module")
def pool(folder):
    """One worker for the tests that leave it alive or see it come back."""
    import told_map

    environment = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("TF_NUM")}
    pool = LocalPool(annotate_in_worker, pack(told_map.Method(), BoxSettings()), 1, 2)
    yield pool
    pool.close()
    os.environ.update(environment)


def told(folder, pool, *groups):
    """The words of what the worker said of each image."""
    handles = [pool.submit(ImageTask(row, str(folder / "a.png"), group, "")) for row, group in enumerate(groups)]
    results = []
    for handle in handles:
        pool.wait([handle])
        results.append(pool.result(handle).message.removeprefix("RuntimeError: ").split())
    return results


def test_a_worker_unpacks_the_method_once(folder, pool):
    (first_pid, first_loads), second = told(folder, pool, "", "")
    assert (first_pid, first_loads) == tuple(second)
    assert int(first_pid) != os.getpid() and first_loads == "1"


def test_a_worker_is_light_and_ready_for_a_network_on_one_thread(folder, pool):
    ((peak_mb, has_tensorflow, num_threads),) = told(folder, pool, "saliency")
    assert float(peak_mb) < 250
    assert (has_tensorflow, num_threads) == ("False", "1")


def test_after_a_death_there_are_new_workers(folder, pool):
    ((before, _),) = told(folder, pool, "")
    for _ in range(2):
        with pytest.raises(WorkerDiedError, match="terminated abruptly"):
            told(folder, pool, "die")
    ((after, _),) = told(folder, pool, "")
    assert after != before


def test_workers_that_no_longer_start_are_not_taken_for_a_missing_guard(folder, monkeypatch):
    import told_map

    pool = LocalPool(annotate_in_worker, pack(told_map.Method(), BoxSettings()), 1, 2)
    with pytest.raises(WorkerDiedError):
        told(folder, pool, "die")
    monkeypatch.setattr(local_pool, "_prepare", _die)
    with pytest.raises(InputError, match="New workers end while they start, perhaps for lack of memory"):
        told(folder, pool, "")
    pool.close()


def _die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_closing_does_not_wait_for_the_images_under_way(folder):
    import told_map

    pool = LocalPool(annotate_in_worker, pack(told_map.Method(), BoxSettings()), 1, 2)
    ((pid, _),) = told(folder, pool, "")
    pool.submit(ImageTask(0, str(folder / "a.png"), "sleep", ""))
    time.sleep(0.2)
    start = time.monotonic()
    pool.close()
    assert time.monotonic() - start < 20
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


# A script that says who its first worker is and leaves both at long images.
SCRIPT = """
import signal
import told_map
from care_tf.boxes.making.one_image import BoxSettings, ImageTask, pack
from care_tf.boxes.making._result_stream import stream_images
from care_tf.workers import Workers
{guard}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a background job ignores it
    tasks = [ImageTask(0, {image!r}, group, "") for group in ("", "sleep", "sleep")]
    for result in stream_images(pack(told_map.Method(), BoxSettings()), tasks, Workers(num_workers=2)):
        print(result.message, flush=True)
"""


def started(folder, guard, **options):
    script = folder / "script.py"
    script.write_text(SCRIPT.format(guard=guard, image=str(folder / "a.png")))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    return subprocess.Popen([sys.executable, str(script)], env=environment, text=True, **options)


def test_workers_end_with_a_killed_process(folder):
    with started(folder, "if __name__ == '__main__':", stdout=subprocess.PIPE) as process:
        pid = int(process.stdout.readline().split()[1])
        process.send_signal(signal.SIGKILL)
    assert has_ended(pid, time.monotonic() + 20)


def has_ended(pid, deadline):
    """Gone, or a zombie that waits for whoever inherited it."""
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_ctrl_c_ends_everything_at_once(folder):
    with started(folder, "if __name__ == '__main__':", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        pid = int(process.stdout.readline().split()[1])
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) != 0
        said = process.stderr.read()
    assert "KeyboardInterrupt" in said and has_ended(pid, time.monotonic() + 20)


def test_a_script_without_a_guard_is_told_what_to_do(folder):
    with started(folder, "if True:", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    # Not the last line: Python's own resource tracker may say something after it.
    expected = "care_tf.errors.InputError: A script that hands out work to several"
    assert any(line.startswith(expected) for line in said.splitlines())
