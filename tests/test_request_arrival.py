"""A request that comes too slowly ends, however it is spread over time."""

import contextlib
import io
import socket
import threading
import time

import pytest

from care_tf import request_arrival
from care_tf.request_arrival import RequestBytes


@pytest.fixture
def client(monkeypatch):
    """(socket of a client, what reads from it); a part is 1000 bytes in 0.4 s, and all of it may take 1.2 s."""
    for name, value in {"PART_S": 0.4, "PART_BYTES": 1000, "MOST_S": 1.2}.items():
        monkeypatch.setattr(request_arrival, name, value)
    sent, received = socket.socketpair()
    raw = received.makefile("rb", buffering=0)
    reader = io.BufferedReader(RequestBytes(raw, received, contextlib.nullcontext))
    with sent, received, reader:
        yield sent, reader


def trickle(sent, num_bytes, pause, stop):
    with contextlib.suppress(OSError):
        while not stop.wait(pause):
            sent.sendall(b"a" * num_bytes)


@pytest.mark.parametrize(
    ("num_bytes", "pause", "least_s", "most_s"),
    [
        (0, 10.0, 0.3, 1.0),  # nothing
        (1, 0.02, 0.3, 1.0),  # a byte now and then
        (200, 0.02, 1.1, 2.5),  # fast enough, without an end
    ],
)
def test_slow_and_endless_requests_end(client, num_bytes, pause, least_s, most_s):
    sent, reader = client
    stop = threading.Event()
    thread = threading.Thread(target=trickle, args=(sent, num_bytes, pause, stop))
    thread.start()
    begin = time.monotonic()
    reader.read(10**6)
    taken = time.monotonic() - begin
    assert least_s < taken < most_s and reader.read(1) == b"", "it has ended, and stays so"
    stop.set()
    thread.join()


def test_a_burst_does_not_buy_time(client):
    sent, reader = client
    sent.sendall(b"a" * 50_000)
    begin = time.monotonic()
    assert len(reader.read(10**6)) == 50_000 and time.monotonic() - begin < 1.0


def test_what_comes_in_time_is_whole(client):
    sent, reader = client
    sent.sendall(b"line\n" + b"b" * 5000)
    sent.shutdown(socket.SHUT_WR)
    assert reader.readline() == b"line\n" and reader.read() == b"b" * 5000
