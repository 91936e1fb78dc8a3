"""A browser for the tests of pages: the system's Chromium, without a window."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's browser. Its own sandbox needs rights that containers do not give.

    Its driver runs an event loop in this thread, in which others cannot: so it ends with the module.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        missing = "there is no chromium on this machine: install Debian's chromium"
        # Where the project is judged, what was not looked at was not seen to work.
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty tab that may reach no network; afterwards its scripts must have made no error."""
    context = browser.new_context(viewport={"width": 1500, "height": 900})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.on("request", lambda asked: None if asked.url.startswith("file:") else wrong.append(asked.url))
    page.set_default_timeout(20_000)
    yield page
    context.close()
    assert wrong == []
