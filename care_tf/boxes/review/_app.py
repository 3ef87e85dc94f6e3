"""The web application of a review: one page, its images by number, and one request that saves a decision."""

import contextlib
import dataclasses
import json
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from care_tf.boxes.review._served_image import browser_image, browser_thumbnail, browser_values
from care_tf.boxes.review._session import ReviewProgress, ReviewSession
from care_tf.errors import InputError
from care_tf.local_server import LOOPBACK, add_page, refusal

if TYPE_CHECKING:
    import flask

MAX_BODY_BYTES = 64 * 1024  # some 2000 boxes
TOKEN_HEADER = "X-Review-Token"
_ASSETS = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "stage.js": "text/javascript",
    "strip.js": "text/javascript",
    "window.js": "text/javascript",
    "geometry.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def create_app(session: ReviewSession, token: str | None = None) -> "flask.Flask":
    """The application of one review, for this machine's browser only.

    Everything is served under `/<token>/`, which another user of the machine, or another page in the browser, cannot
    guess (a browser that is opened with the URL shows it in the list of processes). Images are requested by their
    number in the manifest: no request holds a path. A request for another host name (DNS rebinding) or from another
    site is refused; what changes something must come from this page, as JSON and with the token in the header
    `X-Review-Token`, too. The token is by default a new random one, found in `app.config["TOKEN"]`.
    """
    import flask
    from werkzeug.exceptions import HTTPException

    token = secrets.token_urlsafe(24) if token is None else token
    app = flask.Flask(__name__, static_folder=None)
    app.config.update(TOKEN=token, MAX_CONTENT_LENGTH=MAX_BODY_BYTES)
    page = "care_tf.boxes.review/page.html"
    add_page(app, page, _ASSETS, lambda: _stranger(flask.request, token), folder=f"/{token}/")
    routes = flask.Blueprint("review", __name__, url_prefix=f"/{token}")

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple["flask.Response", int]:
        return flask.jsonify(error=error.description), error.code or 500

    @app.errorhandler(InputError)
    def bad_input(error: InputError) -> tuple["flask.Response", int]:
        return flask.jsonify(error=str(error)), 400

    @app.errorhandler(OSError)
    def not_written(error: OSError) -> tuple["flask.Response", int]:
        return flask.jsonify(error=f"{session.output.name} cannot be written: {error}. Nothing was saved."), 500

    @routes.get("/state")
    def state() -> "flask.Response":
        return flask.jsonify(items=session.items(), progress=_progress(session.progress()), output=session.output.name)

    @routes.post("/decisions/<int:number>")
    def decide(number: int) -> "flask.Response":
        _known(session, number)
        content = _json_object(flask.request)
        progress = session.decide(number, content.get("decision", ""), content.get("boxes", []))
        return flask.jsonify(item=session.item(number), progress=_progress(progress))

    _add_images(routes, session)
    app.register_blueprint(routes)
    return app


def _add_images(routes: "flask.Blueprint", session: ReviewSession) -> None:
    """What a browser asks for an image: its pixels, a thumbnail, and its own values where they are finer."""
    import flask

    @routes.get("/images/<int:number>")
    def image(number: int) -> "flask.Response":
        with _unreadable():
            data, media_type = browser_image(_known(session, number), session.manifest.max_pixel_value)
        return flask.Response(data, mimetype=media_type)

    @routes.get("/thumbnails/<int:number>")
    def thumbnail(number: int) -> "flask.Response":
        path = _known(session, number)
        try:
            return flask.Response(browser_thumbnail(path, session.manifest.max_pixel_value), mimetype="image/jpeg")
        except InputError:
            return flask.Response(status=204)  # the image itself says why

    @routes.get("/values/<int:number>")
    def values(number: int) -> "flask.Response":
        with _unreadable():
            found = browser_values(_known(session, number), session.manifest.max_pixel_value)
        if found is None:
            return flask.Response(status=204)
        header = f"{found.width} {found.height} {found.white}"
        return flask.Response(found.data, mimetype="application/octet-stream", headers={"X-Values": header})


def _stranger(request: "flask.Request", token: str) -> str:
    """Why a request is not from this review's own page; "" if it is."""
    problem = refusal(request, (LOOPBACK, "localhost"))
    is_known = secrets.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), token.encode())
    if not problem and request.method not in ("GET", "HEAD") and not is_known:
        return f"the header {TOKEN_HEADER} is missing or wrong; reload the page"
    return problem


def _known(session: ReviewSession, number: int) -> str:
    import flask

    try:
        return session.image_path(number)
    except InputError as error:
        flask.abort(404, str(error))


@contextlib.contextmanager
def _unreadable() -> Iterator[None]:
    import flask

    try:
        yield
    except InputError as error:
        flask.abort(422, str(error))


def _json_object(request: "flask.Request") -> dict[str, Any]:
    import flask

    if request.mimetype != "application/json":
        flask.abort(415, "send a decision as application/json")
    try:
        content = json.loads(request.get_data())
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise InputError('A decision must be a JSON object such as {"decision": "accept", "boxes": [[0, 0, 9, 9]]}.')
    return content


def _progress(progress: ReviewProgress) -> dict[str, Any]:
    return {**dataclasses.asdict(progress), "reviewed": progress.reviewed}
