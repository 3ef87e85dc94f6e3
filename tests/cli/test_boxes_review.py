import http.client
import os
import signal
import subprocess
import sys
import urllib.parse
from pathlib import Path

import numpy as np
from PIL import Image

from care_tf.cli.boxes_review import review
from care_tf.data.manifest import read_manifest

_ROOT = Path(__file__).parents[2]


def _command(*arguments):
    return [sys.executable, "tools/review_boxes.py", *map(str, arguments)]


def _hears_interrupts():
    """A shell starts jobs in the background with interrupts ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _manifest(folder):
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(folder / "a.png")
    (folder / "m.csv").write_text('image,label,boxes,box_source\na.png,DF,"[[1, 2, 30, 20]]",dsr\n')
    return folder / "m.csv"


def test_it_serves_until_interrupted_and_says_what_came_of_it(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    command = _command(_manifest(tmp_path), "--no-browser", "--output", tmp_path / "new" / "out.csv", "--classes", "DF")
    tool = subprocess.Popen(
        command,
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hears_interrupts,
    )
    try:
        url = ""
        while not url.startswith("http"):
            url = tool.stdout.readline()
            assert url, tool.stderr.read()
        address = urllib.parse.urlsplit(url.strip())
        headers = {"Origin": f"http://{address.netloc}", "X-Review-Token": address.path.strip("/")}
        headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        body = '{"decision": "accept", "boxes": [[1, 2, 30, 20]]}'
        connection.request("POST", f"{address.path}decisions/0", body, headers)
        assert connection.getresponse().status == 200
        connection.close()
        tool.send_signal(signal.SIGINT)
        output, errors = tool.communicate(timeout=60)
    finally:
        tool.kill()
        tool.communicate()
    assert (tool.returncode, "Traceback" in errors) == (0, False)
    assert "reviewed 1 of 1: 1 accepted, 0 corrected, 0 rejected" in output
    saved = read_manifest(tmp_path / "new" / "out.csv")
    assert saved.box_sources == ("reviewed:dsr",)
    assert saved.image_paths == (str(tmp_path / "a.png"),)


def test_bad_input_is_one_line_and_exit_code_2(tmp_path, refuses):
    message = refuses(review, _manifest(tmp_path), "--no-browser", "--classes", "XY")
    assert "classes to review must be some of DF. Received XY" in message
