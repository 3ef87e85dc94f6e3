"""A real browser for tests of pages; without one they are skipped."""

import contextlib
import importlib.util
import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update"]
NEEDED = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="no playwright: pip install playwright"),
]


@contextlib.contextmanager
def launched():
    """A browser, closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextlib.contextmanager
def silent_page(context):
    """A page that may neither complain, but for its `expected_complaint`, nor ask another host for anything."""
    page, complaints, requests = context.new_page(), [], []
    page.set_default_timeout(20_000)
    page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    yield page
    expected = getattr(page, "expected_complaint", None)
    assert [text for text in complaints if expected is None or expected not in text] == []
    assert requests and [url for url in requests if not url.startswith(("http://127.0.0.1:", "data:"))] == []
