"""Serves a review to this machine's browser until Ctrl-C."""

import webbrowser
from typing import TYPE_CHECKING

from care_tf.boxes.review._app import create_app
from care_tf.boxes.review._session import ReviewSession
from care_tf.local_server import LOOPBACK, bind_server

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer


def make_review_server(session: ReviewSession, port: int = 0) -> "tuple[BaseWSGIServer, str]":
    """Binds a server, not yet serving, to a port (0: a free one) of this machine alone; returns it and the page's URL.

    Raises:
      InputError: The port is taken, not allowed or no port.
    """
    app = create_app(session)
    server, port = bind_server(app, port=port)
    return server, f"http://{LOOPBACK}:{port}/{app.config['TOKEN']}/"


def serve_review(session: ReviewSession, *, port: int = 0, open_browser: bool = True) -> None:
    """Prints the page's URL, opens it and serves it until Ctrl-C, then prints what was reviewed.

    Args:
      session: The review.
      port: The TCP port; 0 takes a free one.
      open_browser: Opens the page in the default browser.

    Raises:
      InputError: As `make_review_server`.
    """
    server, url = make_review_server(session, port)
    progress = session.progress()
    print(f"{progress.total} images to review, {progress.reviewed} done. Every decision goes to {session.output}")
    if session.num_masks:
        print(f"{session.num_masks} images with a mask instead of boxes are left out and stay as they are")
    print(f"{url}\nCtrl-C ends the review; the same command continues it later", flush=True)
    if open_browser:
        webbrowser.open(url)
    try:
        server.serve_forever()  # returns on Ctrl-C
    finally:
        server.server_close()
    progress = session.progress()  # waits for a save in progress
    print(
        f"\nreviewed {progress.reviewed} of {progress.total}: {progress.accepted} accepted, "
        f"{progress.corrected} corrected, {progress.rejected} rejected"
    )
