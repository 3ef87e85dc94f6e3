"""Serves a model as a demo, a page and a JSON interface, until Ctrl-C."""

import ipaddress
import socket
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from care_tf.local_server import LOOPBACK, bind_server
from care_tf.serving._demo_app import create_demo_app
from care_tf.serving._prediction_service import PredictionService
from care_tf.serving._predictor import Predictor

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer


def make_demo_server(
    model: Predictor, name: str, host: str = LOOPBACK, port: int = 0
) -> "tuple[BaseWSGIServer, str, PredictionService]":
    """Binds a server, not yet serving, to a port (0: a free one); returns it, the page's URL, and what answers.

    Raises:
      InputError: The port is taken, not allowed or no port, or the host is not this machine.
    """
    service = PredictionService(model, name)
    server, port = bind_server(create_demo_app(service, _names(host)), host, port)
    return server, f"http://{_in_url(host)}:{port}/", service


def serve_demo(model: Predictor, name: str, *, host: str = LOOPBACK, port: int = 0) -> None:
    """Prints the page's URL and serves it until Ctrl-C.

    Args:
      model: Of `care_tf.serving.load`.
      name: What the page calls it.
      host: The address to listen at. Another than this machine's own lets others in, which is warned of.
      port: The TCP port; 0 takes a free one.

    Raises:
      InputError: As `make_demo_server`.
    """
    server, url, service = make_demo_server(model, name, host, port)
    if not _is_loopback(host):
        print(
            f"warning: whoever reaches {host} can use this server: there is no password, and images travel unencrypted",
            file=sys.stderr,
        )
    print(f"{url}\nResearch software, not a medical device. Ctrl-C ends it", flush=True)
    try:
        server.serve_forever()  # returns on Ctrl-C
    finally:
        server.server_close()
        service.stop()
    print("\nended")


def _names(host: str) -> Collection[str] | None:
    """By what names browsers may call a server that listens at `host`; None for any."""
    if host in ("", "0.0.0.0", "::"):  # all of the machine's addresses, by whatever name
        return None
    others = (LOOPBACK, "localhost", "[::1]") if _is_loopback(host) else (socket.gethostname(), socket.getfqdn())
    return dict.fromkeys(name.lower() for name in (_in_url(host), *others))


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
