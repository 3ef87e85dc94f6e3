import json

import pytest

from care_tf.boxes.review import _session as session_module
from care_tf.boxes.review._app import MAX_BODY_BYTES, create_app
from care_tf.boxes.review.opening import open_review
from care_tf.data.manifest import read_manifest

TOKEN = "secret-of-this-test"
HOST = "127.0.0.1:5000"
OWN = {"Origin": f"http://{HOST}", "X-Review-Token": TOKEN}
A_BOX = [50, 40, 110, 100]
GOOD = {"decision": "accept", "boxes": [A_BOX]}


@pytest.fixture
def review(manifest_path):
    return open_review(manifest_path, classes=["DF"], order="manifest")


@pytest.fixture
def client(review):
    return create_app(review, TOKEN).test_client()


def _get(client, path, **headers):
    return client.get(
        path, base_url=f"http://{HOST}", headers={name.replace("_", "-"): v for name, v in headers.items()}
    )


def _post(client, number=0, content=GOOD, *, headers=OWN, **options):
    body = {"json": content} if "data" not in options else {}
    return client.post(f"/{TOKEN}/decisions/{number}", base_url=f"http://{HOST}", headers=headers, **body, **options)


def test_the_page_and_what_it_needs_are_served(client):
    scripts = dict.fromkeys(("page.js", "stage.js", "geometry.js", "strip.js", "window.js"), "text/javascript")
    kinds = {"": "text/html", "page.css": "text/css", "icon.svg": "image/svg+xml", **scripts}
    for name, kind in kinds.items():
        reply = _get(client, f"/{TOKEN}/{name}")
        assert (reply.status_code, reply.mimetype) == (200, kind)
        # Nothing comes from elsewhere, and nothing inline, which the content security policy forbids.
        text = reply.text.replace("http://www.w3.org/", "")
        assert "http://" not in text and "https://" not in text and "style=" not in text and "onclick" not in text


def test_thumbnails_and_values_are_served_by_number(client):
    thumbnail = _get(client, f"/{TOKEN}/thumbnails/1")
    assert (thumbnail.status_code, thumbnail.mimetype) == (200, "image/jpeg") and len(thumbnail.data) < 4000
    assert _get(client, f"/{TOKEN}/values/1").status_code == 204  # 8 bits: nothing finer than what is shown
    assert {_get(client, f"/{TOKEN}/{kind}/3").status_code for kind in ("thumbnails", "values")} == {404}


def test_the_state_holds_the_queue_and_the_progress(client):
    state = _get(client, f"/{TOKEN}/state").json
    assert [item["name"] for item in state["items"]] == ["a.png", "b.png", "c.png"]
    assert state["items"][0]["boxes"] == [A_BOX]
    nothing = dict.fromkeys(("accepted", "corrected", "rejected", "reviewed"), 0)
    assert state["progress"] == {"total": 3, **nothing, "seconds_left": None}
    assert state["output"] == "manifest.reviewed.csv"


def test_an_image_is_served_by_its_number(client, manifest_path):
    reply = _get(client, f"/{TOKEN}/images/1")
    assert (reply.status_code, reply.mimetype) == (200, "image/png")
    assert reply.data == (manifest_path.parent / "b.png").read_bytes()


def test_a_decision_is_saved_and_answered(client, review):
    reply = _post(client, 0)
    assert reply.status_code == 200
    assert reply.json["item"]["decision"] == "accepted" and reply.json["progress"]["reviewed"] == 1
    assert _post(client, 1, {"decision": "reject"}).json["progress"]["rejected"] == 1
    assert read_manifest(review.output).box_sources[:2] == ("reviewed:dsr", "reviewed:rejected")


@pytest.mark.parametrize("path", ["/", f"/{TOKEN}/", f"/{TOKEN}/images/0", f"/{TOKEN}/state", "/nothing"])
def test_every_answer_is_hardened(client, path):
    headers = _get(client, path).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert not [name for name, _ in headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("path", ["", "state", "images/0", "page.js", "decisions/0"])
@pytest.mark.parametrize("prefix", ["", "wrong/", f"{TOKEN}x/", f"{TOKEN[:-1]}/"])
def test_without_the_token_there_is_nothing(client, prefix, path):
    assert _get(client, f"/{prefix}{path}").status_code in (404, 405)


@pytest.mark.parametrize(
    "path",
    [
        "images/../../etc/passwd",
        "images/..%2f..%2fetc%2fpasswd",
        "images/%2e%2e/%2e%2e/etc/passwd",
        "images/..%5c..%5cetc%5cpasswd",
        "images//etc/passwd",
        "images/%00",
        "images/a.png",
        "images/-1",
        "images/1.0",
        "images/99999999999999999999",
        "images/3",  # in the manifest, not under review
        "images/",
        "../../../etc/passwd",
        "page.html%00",
        "app.py",
        "session.py",
        "%2e%2e/app.py",
    ],
)
def test_only_numbers_under_review_lead_to_a_file(client, path):
    for start in (f"/{TOKEN}/", "/"):
        reply = _get(client, start + path)
        assert reply.status_code == 404
        assert b"root:" not in reply.data and b"def " not in reply.data


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:5000", "127.0.0.1", "127.0.0.1:80", "127.0.0.1.evil.example:5000", "[::1]:5000", ""],
)
def test_another_host_name_is_refused(client, review, host):
    for path in ("", "state", "images/0"):
        reply = _get(client, f"/{TOKEN}/{path}", Host=host)
        assert (reply.status_code, reply.json) == (403, {"error": "this page is for 127.0.0.1:5000 only"})
    assert _post(client, headers={**OWN, "Host": host, "Origin": f"http://{host}"}).status_code == 403
    assert not review.output.exists()


def test_localhost_is_this_machine_too(client):
    headers = {**OWN, "Host": "localhost:5000", "Origin": "http://localhost:5000"}
    assert _post(client, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://{HOST}"},
        {"Origin": "http://127.0.0.1:5001"},
        {"Origin": "http://localhost:5000"},
        {"Origin": None},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"X-Review-Token": None},
        {"X-Review-Token": "wrong"},
        {"X-Review-Token": "ünïcode"},
    ],
)
def test_a_change_must_come_from_the_own_page(client, review, headers):
    headers = {name: value for name, value in {**OWN, **headers}.items() if value is not None}
    reply = _post(client, headers=headers)
    assert reply.status_code == 403 and reply.json["error"]
    assert not review.output.exists()


def test_other_sites_get_a_link_to_the_page_and_nothing_else(client):
    assert _get(client, f"/{TOKEN}/images/0", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors").status_code == 403
    assert _get(client, f"/{TOKEN}/state", Sec_Fetch_Site="same-site", Sec_Fetch_Mode="cors").status_code == 403
    assert _get(client, f"/{TOKEN}/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status_code == 200
    assert _get(client, f"/{TOKEN}/state", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors").status_code == 200


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_only_post_saves(client, review, method):
    call = getattr(client, method)
    reply = call(f"/{TOKEN}/decisions/0", base_url=f"http://{HOST}", headers=OWN, json=GOOD)
    assert reply.status_code == 405
    assert not review.output.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**GOOD, "boxes": [[-1, 0, 5, 5]]}, "leaves the image of 200 x 150 px"),
        ({**GOOD, "boxes": None}, "must be a list of [x0, y0, x1, y1] numbers"),
        ({"decision": "accept"}, "has at least one box"),
        ({"decision": ["accept"]}, "must be one of accept, reject"),
        ({}, "must be one of accept, reject"),
        ([], "must be a JSON object"),
        ("accept", "must be a JSON object"),
        (None, "must be a JSON object"),
    ],
)
def test_a_bad_decision_is_named_and_not_saved(client, review, content, message):
    reply = _post(client, data=json.dumps(content), content_type="application/json")
    assert reply.status_code == 400
    assert message in reply.json["error"]
    assert not review.output.exists() and review.progress().reviewed == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"decision": "accept", "boxes": [[0, 0, 5,',
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"decision": "accept", "boxes": [[NaN, 0, 5, 5]]}',
        b'{"decision": "accept", "boxes": [[0, 0, Infinity, 5]]}',
        b'{"decision": "accept", "boxes": [[0, 0, 1e999, 5]]}',
        b'{"decision": "accept", "boxes": [[0, 0, 1' + b"0" * 400 + b", 5]]}",
        b'{"decision": "accept", "boxes": [[0, 0, 1' + b"0" * 9000 + b", 5]]}",
    ],
)
def test_malformed_json_is_refused(client, review, body):
    reply = _post(client, data=body, content_type="application/json")
    assert reply.status_code == 400 and reply.json["error"]
    assert not review.output.exists()


def test_oversized_and_mistyped_bodies_are_refused(client, review):
    large = json.dumps({**GOOD, "more": "x" * MAX_BODY_BYTES})
    assert _post(client, data=large, content_type="application/json").status_code == 413
    # What a form of another site can send without asking first.
    for content_type in ("text/plain", "application/x-www-form-urlencoded", None):
        assert _post(client, data=json.dumps(GOOD), content_type=content_type).status_code == 415
    assert not review.output.exists()


@pytest.mark.parametrize("number", [3, 4, 99, "a", "-1", "0/../1"])
def test_an_unknown_image_is_not_found(client, review, number):
    assert _post(client, number).status_code == 404
    assert not review.output.exists()


def test_an_image_that_went_bad_is_named(client, manifest_path):
    (manifest_path.parent / "a.png").write_bytes(b"nothing")
    reply = _get(client, f"/{TOKEN}/images/0")
    assert reply.status_code == 422 and "a.png cannot be decoded" in reply.json["error"]
    assert "is not a readable JPEG or PNG" in _post(client).json["error"]


def test_a_full_disk_is_named(client, review, monkeypatch):
    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session_module, "write_manifest", full_disk)
    reply = _post(client)
    assert reply.status_code == 500
    assert "manifest.reviewed.csv cannot be written: [Errno 28] No space left on device" in reply.json["error"]
    assert review.progress().reviewed == 0 and not review.output.exists()


def test_every_review_has_a_token_of_its_own(review):
    tokens = {create_app(review).config["TOKEN"] for _ in range(3)}
    assert len(tokens) == 3 and min(map(len, tokens)) >= 32
