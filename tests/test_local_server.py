"""Slow clients: connections that send nothing, or half a request, cost bounded threads and lock nobody out."""

import socket
import threading
import time
import urllib.request

import flask
import pytest

from care_tf.local_server import LOOPBACK, MOST_CONNECTIONS, MOST_WAITING, bind_server


@pytest.fixture
def port():
    app = flask.Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "here")
    app.add_url_rule("/body", view_func=lambda: flask.request.get_data(), methods=["POST"], endpoint="body")
    server, number = bind_server(app)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield number
    server.shutdown()
    server.server_close()


def _connections(port, count, sent):
    opened = []
    for _ in range(count):
        opened.append(socket.create_connection((LOOPBACK, port), timeout=5))
        if sent:
            opened[-1].sendall(sent)
    return opened


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_half_open_connections_are_bounded_and_others_are_answered(port, sent):
    before = threading.active_count()
    opened = _connections(port, 300, sent)
    assert urllib.request.urlopen(f"http://{LOOPBACK}:{port}/", timeout=10).read() == b"here"
    deadline = time.monotonic() + 10
    while threading.active_count() - before > MOST_WAITING + 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() - before <= MOST_WAITING + 1
    for connection in opened:
        connection.close()


@pytest.mark.parametrize("path", [b"/body", b"/nothing"])
def test_slow_bodies_are_bounded_and_others_are_answered(port, path):
    before = threading.active_count()
    opened = _connections(port, MOST_CONNECTIONS + 50, b"POST " + path + b" HTTP/1.1\r\nContent-Length: 99\r\n\r\nab")
    assert urllib.request.urlopen(f"http://{LOOPBACK}:{port}/", timeout=10).read() == b"here"
    deadline = time.monotonic() + 10
    while threading.active_count() - before > MOST_WAITING + 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() - before <= MOST_WAITING + 1
    for connection in opened:
        connection.close()


def test_who_sends_stays_and_who_is_silent_makes_room(port):
    (sending,) = _connections(port, 1, b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n")
    silent = []
    for _ in range(30):
        silent += _connections(port, MOST_WAITING // 10, b"POST /body HTTP/1.1\r\nContent-Length: 99\r\n\r\n")
        sending.sendall(b"c" * 100)
        time.sleep(0.02)
    with sending, sending.makefile("rb") as answer:
        assert answer.read().endswith(b"\r\n" + b"c" * 3000)
    for connection in silent:
        connection.close()
