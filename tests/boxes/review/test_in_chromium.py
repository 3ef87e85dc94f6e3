"""The page in a real browser: clicks, drags and keys, and what they leave on disk."""

import threading

import numpy as np
import pytest
from chromium import NEEDED, launched, silent_page
from PIL import Image

from care_tf.boxes.review import _session as session_module
from care_tf.boxes.review.opening import open_review
from care_tf.data.manifest import read_manifest, write_manifest
from care_tf.images.pixels import read_image

pytestmark = NEEDED
A_BOX = [50, 40, 110, 100]
B_BOXES = [[10, 10, 60, 60], [100, 50, 160, 120]]


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


class Reviewer:
    """A person at the page: works in image pixels, and reads what is on disk."""

    def __init__(self, page, review, url):
        self.page, self.review, self.url = page, review, url
        page.goto(url)

    def sees(self, name):
        """Waits until an image is on the stage."""
        self.page.wait_for_function(
            "name => document.getElementById('name').textContent === name && document.querySelector('.picture')",
            arg=f"{name}.png",
        )

    def at(self, x, y):
        """Where an image pixel's corner is on the screen."""
        frame = self.page.locator(".picture").bounding_box()
        width, height = self.page.locator(".picture").evaluate("image => [image.naturalWidth, image.naturalHeight]")
        return frame["x"] + x * frame["width"] / width, frame["y"] + y * frame["height"] / height

    def drag(self, start, stop):
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(*np.mean([start, stop], axis=0)))
        self.page.mouse.move(*self.at(*stop))
        self.page.mouse.up()

    def hears(self):
        """What the page said last, as a screen reader has it."""
        return self.page.locator("#announce").inner_text()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def boxes(self):
        """The boxes as drawn, in image pixels."""
        (left, top), (right, _) = self.at(0, 0), self.at(200, 150)
        scale = (right - left) / 200
        stage = self.page.locator("#stage").bounding_box()
        drawn = self.page.locator(".box .line").evaluate_all(
            "lines => lines.map(line => ['x', 'y', 'width', 'height'].map(name => +line.getAttribute(name)))"
        )
        corners = [[x, y, x + width, y + height] for x, y, width, height in drawn]
        origin = np.array([left - stage["x"], top - stage["y"]] * 2)
        return [np.round((np.array(box) - origin) / scale, 2).tolist() for box in corners]

    def waits_until_saved(self, num_reviewed):
        self.page.wait_for_function(
            "text => document.getElementById('reviewed').textContent.startsWith(text)", arg=f"{num_reviewed} of"
        )

    def saved(self, name):
        manifest = read_manifest(self.review.output)
        row = [path.endswith(f"/{name}.png") for path in manifest.image_paths].index(True)
        return manifest.boxes[row].tolist(), manifest.box_sources[row]


@pytest.fixture
def review(manifest_path):
    return open_review(manifest_path, classes=["DF"], order="manifest")


@pytest.fixture(scope="module")
def context(browser):
    with browser.new_context(viewport={"width": 1280, "height": 800}, has_touch=True) as context:
        yield context


@pytest.fixture
def page(context, serve):  # made after the server, so that it is closed before it, and never asks one that has gone
    with silent_page(context) as page:
        yield page
        page.close()


@pytest.fixture
def person(page, review, serve):
    return Reviewer(page, review, serve(review))


def test_a_box_is_moved_resized_nudged_and_accepted(person):
    person.sees("a")
    assert person.boxes() == [A_BOX]
    person.drag((80, 70), (100, 60))
    assert person.boxes() == [[70, 30, 130, 90]]
    person.drag((130, 90), (140, 110))  # the lower right corner
    person.drag((70, 60), (60, 60))  # the left edge
    assert person.boxes() == [[60, 30, 140, 110]]
    person.press("ArrowRight", "Shift+ArrowDown", "Control+ArrowLeft")
    assert person.boxes() == [[61, 40, 140, 120]]
    person.press("a")
    person.sees("b")
    person.waits_until_saved(1)
    assert person.saved("a") == ([[61, 40, 140, 120]], "reviewed:corrected")


def test_every_handle_moves_its_own_edges(person):
    person.sees("a")
    x0, y0, x1, y1 = A_BOX
    for handle in ("nw", "n", "ne", "e", "se", "s", "sw", "w"):
        x = x0 if "w" in handle else x1 if "e" in handle else 80
        y = y0 if "n" in handle else y1 if "s" in handle else 70
        person.drag((x, y), (x + 7, y + 5))
        moved = [x0 + 7 * ("w" in handle), y0 + 5 * ("n" in handle), x1 + 7 * ("e" in handle), y1 + 5 * ("s" in handle)]
        assert person.boxes() == [moved], handle
        assert person.page.locator(".handle").count() == 8
        person.press("Control+z")
        assert person.boxes() == [A_BOX]


def test_boxes_are_added_deleted_and_brought_back(person):
    person.sees("a")
    person.drag((120, 110), (180, 145))
    assert person.boxes() == [A_BOX, [120, 110, 180, 145]]
    person.page.mouse.click(*person.at(80, 70))
    person.press("Delete")
    assert person.boxes() == [[120, 110, 180, 145]]
    person.press("Backspace")  # the only box needs no selection
    assert person.boxes() == []
    person.press("a")  # nothing to accept
    assert person.hears() == "There is no box to accept: draw one, or press R for no lesion box"
    person.press("Control+z", "Control+z")
    assert person.boxes() == [A_BOX, [120, 110, 180, 145]]
    person.press("Control+z")
    assert person.boxes() == [A_BOX]
    person.press("Control+Shift+Z")
    assert person.boxes() == [A_BOX, [120, 110, 180, 145]]
    person.press("o")
    assert person.boxes() == [A_BOX]
    person.press("Enter")
    person.waits_until_saved(1)
    assert person.saved("a") == ([A_BOX], "reviewed:dsr")


def test_drags_end_at_the_image(person):
    person.sees("a")
    person.drag((80, 70), (400, -300))
    assert person.boxes() == [[140, 0, 200, 60]]
    person.drag((20, 120), (-40, 300))
    assert person.boxes() == [[140, 0, 200, 60], [0, 120, 20, 150]]
    person.press("Shift+ArrowLeft", "ArrowDown")
    assert person.boxes()[1] == [0, 120, 20, 150]
    person.press("a")
    person.waits_until_saved(1)
    assert person.saved("a") == ([[140, 0, 200, 60], [0, 120, 20, 150]], "reviewed:corrected")


def test_escape_takes_back_a_drag(person):
    person.sees("a")
    person.page.mouse.move(*person.at(80, 70))
    person.page.mouse.down()
    person.page.mouse.move(*person.at(120, 90))
    assert person.boxes() == [[90, 60, 150, 120]]
    person.press("a")  # no decision in the middle of a drag
    person.press("Escape")
    person.page.mouse.up()
    assert person.boxes() == [A_BOX]
    assert person.review.progress().reviewed == 0


def test_a_click_draws_nothing(person):
    person.sees("a")
    person.page.mouse.click(*person.at(10, 10))
    assert person.boxes() == [A_BOX]
    person.press("Control+z")
    assert "Nothing to undo" in person.hears()


def test_the_whole_queue_by_keyboard(person):
    person.sees("a")
    person.press("s")  # skipped
    person.sees("b")
    assert person.boxes() == B_BOXES
    person.press("Enter")
    person.sees("c")
    assert person.page.locator("#accept").is_disabled()
    person.press("r")
    person.sees("a")  # the skipped one comes again
    person.press("ArrowRight")
    assert person.hears() == "This is the only image left"
    person.press("r")
    person.page.get_by_text("All 3 images are reviewed").wait_for()
    person.waits_until_saved(3)
    assert [person.saved(name) for name in "abc"] == [
        ([], "reviewed:rejected"),
        (B_BOXES, "reviewed:dsr"),
        ([], "reviewed:rejected"),
    ]
    # Back to the last one, where the rejected box can be brought back.
    person.press("p")
    person.sees("a")
    assert person.page.locator("#decision").inner_text() == "✕ no lesion box"
    person.press("o", "a")
    person.page.get_by_text("All 3 images are reviewed").wait_for()
    person.page.wait_for_function("() => document.getElementById('counts').title.startsWith('2 accepted')")
    assert person.saved("a") == ([A_BOX], "reviewed:dsr")


def test_a_reload_goes_on_where_it_was(person):
    person.sees("a")
    person.press("a")
    person.sees("b")
    person.waits_until_saved(1)
    person.page.reload()
    person.sees("b")
    assert person.page.locator("#reviewed").inner_text() == "1 of 3 reviewed"
    person.press("f", "p")  # all images
    person.sees("a")
    assert person.page.locator("#decision").inner_text() == "✓ accepted"
    person.press("s")
    person.sees("b")


def test_edits_survive_a_look_elsewhere(person):
    person.sees("a")
    person.drag((80, 70), (90, 80))
    assert person.page.get_by_text("edited, not saved").is_visible()
    person.press("Escape", "ArrowRight")
    person.sees("b")
    person.press("ArrowLeft")
    person.sees("a")
    assert person.boxes() == [[60, 50, 120, 110]]
    person.press("Control+z")
    assert person.boxes() == [A_BOX]


def test_buttons_do_what_the_keys_do(person):
    person.sees("a")
    person.page.click("#reject")
    person.sees("b")
    person.page.click("#zoom-in")
    person.press("Enter")  # accepts: the button that was clicked does not take the key
    person.sees("c")
    person.waits_until_saved(2)
    assert (person.saved("a")[1], person.saved("b")[1]) == ("reviewed:rejected", "reviewed:dsr")
    person.page.click("#previous")
    person.sees("b")
    person.page.click("#help")
    assert person.page.get_by_role("dialog").is_visible()
    person.press("r")  # a key meant for the dialog decides nothing
    person.page.click("#close-keys")
    person.sees("b")


def test_a_key_held_down_decides_once(person):
    person.sees("a")
    person.page.keyboard.down("a")
    for _ in range(5):
        person.page.keyboard.down("a")
    person.page.keyboard.up("a")
    person.waits_until_saved(1)
    person.sees("b")


def test_zoom_keeps_boxes_on_their_pixels(person):
    person.sees("a")
    before = person.page.locator(".picture").bounding_box()["width"]
    person.page.mouse.move(*person.at(110, 100))
    person.page.mouse.wheel(0, -600)
    person.page.wait_for_function("width => document.querySelector('.picture').clientWidth > 2 * width", arg=before)
    assert person.boxes() == [A_BOX]
    person.drag((110, 100), (120, 105))
    assert person.boxes() == [[50, 40, 120, 105]]
    person.page.keyboard.down(" ")
    (x, y), _ = person.at(0, 0), person.drag((100, 90), (90, 80))
    person.page.keyboard.up(" ")
    assert person.at(0, 0)[0] < x and person.at(0, 0)[1] < y
    assert person.boxes() == [[50, 40, 120, 105]]
    person.press("0")
    assert person.page.locator(".picture").bounding_box()["width"] == pytest.approx(before)


def test_nothing_scrolls_at_1280_by_800(person):
    person.sees("a")
    sizes = person.page.evaluate(
        "[...document.querySelectorAll('html, body, header, footer')].map(e => [e.scrollWidth - e.clientWidth, "
        "e.scrollHeight - e.clientHeight])"
    )
    assert sizes == [[0, 0]] * 4
    picture, stage = (person.page.locator(name).bounding_box() for name in (".picture", "#stage"))
    assert stage["width"] == 1280 - 92 and stage["height"] > 680
    assert picture["height"] > 640 and picture["width"] / picture["height"] == pytest.approx(4 / 3, rel=1e-3)
    for button in person.page.locator("button:visible").all():
        frame = button.bounding_box()
        assert frame["x"] + frame["width"] <= 1280 and frame["y"] + frame["height"] <= 800


def test_a_window_changes_what_is_seen_and_nothing_else(person):
    person.sees("a")
    page, stored = (
        person.page,
        (person.review.manifest.image_paths[0], read_image(person.review.manifest.image_paths[0])),
    )
    page.mouse.move(*person.at(80, 70))
    page.mouse.down(button="right")
    page.mouse.move(*person.at(60, 40))
    page.mouse.up(button="right")
    page.wait_for_selector("#window-state:visible")
    assert "of the 8 bits shown" in page.locator("#window-state").inner_text()
    assert "window" in page.locator(".picture").evaluate("image => image.style.filter")
    assert person.boxes() == [A_BOX] and not page.get_by_text("edited, not saved").is_visible()
    person.press("v")
    assert page.locator(".picture").evaluate("image => image.style.filter") == "none"
    person.press("w", "ArrowUp", "ArrowRight")  # no box moves while the arrows window
    person.drag((80, 70), (100, 60))
    assert person.boxes() == [A_BOX]
    person.press("a")
    person.waits_until_saved(1)
    assert person.saved("a") == ([A_BOX], "reviewed:dsr")
    np.testing.assert_array_equal(read_image(stored[0]), stored[1])
    person.sees("b")
    assert not page.locator("#window-state").is_visible()  # every image is first seen as it is
    person.press("Escape")
    person.drag((130, 80), (135, 80))  # edits again
    assert person.boxes()[1] == [105, 50, 165, 120]


def test_sixteen_bits_are_windowed_on_the_files_values(manifest_path, page, serve):
    numbers = np.tile(np.linspace(0, 4095, 200).astype(np.uint16), (150, 1))
    Image.fromarray(numbers).save(manifest_path.parent / "a.png")
    person = Reviewer(page, review := open_review(manifest_path, order="manifest", max_pixel_value=4095), serve(review))
    person.sees("a")
    person.press("w", *["ArrowLeft"] * 20)
    page.wait_for_selector(".windowed:visible")
    words = page.locator("#window-state").inner_text()
    level, width = (float(part.split()[-1]) for part in words.split(", ")[:2])
    assert "the file's values" in words and level == 2048 and width == round(4095 * np.exp(-1.2))
    row = page.locator(".windowed").evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 75, 200, 1).data].filter((_, i) => i % 4 === 0)"
    )
    low = 2047.5 - 4095 * np.exp(-1.2) / 2
    expected = np.clip(255 * (numbers[0] - low) / (4095 * np.exp(-1.2)), 0, 255)
    np.testing.assert_allclose(row, expected, atol=0.51)
    frames = [page.locator(name).bounding_box() for name in (".picture", ".windowed")]
    assert frames[0] == frames[1]


VALUES_LATER = """() => {
    const { fetch } = window;
    window.answers = [];
    window.fetch = (url, ...others) =>
        url.startsWith("values/")
            ? new Promise((resolve, reject) => window.answers.push({ resolve, reject }))
            : fetch(url, ...others);
}"""


def test_a_window_waits_for_its_own_images_values_and_does_without_them(person):
    person.sees("a")
    page, hint = person.page, person.page.locator("#hint").inner_text()
    page.evaluate(VALUES_LATER)
    person.press("w", "ArrowRight")
    assert page.locator("#hint").inner_text().startswith("Drag or arrow keys change brightness and contrast")
    person.press("s")
    person.sees("b")
    page.evaluate("answers.pop().resolve(new Response(null, { status: 204 }))")  # what was meant for a
    page.evaluate("new Promise((done) => setTimeout(done, 20))")
    assert not page.locator("#window-state").is_visible()
    person.press("ArrowRight")
    page.evaluate("answers.pop().reject(new Error())")  # the 8 bits must do
    page.wait_for_selector("#window-state:visible")
    person.press("p", "Escape")
    person.sees("a")
    assert page.locator("#hint").inner_text() == hint


def test_the_strip_jumps_and_shows_what_was_decided(person):
    person.sees("a")
    entries = person.page.locator("#strip button")
    assert [entries.nth(i).get_attribute("title")[:2] for i in range(3)] == ["1.", "2.", "3."]
    entries.nth(1).click()
    person.sees("b")
    person.press("a")
    person.sees("c")
    assert "accepted" in entries.nth(1).get_attribute("class") and entries.nth(1).inner_text() == "✓"
    person.press("p")
    person.sees("b")
    person.press("j", *"a.png", "Enter")
    person.sees("a")
    person.press("j", "3", "Enter")
    person.sees("c")
    assert person.review.progress().reviewed == 1  # what is typed into the field decides nothing
    person.press("t")
    assert not person.page.locator("#strip").is_visible()


def test_a_long_strip_asks_for_what_is_in_sight(person, manifest_path):
    requests = []
    person.page.on("request", lambda request: requests.append(request.url))
    person.sees("a")
    state = person.page.evaluate("fetch('state').then(answer => answer.json())")
    state["items"] = [{**state["items"][0], "name": f"{i}.png"} for i in range(5000)]
    person.page.route("**/state", lambda route: route.fulfill(json=state))
    person.page.reload()
    person.sees("0")
    strip = person.page.locator("#strip")
    for top in range(0, 300_000, 30_000):
        strip.evaluate("(strip, top) => (strip.scrollTop = top)", top)
    person.page.wait_for_function("[...document.querySelectorAll('#strip img')].every(image => image.complete)")
    assert person.page.locator("#strip button").count() < 30
    assert sum("thumbnails" in url for url in requests) < 300  # a slow machine rests between two steps


def test_nothing_covers_the_state_at_700_px(person):
    page = person.page
    page.set_viewport_size({"width": 700, "height": 700})
    person.sees("a")
    person.press("w", "ArrowUp", "ArrowRight")
    person.press("Escape")
    person.drag((80, 70), (90, 80))
    person.press("Control+y")  # says something
    for name in ("#reviewed", "#label", "#name", "#edited", "#window-state", "#accept", "#reject", "#jump", "#help"):
        frame = page.locator(name).bounding_box()
        assert frame and frame["x"] >= 0 and frame["x"] + frame["width"] <= 700, name
        middle = [frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2]
        assert page.evaluate("([x, y, name]) => !!document.elementFromPoint(x, y).closest(name)", [*middle, name]), name
    assert page.evaluate("document.documentElement.scrollWidth") == 700


def test_keyboard_focus_is_visible(person):
    person.sees("a")
    person.press("Tab")
    outline = person.page.evaluate("getComputedStyle(document.activeElement).outline")
    assert "solid" in outline and "0px" not in outline.split()


def test_fingers_draw_and_pinch(person, context):
    person.sees("a")
    touches = context.new_cdp_session(person.page)

    def touch(kind, *points):
        fingers = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", person.at(120, 110))
    touch("touchMove", person.at(150, 120))
    touch("touchMove", person.at(180, 140))
    touch("touchEnd")
    assert person.boxes() == [A_BOX, [120, 110, 180, 140]]
    width = person.page.locator(".picture").bounding_box()["width"]
    touch("touchStart", (600, 400))
    touch("touchStart", (600, 400), (700, 400))
    touch("touchMove", (550, 400), (750, 400))
    touch("touchEnd")
    assert person.page.locator(".picture").bounding_box()["width"] == pytest.approx(2 * width, rel=0.05)
    assert person.boxes() == [A_BOX, [120, 110, 180, 140]]


def test_a_slow_disk_is_waited_for(person, monkeypatch):
    free = threading.Event()

    def slow_disk(*arguments, **named):
        assert free.wait(20)
        write_manifest(*arguments, **named)

    monkeypatch.setattr(session_module, "write_manifest", slow_disk)
    try:
        for name in "abc":
            person.sees(name)
            person.press("r")
        person.page.get_by_text("All 3 images are reviewed").wait_for()
        assert person.page.locator("#saved").inner_text() == "Saving …"
        for _ in range(2):  # more are taken, up to five that are not saved
            person.press("p")
            person.sees("c")
            person.press("r")
        person.press("p")
        person.sees("c")
        person.press("r")
        assert person.hears() == "Saving …"
        person.sees("c")
        assert not person.review.output.exists()
    finally:
        free.set()
    person.waits_until_saved(3)
    person.page.wait_for_function("() => document.getElementById('saved').textContent.startsWith('Every decision is')")
    assert [person.saved(name)[1] for name in "abc"] == ["reviewed:rejected"] * 3


def test_a_decision_that_cannot_be_saved_is_shown_again(person, monkeypatch):
    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    person.page.expected_complaint = "500 (INTERNAL SERVER ERROR)"
    person.sees("a")
    person.drag((80, 70), (90, 80))
    with monkeypatch.context() as patch:
        patch.setattr(session_module, "write_manifest", full_disk)
        person.press("a")
        alert = person.page.get_by_role("alert")
        alert.wait_for()
    assert "a.png was not saved" in alert.inner_text() and "No space left on device" in alert.inner_text()
    person.sees("a")
    assert person.boxes() == [[60, 50, 120, 110]]
    person.press("a")
    person.sees("b")
    person.waits_until_saved(1)
    assert not alert.is_visible()
    assert person.saved("a") == ([[60, 50, 120, 110]], "reviewed:corrected")


def test_the_alert_stays_until_its_own_image_is_saved(person, monkeypatch):
    free, calls = threading.Event(), []

    def disk_that_fails_once(*arguments, **named):
        assert free.wait(20)
        calls.append(arguments)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        write_manifest(*arguments, **named)

    person.page.expected_complaint = "500 (INTERNAL SERVER ERROR)"
    monkeypatch.setattr(session_module, "write_manifest", disk_that_fails_once)
    try:
        for name in "ab":
            person.sees(name)
            person.press("r")
    finally:
        free.set()
    person.waits_until_saved(1)  # b, which was decided before the failure was known
    person.sees("a")
    alert = person.page.get_by_role("alert")
    assert alert.is_visible() and "a.png was not saved" in alert.inner_text()
    person.press("r")
    person.waits_until_saved(2)
    assert not alert.is_visible()
    assert [person.saved(name)[1] for name in "ab"] == ["reviewed:rejected"] * 2


def test_an_image_that_cannot_be_shown_is_skipped(manifest_path, review, page, serve):
    (manifest_path.parent / "a.png").write_bytes(b"nothing")
    page.expected_complaint = "422 (UNPROCESSABLE ENTITY)"
    person = Reviewer(page, review, serve(review))
    page.get_by_text("a.png cannot be decoded").wait_for()
    person.press("a", "r")  # nothing is decided unseen
    person.press("s")
    person.sees("b")
    assert review.progress().reviewed == 0


def test_the_browser_shows_the_pixels_that_the_package_reads(manifest_path, page, serve):
    """Boxes are measured in them: rotated JPEG, PNG with EXIF, 16 bits, a palette."""
    folder = manifest_path.parent
    quarters = np.kron(
        np.array([[[230, 30, 30], [30, 200, 40], [40, 40, 220]]], np.uint8), np.ones((48, 32, 1), np.uint8)
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(quarters).save(folder / "a.jpg", exif=exif, quality=95)
    Image.fromarray(quarters).save(folder / "b.png", exif=exif)
    Image.fromarray(quarters[..., 1].astype(np.uint16) * 256).save(folder / "c.png")
    Image.fromarray(quarters).quantize(8).save(folder / "d.png")
    names = ("a.jpg", "b.png", "c.png", "d.png")
    (folder / "odd.csv").write_text("image,label\n" + "".join(f"{name},DF\n" for name in names))
    page.goto(serve(open_review(folder / "odd.csv", classes=["DF"], order="manifest")))
    for name in names:
        page.wait_for_function(
            "name => document.getElementById('name').textContent === name && document.querySelector('.picture')",
            arg=name,
        )
        width, height, shown = page.evaluate(
            """() => {
              const image = document.querySelector('.picture');
              const { naturalWidth: width, naturalHeight: height } = image;
              const drawing = new OffscreenCanvas(width, height).getContext('2d');
              drawing.drawImage(image, 0, 0);
              return [width, height, [...drawing.getImageData(0, 0, width, height).data]];
            }"""
        )
        pixels = np.array(shown).reshape(height, width, 4)[..., :3]
        assert pixels.shape == ((96, 48, 3) if name == "a.jpg" else (48, 96, 3))
        np.testing.assert_allclose(pixels, read_image(folder / name), atol=1)
        page.keyboard.press("s")
