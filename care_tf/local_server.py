"""Small web applications for the person at this machine: whose requests are answered, and how they are served."""

import contextlib
import functools
import io
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from care_tf.errors import InputError
from care_tf.request_arrival import PART_S, RequestBytes

if TYPE_CHECKING:
    import flask
    from werkzeug.serving import BaseWSGIServer

LOOPBACK = "127.0.0.1"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""What every answer carries: its page loads nothing from elsewhere, and no other site shows or reads it."""

MOST_WAITING, MOST_CONNECTIONS = 64, 128  # of which a browser opens six; each is a thread


def refusal(request: "flask.Request", names: Collection[str] | None, *, origin_may_lack: bool = False) -> str:
    """Why a request is not from this server's own page; "" if it is.

    A request for another host name (DNS rebinding) or from another site is refused.

    Args:
      request: The request.
      names: Host names by which this server is known, in lower case and without port; None for any, of which a
        browser's request then must come from the same.
      origin_may_lack: Whether a request that changes something may lack the header Origin, as those of programs that
        are not browsers do.
    """
    host, port = request.environ.get("HTTP_HOST", ""), request.environ["SERVER_PORT"]
    ends = (f":{port}", "") if port == "80" else (f":{port}",)  # browsers leave 80 out
    if names is not None and host.lower() not in [f"{name}{end}" for name in names for end in ends]:
        return f"this page is for {next(iter(names))}:{port} only"
    site = request.headers.get("Sec-Fetch-Site", "none")
    changes = request.method not in ("GET", "HEAD")
    # A link to the page may be followed from anywhere; nothing else is another site's business.
    is_link = not changes and request.headers.get("Sec-Fetch-Mode") == "navigate"
    if site not in ("same-origin", "none") and not is_link:
        return "requests of other sites are refused"
    origin = request.headers.get("Origin")
    if changes and origin != f"http://{host}" and not (origin is None and origin_may_lack):
        return "only this page may change something: the Origin header is missing or of another site"
    return ""


def add_page(
    app: "flask.Flask",
    page: str,
    assets: Mapping[str, str],
    problem_of_request: Callable[[], str],
    *,
    folder: str = "/",
    headers: Mapping[str, str] = HEADERS,
) -> None:
    """Makes an application refuse requests with a problem, and serve a page, below `folder`, and what it loads.

    The `page` is package/file; the `assets` are files beside it -> media types.
    """
    from werkzeug.exceptions import Forbidden

    package, _, page_name = page.partition("/")

    @app.before_request
    def refuse_strangers() -> None:
        problem = problem_of_request()
        if problem:
            raise Forbidden(problem)

    @app.after_request
    def harden(response: "flask.Response") -> "flask.Response":
        response.headers.update(headers)
        return response

    @app.get(folder, defaults={"name": page_name})
    @app.get("{}<any({}):name>".format(folder, ", ".join(f'"{name}"' for name in assets)))
    def asset(name: str) -> "flask.Response":
        contents = resources.files(package).joinpath(name).read_bytes()
        return app.response_class(contents, mimetype=assets.get(name, "text/html"))


def bind_server(app: "flask.Flask", host: str = LOOPBACK, port: int = 0) -> "tuple[BaseWSGIServer, int]":
    """Binds a server, not yet serving, to a port (0: a free one); returns it and the port.

    Raises:
      InputError: The port is taken, not allowed or no port, or the host is not this machine.
    """
    from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler, select_address_family

    class BoundedServer(ThreadedWSGIServer):
        """Takes a bounded number of connections; of many that are waited for the most silent one makes room."""

        def __init__(self, *args: Any):
            super().__init__(*args)
            self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
            self._lock = threading.Lock()
            self._waiting: dict[int, socket.socket] = {}  # the most silent first

        def process_request(self, request: Any, client_address: Any) -> None:
            if self._places.acquire(blocking=False):
                self._waits(request)
                super().process_request(request, client_address)
            else:
                self.shutdown_request(request)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                self._came(request)
                self._places.release()

        @contextlib.contextmanager
        def waiting(self, request: socket.socket) -> Iterator[None]:
            """For bytes of a connection."""
            self._waits(request)
            try:
                yield
            finally:
                self._came(request)

        def _waits(self, request: socket.socket) -> None:
            with self._lock:
                self._waiting.pop(id(request), None)
                self._waiting[id(request)] = request
                if len(self._waiting) > MOST_WAITING:
                    silent = self._waiting.pop(next(iter(self._waiting)))
                    with contextlib.suppress(OSError):
                        silent.shutdown(socket.SHUT_RDWR)  # its thread reads the end, and goes

        def _came(self, request: socket.socket) -> None:
            with self._lock:
                self._waiting.pop(id(request), None)

    class QuietHandler(WSGIRequestHandler):
        """Answers without a line per request, and hangs up on a client that is too slow."""

        timeout = PART_S
        rbufsize = 0

        def setup(self) -> None:
            super().setup()
            waiting = functools.partial(self.server.waiting, self.connection)  # type: ignore[attr-defined]
            self.rfile = io.BufferedReader(RequestBytes(self.rfile, self.connection, waiting))

        def log(self, type: str, message: str, *args: object) -> None:
            pass

    # Bound here: werkzeug would print its own message for a taken port and exit.
    with socket.socket(select_address_family(host, port), socket.SOCK_STREAM) as listener:
        if os.name == "posix":  # a port just left can be had again; elsewhere this would share a port in use
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            where = "" if host == LOOPBACK else f" of {host}"
            raise InputError(
                f"port {port}{where} cannot be used: {error}. Choose another, or 0 for a free one."
            ) from error
        listener.listen()
        port = listener.getsockname()[1]
        # The server works on a duplicate of the descriptor.
        return BoundedServer(host, port, app, QuietHandler, False, None, listener.fileno()), port
