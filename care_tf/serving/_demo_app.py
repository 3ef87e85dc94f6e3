"""The web application of the demo: a page to drop images on, and one request that predicts them."""

import functools
import io
import threading
from collections.abc import Collection
from typing import IO, TYPE_CHECKING, Any, cast

from care_tf.errors import InputError
from care_tf.extras import require_extra
from care_tf.file_in_memory import FileInMemory
from care_tf.local_server import HEADERS, add_page, refusal
from care_tf.request_arrival import PART_BYTES, PART_S
from care_tf.serving._image_files import TooLargeError
from care_tf.serving._prediction_service import PredictionService
from care_tf.serving._upload_memory import CountedStream, UploadMemory

if TYPE_CHECKING:
    import flask

require_extra("care serve", "serve", "flask")

MAX_BODY_BYTES = 64 * 2**20
MAX_IMAGES = 16
MAX_REQUESTS = 4  # answered at once
MAX_UPLOAD_BYTES = MAX_REQUESTS * MAX_BODY_BYTES  # in memory at once, of requests that arrive or are answered
_MAX_NAME = 100
_ASSETS = {"demo.css": "text/css", "demo.js": "text/javascript"}
_OWN_FIELDS = ("class_name", "pictures")
_CSP = "Content-Security-Policy"
_HEADERS = {**HEADERS, _CSP: f"{HEADERS[_CSP]}; img-src data:"}
_DICOM = "application/dicom"


def create_demo_app(service: PredictionService, names: Collection[str] | None) -> "flask.Flask":
    """The application. It keeps nothing of a request: uploads stay in memory until they are answered.

    | request | answer |
    |---|---|
    | `GET /` | the page |
    | `GET /model` | class names, thresholds, further inputs |
    | `POST /predict` | `{"images": [...]}`, one for each image of a form, or for the body |

    Whatever goes wrong with a request is `{"error": "..."}`, one line, with a 4xx status, 503 while `MAX_REQUESTS` are
    being answered or uploads fill `MAX_UPLOAD_BYTES`, or 500 for a fault of the server. A request that is still
    arriving keeps no other one from being answered.

    Args:
      service: What answers.
      names: The host names by which browsers may call it, as of `refusal`.
    """
    import flask
    from werkzeug.exceptions import ClientDisconnected, HTTPException

    def refuse_upload() -> None:
        flask.abort(503, f"uploads fill the {MAX_UPLOAD_BYTES >> 20} MiB there are for them; send this one again later")

    class Request(flask.Request):
        """Keeps files of a form in memory, and counts it; werkzeug would write large ones to a temporary file."""

        max_form_parts = 4 * MAX_IMAGES

        @functools.cached_property
        def stream(self) -> IO[bytes]:
            return cast(IO[bytes], CountedStream(super().stream, memory, refuse_upload))

        def close(self) -> None:  # once the request is answered
            super().close()
            if "stream" in vars(self):
                self.stream.close()

        def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:
            return io.BytesIO()

    memory = UploadMemory(MAX_UPLOAD_BYTES)
    under_way = threading.BoundedSemaphore(MAX_REQUESTS)
    app = flask.Flask(__name__, static_folder=None)
    app.request_class = Request
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    page = "care_tf.serving/demo.html"
    problem_of_request = functools.partial(refusal, flask.request, names, origin_may_lack=True)
    add_page(app, page, _ASSETS, problem_of_request, headers=_HEADERS)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the classes' own order

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple["flask.Response", int]:
        too_large = (
            f"a request must have at most {MAX_BODY_BYTES >> 20} MiB and {MAX_IMAGES} images; send fewer at once"
        )
        return flask.jsonify(error=too_large if error.code == 413 else error.description), error.code or 500

    @app.errorhandler(ClientDisconnected)
    def broken_off(_: ClientDisconnected) -> tuple["flask.Response", int]:
        speed = f"at {PART_BYTES // PART_S // 1000} kB a second, or within {PART_S} seconds"
        return flask.jsonify(error=f"a request must arrive {speed}; this one stopped before its end"), 408

    @app.errorhandler(InputError)
    def bad_input(error: InputError) -> tuple["flask.Response", int]:
        return flask.jsonify(error=str(error)), 413 if isinstance(error, TooLargeError) else 422

    @app.get("/model")
    def model() -> "flask.Response":
        return flask.jsonify({**service.description(), "max_bytes": MAX_BODY_BYTES})

    @app.post("/predict")
    def predict() -> "flask.Response":
        files, fields = _uploads(flask.request)  # takes as long as the client takes to send them
        if not under_way.acquire(blocking=False):
            flask.abort(503, f"{MAX_REQUESTS} requests are being answered; send this one again later")
        try:
            return answers(files, fields)
        finally:
            under_way.release()

    def answers(files: list[FileInMemory], fields: dict[str, str]) -> "flask.Response":
        if not files:
            flask.abort(400, "send an image: as the body, or as one or more files of a form (multipart/form-data)")
        if len(files) > MAX_IMAGES:
            flask.abort(413)
        cells = {name: value.strip() for name, value in fields.items() if name not in _OWN_FIELDS}
        class_name, pictures = fields.get("class_name") or None, fields.get("pictures") == "1"
        return flask.jsonify(images=[service.answer(file, cells, class_name, pictures) for file in files])

    return app


def _uploads(request: "flask.Request") -> tuple[list[FileInMemory], dict[str, str]]:
    """The files of a request, and its fields."""
    if request.mimetype == "multipart/form-data":
        # `getvalue` of the BytesIO copies nothing.
        given = [each for _, each in request.files.items(multi=True) if each.filename]
        return [FileInMemory(_name(each.filename or ""), each.getvalue()) for each in given], request.values.to_dict()
    contents = request.get_data(cache=False)
    name = "image.dcm" if request.mimetype == _DICOM else "image"
    return [FileInMemory(name, contents)] if contents else [], request.args.to_dict()


def _name(given: str) -> str:
    """A file's name as messages show it: without folders, in one line."""
    printable = "".join(letter if letter.isprintable() else " " for letter in given.replace("\\", "/").split("/")[-1])
    return printable.strip()[-_MAX_NAME:] or "image"
