import contextlib
import http.client
import json
import socket
import urllib.parse

import pytest

from care_tf.boxes.review import server as server_module
from care_tf.boxes.review.opening import open_review
from care_tf.boxes.review.server import make_review_server, serve_review
from care_tf.data.manifest import read_manifest
from care_tf.errors import InputError


@pytest.fixture
def review(manifest_path):
    return open_review(manifest_path, classes=["DF"])


def test_it_answers_on_this_machine_alone(review, serve):
    address = urllib.parse.urlsplit(serve(review))
    assert address.hostname == "127.0.0.1"
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", address.port, timeout=10)) as connection:
        connection.request("GET", address.path)
        reply = connection.getresponse()
        assert reply.status == 200 and b"<title>Box review</title>" in reply.read()
        token = address.path.strip("/")
        headers = {"Origin": f"http://127.0.0.1:{address.port}", "X-Review-Token": token}
        headers["Content-Type"] = "application/json"
        connection.request("POST", f"/{token}/decisions/0", json.dumps({"decision": "reject"}), headers)
        assert connection.getresponse().status == 200
    assert read_manifest(review.output).box_sources[0] == "reviewed:rejected"


def test_it_listens_to_this_machine_alone(review):
    server, url = make_review_server(review)
    assert server.socket.getsockname() == ("127.0.0.1", urllib.parse.urlsplit(url).port)
    server.server_close()


@pytest.mark.parametrize(
    "path",
    [
        "{own}images/../../etc/passwd",
        "{own}images/%2e%2e/%2e%2e/etc/passwd",
        "{own}images/..%2f..%2f..%2fetc/passwd",
        "/../../../../etc/passwd",
        "//etc/passwd",
    ],
)
def test_raw_paths_reach_no_file(review, serve, path):
    """As bytes on the wire, which no client tidies up first."""
    address = urllib.parse.urlsplit(serve(review))
    request = f"GET {path.format(own=address.path)} HTTP/1.0\r\nHost: {address.netloc}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(request.encode())
        reply = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b" 404 " in reply.split(b"\r\n")[0] and b"root:" not in reply


def test_a_port_that_cannot_be_had_is_named(review):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} cannot be used: .*in use.* Choose another, or 0"):
            make_review_server(review, port)
    with pytest.raises(InputError, match="port 99999 cannot be used"):
        make_review_server(review, 99999)


@pytest.mark.parametrize("open_browser", [True, False])
def test_serving_prints_where_and_what_came_of_it(review, monkeypatch, capsys, open_browser):
    opened = []

    class Stopped:
        def serve_forever(self):
            review.decide(0, "reject")

        def server_close(self):
            opened.append("closed")

    monkeypatch.setattr(server_module, "make_review_server", lambda *_: (Stopped(), "http://127.0.0.1:1/t/"))
    monkeypatch.setattr(server_module.webbrowser, "open", opened.append)
    serve_review(review, open_browser=open_browser)
    assert opened == [*(["http://127.0.0.1:1/t/"] if open_browser else []), "closed"]
    printed = capsys.readouterr().out
    assert "3 images to review, 0 done" in printed and str(review.output) in printed
    assert "http://127.0.0.1:1/t/\n" in printed
    assert "reviewed 1 of 3: 0 accepted, 0 corrected, 1 rejected" in printed
