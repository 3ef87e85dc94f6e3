"""What the demo answers, to good uploads and to bad ones. The model is a rule on colors."""

import http.client
import io
import json
import struct
import tempfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from color_model import CLASSES, ColorModel
from downloads import write_dicom
from PIL import Image

from care_tf import request_arrival
from care_tf.data import InputEncoding
from care_tf.errors import InputError
from care_tf.evaluation.decision_thresholds import Decision
from care_tf.file_in_memory import FileInMemory
from care_tf.serving import _demo_app, _predictor, demo_server
from care_tf.serving._demo_app import MAX_IMAGES, MAX_REQUESTS, create_demo_app
from care_tf.serving._prediction_service import PredictionService
from care_tf.serving.demo_server import make_demo_server, serve_demo

HOST = "127.0.0.1:8600"
RED, BLUE = (250, 5, 5), (5, 5, 250)


def app_of(names=("127.0.0.1", "localhost"), model=None, **description):
    return create_demo_app(PredictionService(model or ColorModel(**description), "skin"), names)


@pytest.fixture
def client():
    return app_of().test_client()


def post(client, data=None, path="/predict", headers=None, host=HOST, **options):
    return client.post(path, base_url=f"http://{host}", data=data, headers=headers, **options)


def encoded(color=RED, size=(60, 40), kind="PNG", **options):
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, kind, **options)
    return buffer.getvalue()


def form(*contents, name="a.png", **fields):
    return {"image": [(io.BytesIO(each), name) for each in contents], **fields}


def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline(client):
    for path, kind in {"/": "text/html", "/demo.css": "text/css", "/demo.js": "text/javascript"}.items():
        reply = client.get(path, base_url=f"http://{HOST}")
        assert (reply.status_code, reply.mimetype) == (200, kind)
        assert not any(word in reply.text for word in ("http://", "https://", "style=", "onclick", "innerHTML"))
        assert reply.headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert reply.headers["Cache-Control"] == "no-store"
    assert "not a medical device" in client.get("/", base_url=f"http://{HOST}").text


def test_the_model_says_what_it_takes():
    decision = Decision(CLASSES, 2.0, (0.5, None, 0.25))
    inputs = (InputEncoding("age", mean=50.0, std=10.0), InputEncoding("sex", ("f", "m")))
    said = app_of(decision=decision, inputs=inputs).test_client().get("/model", base_url=f"http://{HOST}").json
    assert said["name"] == "skin" and said["class_names"] == list(CLASSES)
    assert said["thresholds"] == {"red": 0.5, "green": None, "blue": 0.25} and said["temperature"] == 2.0
    assert said["inputs"] == [{"name": "age", "categories": []}, {"name": "sex", "categories": ["f", "m"]}]


def test_forms_and_bodies_are_predicted_as_files_are(client, tmp_path):
    pytest.importorskip("pydicom")
    rng, model = np.random.default_rng(0), ColorModel()
    Image.fromarray(rng.integers(0, 256, (30, 50, 3), np.uint8)).save(tmp_path / "a.jpg", quality=80)
    Image.fromarray(rng.integers(2**15, 2**16, (30, 50)).astype(np.uint16)).save(tmp_path / "wide.png")
    Image.fromarray(rng.integers(0, 256, (30, 50, 3), np.uint8)).save(tmp_path / "a.tif", compression="tiff_lzw")
    write_dicom(tmp_path / "a.dcm", rng.integers(0, 256, (30, 50), np.uint8))
    paths = [tmp_path / name for name in ("a.jpg", "wide.png", "a.tif", "a.dcm")]
    expected = model.predict(paths)
    reply = post(client, {"image": [(io.BytesIO(path.read_bytes()), path.name) for path in paths]})
    assert reply.status_code == 200 and [each["name"] for each in reply.json["images"]] == [p.name for p in paths]
    for path, answer, row in zip(paths, reply.json["images"], expected, strict=True):
        (alone,) = post(client, path.read_bytes(), content_type="application/octet-stream").json["images"]
        assert alone == {**answer, "name": "image"}
        assert list(answer["probabilities"]) == list(CLASSES) and (answer["width"], answer["height"]) == (50, 30)
        np.testing.assert_allclose(list(answer["probabilities"].values()), row, rtol=1e-6)
        assert answer["top_class"] == CLASSES[row.argmax()]
        assert answer["attention"] == {"class": answer["top_class"], "box": [0, 0, 25, 15]}


def test_a_class_and_pictures_are_given_where_asked_for(client):
    (answer,) = post(client, form(encoded(), class_name="blue", pictures="1")).json["images"]
    assert (answer["top_class"], answer["attention"]["class"]) == ("red", "blue")
    assert answer["attention"]["box"] == [30, 20, 60, 40]
    for picture in (answer["picture"], answer["attention"]["picture"]):
        assert picture.startswith("data:image/jpeg;base64,")
    (answer,) = post(client, encoded(), "/predict?class_name=green").json["images"]
    assert answer["attention"]["class"] == "green" and "picture" not in answer
    assert "Did you mean 'green'?" in post(client, encoded(), "/predict?class_name=gren").json["error"]


def test_an_export_without_the_signature_says_how_to_get_it():
    class Former(ColorModel):
        def __init__(self):
            super().__init__()
            self._explain_class, self.explains_any_class = None, False

    client = app_of(model=Former()).test_client()
    assert post(client, encoded()).status_code == 200
    reply = post(client, encoded(), "/predict?class_name=red")
    assert reply.status_code == 422 and "Export the run again" in reply.json["error"]


def test_a_decision_gives_calibrated_probabilities_and_what_is_called():
    decision = Decision(CLASSES, 2.0, (0.5, None, 0.1))
    (answer,) = post(app_of(decision=decision).test_client(), encoded()).json["images"]
    row = np.array([list(answer["probabilities"].values())])
    np.testing.assert_allclose(list(answer["calibrated"].values()), decision.calibrated(row)[0], rtol=1e-5)
    assert answer["called"] == ["red", "blue"] and answer["calibrated"]["red"] < answer["probabilities"]["red"]


def test_further_inputs_are_fields():
    client = app_of(inputs=(InputEncoding("age", mean=50.0, std=10.0),)).test_client()
    assert post(client, form(encoded(), age=" 51 ")).status_code == 200
    assert post(client, encoded(), "/predict?age=51").status_code == 200
    assert "The request must say age" in post(client, encoded()).json["error"]
    assert "age is 'old', which no training row has" in post(client, encoded(), "/predict?age=old").json["error"]


def png_of(width, height):
    """A PNG of a few bytes that states a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 9)
    chunks = (struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in (header, data))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"", 400, "send an image"),
        ({}, 400, "send an image"),
        (form(name=""), 400, "send an image"),
        (form(b""), 422, "a.png must be a PNG, JPEG, TIFF or DICOM file. Received one that starts with b''"),
        (b"some notes", 422, "image must be a PNG, JPEG, TIFF or DICOM file. Received one that starts with b'some'"),
        (encoded()[:60], 422, "The image image cannot be decoded"),
        (encoded(kind="JPEG")[:300], 422, "The image image cannot be decoded"),
        (encoded(kind="TIFF")[:100], 422, "The image image cannot be decoded"),
        (b"\x89PNG\r\n\x1a\n", 422, "The image image cannot be decoded"),
        (b"\0" * 128 + b"DICM" + b"\1" * 50, 422, "image: "),
        (form(b"broken", name="..\\x/etc/a b.dcm"), 422, "a b.dcm: The file is not a DICOM file"),
        (png_of(50_000, 1001), 413, "image must have at most 50,000,000 pixels, and 30,000 on a side"),
        (png_of(30_001, 1), 413, "30,000 on a side"),
        (png_of(2**31 - 1, 2**31 - 1), 413, "50,000,000 pixels"),
        (form(*[encoded()] * (MAX_IMAGES + 1)), 413, "at most 64 MiB and 16 images"),
        (form(*[encoded()] * 300), 413, "at most 64 MiB and 16 images"),
        (form(encoded(), b"broken", name="b.png"), 422, "b.png must be a PNG"),
    ],
    ids=lambda value: None if isinstance(value, str | int) else "upload",
)
def test_bad_uploads_are_one_line(client, data, status, message, capfd):
    pytest.importorskip("pydicom")
    reply = post(client, data)
    assert reply.status_code == status and list(reply.json) == ["error"]
    assert message in reply.json["error"] and len(reply.json["error"].splitlines()) == 1
    assert capfd.readouterr() == ("", "")


def test_a_form_that_breaks_off_is_one_line(client):
    body = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + encoded()
    reply = post(client, body, content_type="multipart/form-data; boundary=x")
    assert reply.status_code == 400 and "send an image" in reply.json["error"]


def test_too_many_bytes_are_refused():
    app = app_of()
    app.config["MAX_CONTENT_LENGTH"] = 1000
    for data in (b"x" * 1001, form(b"x" * 1001)):
        reply = post(app.test_client(), data)
        assert reply.status_code == 413 and "MiB" in reply.json["error"]


def test_what_states_too_many_pixels_is_not_decoded(client, monkeypatch, tmp_path):
    pytest.importorskip("pydicom")
    monkeypatch.setattr(_predictor, "read_pixels", lambda *_: pytest.fail("was decoded"))
    large = write_dicom(tmp_path / "a.dcm", np.zeros((2, 2), np.uint8), Rows=20_000, Columns=20_000).read_bytes()
    for contents in (png_of(8000, 8000), large):
        assert post(client, contents).status_code == 413


def test_a_deflated_dicom_file_is_refused_before_it_is_inflated(client, tmp_path):
    uid = pytest.importorskip("pydicom").uid
    path = write_dicom(tmp_path / "a.dcm", np.zeros((2, 2), np.uint8), syntax=uid.DeflatedExplicitVRLittleEndian)
    reply = post(client, path.read_bytes())
    assert reply.status_code == 422 and "must not be deflated" in reply.json["error"]


def test_uploads_stay_in_memory(client, monkeypatch):
    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, lambda *_, **__: pytest.fail("went to a file"))
    noise = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8)  # larger than werkzeug keeps in memory
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    assert len(buffer.getvalue()) > 1_000_000
    assert post(client, form(buffer.getvalue())).status_code == 200


def test_a_dark_image_is_told_to_the_client_alone(client, capfd):
    buffer = io.BytesIO()
    Image.fromarray(np.full((20, 30), 3000, np.uint16)).save(buffer, "PNG")
    (answer,) = post(client, form(buffer.getvalue(), name="wide.png")).json["images"]
    assert "wide.png: the largest value in this 16-bit PNG is 3000" in answer["warnings"][0]
    assert capfd.readouterr() == ("", "")


def test_a_strip_one_pixel_wide_becomes_no_giant_picture(client):
    (answer,) = post(client, form(encoded(size=(1, 20_000)), pictures="1")).json["images"]
    assert len(answer["picture"]) < 100_000


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8601"},
        {"Origin": "http://localhost:8600"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example:8600"},
        {"Host": "evil.example:8600", "Origin": "http://evil.example:8600"},
    ],
)
def test_requests_of_other_sites_are_refused(client, headers):
    reply = post(client, encoded(), headers=headers)
    assert reply.status_code == 403 and reply.json["error"]


def test_the_own_page_and_programs_are_answered(client):
    for headers in ({}, {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}):
        assert post(client, encoded(), headers=headers).status_code == 200
    open_to_others = app_of(names=None).test_client()
    for origin, status in {"http://lab.example:8600": 200, "http://evil.example": 403}.items():
        headers = {"Origin": origin}
        assert post(open_to_others, encoded(), headers=headers, host="lab.example:8600").status_code == status


def test_other_paths_and_methods_are_one_line(client):
    for reply, status in ((client.get("/predict", base_url=f"http://{HOST}"), 405), (post(client, b"", "/x"), 404)):
        assert reply.status_code == status and reply.json["error"]


@pytest.fixture
def served():
    """The address of a real server."""
    server, url, _ = make_demo_server(ColorModel(), "skin")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield url.split("/")[2]
    server.shutdown()
    thread.join()
    server.server_close()


def asked(address, contents, headers=None):
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("POST", "/predict", contents, headers or {})
    reply = connection.getresponse()
    answer = reply.status, json.loads(reply.read())
    connection.close()
    return answer


def test_requests_at_once_get_their_own_answers(served):
    colors = [RED, BLUE, RED, BLUE, BLUE, RED, RED, BLUE] * 2
    with ThreadPoolExecutor(MAX_REQUESTS) as pool:
        answers = list(pool.map(lambda color: asked(served, encoded(color)), colors))
    assert {status for status, _ in answers} == {200}
    expected = ["red" if color == RED else "blue" for color in colors]
    assert [answer["images"][0]["top_class"] for _, answer in answers] == expected


def test_a_large_body_is_answered_before_it_is_read(served):
    status, answer = asked(served, b"", {"Content-Length": str(65 * 2**20)})
    assert status == 413 and "64 MiB" in answer["error"]


def test_more_requests_at_once_than_fit_the_memory_are_told_to_come_again(monkeypatch):
    app, inside, go_on = app_of(), threading.Barrier(MAX_REQUESTS + 1, timeout=20), threading.Event()

    def slow(*_):
        inside.wait()
        go_on.wait(20)
        return {"top_class": "red"}

    monkeypatch.setattr(PredictionService, "answer", slow)
    with ThreadPoolExecutor(MAX_REQUESTS) as pool:
        replies = [pool.submit(post, app.test_client(), encoded()) for _ in range(MAX_REQUESTS)]
        inside.wait()
        refused = post(app.test_client(), encoded())
        go_on.set()
    assert refused.status_code == 503 and "4 requests are being answered" in refused.json["error"]
    assert [reply.result().status_code for reply in replies] == [200] * MAX_REQUESTS
    monkeypatch.undo()
    assert post(app.test_client(), encoded()).status_code == 200


def upload_of(address, num_bytes, sent=b""):
    """A connection that has announced an image, and sent a part of it."""
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", str(num_bytes))
    connection.endheaders(sent)
    return connection


def test_slow_uploads_keep_nobody_from_being_answered(served):
    slow = [upload_of(served, 60_000_000, b"a") for _ in range(2 * MAX_REQUESTS)]
    time.sleep(0.5)
    assert asked(served, encoded())[0] == 200
    for connection in slow:
        connection.close()


def test_an_upload_that_is_too_slow_is_told_so(served, monkeypatch):
    monkeypatch.setattr(request_arrival, "PART_S", 0.3)
    reply = upload_of(served, 1000, b"a").getresponse()
    assert reply.status == 408 and "at 100 kB a second" in json.loads(reply.read())["error"]


def test_uploads_that_fill_the_memory_are_told_to_come_again(monkeypatch):
    monkeypatch.setattr(_demo_app, "MAX_UPLOAD_BYTES", 2 * 2**20)
    client = app_of().test_client()
    for data in (b"x" * 3 * 2**20, form(b"x" * 3 * 2**20)):
        refused = post(client, data)
        assert refused.status_code == 503 and "uploads fill the 2 MiB" in refused.json["error"]
    for _ in range(5):  # what was taken is given back, after good requests and after bad ones
        assert post(client, form(encoded() + bytes(2**20))).status_code == 200
        assert post(client, b"x" * 2**20).status_code == 422


def test_a_stopped_service_begins_no_image():
    model = ColorModel()
    service = PredictionService(model, "skin")
    service.stop()
    asking = threading.Thread(target=service.answer, args=(FileInMemory("a.png", encoded()), {}), daemon=True)
    asking.start()
    asking.join(0.2)
    assert asking.is_alive() and model.batch_sizes == []


def test_the_names_of_a_host_are_its_own(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "Lab")
    monkeypatch.setattr("socket.getfqdn", lambda: "lab.example")
    assert list(demo_server._names("192.0.2.7")) == ["192.0.2.7", "lab", "lab.example"]
    assert list(demo_server._names("2001:db8::7")) == ["[2001:db8::7]", "lab", "lab.example"]
    assert list(demo_server._names("127.0.0.1")) == ["127.0.0.1", "localhost", "[::1]"]
    assert demo_server._names("0.0.0.0") is None and demo_server._names("::") is None


def test_browsers_leave_port_80_out(client):
    for host in ("127.0.0.1", "LOCALHOST", "localhost:80"):
        assert client.get("/model", base_url="http://127.0.0.1", headers={"Host": host}).status_code == 200
    for host in ("evil.example", "127.0.0.1:8600"):
        assert client.get("/model", base_url="http://127.0.0.1", headers={"Host": host}).status_code == 403
    assert client.get("/model", base_url=f"http://{HOST}", headers={"Host": "127.0.0.1"}).status_code == 403


def test_a_taken_port_is_one_line(served):
    port = int(served.split(":")[1])
    with pytest.raises(InputError, match=f"port {port} cannot be used: .*in use.* Choose another, or 0"):
        make_demo_server(ColorModel(), "skin", port=port)
    with pytest.raises(InputError, match="port 0 of 203.0.113.7 cannot be used"):
        make_demo_server(ColorModel(), "skin", host="203.0.113.7")


@pytest.mark.parametrize(("host", "warns"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])
def test_serving_prints_where_and_warns_where_others_may_come_in(monkeypatch, capsys, host, warns):
    closed = []

    class Stopped:
        serve_forever = staticmethod(lambda: None)
        server_close = staticmethod(lambda: closed.append(True))

    bound = lambda *_: (Stopped(), f"http://{host}:8600/", PredictionService(ColorModel(), "skin"))  # noqa: E731
    monkeypatch.setattr(demo_server, "make_demo_server", bound)
    serve_demo(ColorModel(), "skin", host=host)
    out, err = capsys.readouterr()
    assert out.startswith(f"http://{host}:8600/\n") and closed == [True]
    assert ("no password" in err) == warns
