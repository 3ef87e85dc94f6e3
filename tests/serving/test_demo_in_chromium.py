"""The demo's page in a real browser: images are chosen, a class is chosen, a bad file is told."""

import threading

import pytest
from chromium import NEEDED, launched, silent_page
from color_model import CLASSES, ColorModel
from PIL import Image

from care_tf.data import InputEncoding
from care_tf.evaluation.decision_thresholds import Decision
from care_tf.serving.demo_server import make_demo_server

pytestmark = NEEDED


@pytest.fixture
def url():
    decision, age = Decision(CLASSES, 1.0, (0.5, None, 0.01)), InputEncoding("age", mean=50.0, std=10.0)
    server, url, _ = make_demo_server(ColorModel(decision=decision, inputs=(age,)), "skin")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page():
    narrow = {"width": 700, "height": 900}
    with launched() as browser, browser.new_context(viewport=narrow) as context, silent_page(context) as page:
        yield page


def test_images_are_predicted_and_bad_files_told(page, url, tmp_path):
    Image.new("RGB", (60, 40), (250, 5, 5)).save(tmp_path / "red.tif")
    (tmp_path / "notes <b>.png").write_text("some notes")
    page.expected_complaint = "Failed to load resource"
    page.goto(url)
    page.get_by_role("heading", name="skin").wait_for()
    page.get_by_role("textbox", name="age").fill("51")
    page.set_input_files("#files", [tmp_path / "red.tif", tmp_path / "notes <b>.png"])
    page.get_by_text("notes <b>.png must be a PNG").wait_for()
    card = page.locator("article").first
    card.locator(".top b").get_by_text("red").wait_for()
    assert card.locator(".called").inner_text() == "Called by the thresholds: red, blue"
    assert card.locator("li").all_inner_texts() == ["red\n0.962", "green\n0.019", "blue\n0.019"]
    before = card.get_by_alt_text("Attention to red, box 0, 0, 30, 20").get_attribute("src")
    assert card.locator(".given").inner_text() == "age 51"
    page.get_by_role("textbox", name="age").fill("old")  # for the next image
    card.locator("select").select_option("blue")
    page.get_by_alt_text("Attention to blue, box 30, 20, 60, 40").wait_for()
    assert card.locator(".attention").get_attribute("src") != before
    page.route("**/predict", lambda route: route.fulfill(status=503, json={"error": "come again"}))
    card.locator("select").select_option("green")
    page.get_by_text("come again").wait_for()
    assert card.locator("select").input_value() == "blue" and "busy" not in card.get_attribute("class").split()
    assert page.evaluate("document.documentElement.scrollWidth <= 700")
    page.get_by_role("button", name="Clear").click()
    assert page.locator("article").count() == 0
