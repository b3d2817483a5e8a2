"""Pages of the web app in a real browser; `make test-browser` installs what this needs.

A test module that imports this is skipped where Playwright or Chromium is missing. It
takes the fixture along: `from web_browser import Visit, axe_serious, browser`.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import pytest

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: make test-browser"
)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
if CHROMIUM is None:
    pytest.skip("chromium is not installed: make test-browser", allow_module_level=True)

PHONE, DESK = (375, 740), (1280, 900)
# Chromium's own sandbox needs rights that containers do not have. The camera is a
# picture that moves, and pages may use it.
ARGUMENTS = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
# The browser's own line for an answer that is an error: `failures` has it.
FAILED_LOAD = "Failed to load resource"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(ARGUMENTS)
        )
        yield started
        started.close()


class Visit:
    """A page of a server; leaving it checks that the page had no complaints.

    Attributes:
        page: Playwright's.
        complaints: Lines of the console that warn, errors of scripts, violations of
            the page's policy, requests to any other server.
        failures: `(status, path)` of every answer that was an error.

    Args:
        browser: The fixture.
        url: Where to go first.
        size: Of the window, `(width, height)` in pixels.
        scheme: `light` or `dark`.
        options: Of Playwright's `new_context`.
    """

    def __init__(
        self,
        browser: Any,
        url: str,
        size: tuple[int, int] = DESK,
        scheme: str = "light",
        **options: Any,
    ) -> None:
        width, height = size
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **options
        )
        self.context.set_default_timeout(10_000)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.failures: list[tuple[int, str]] = []
        own = urlsplit(url).netloc

        def hear(message: Any) -> None:
            quiet = message.type not in ("error", "warning")
            if not quiet and not message.text.startswith(FAILED_LOAD):
                self.complaints.append(message.text)

        def look(request: Any) -> None:
            address = urlsplit(request.url)
            if address.scheme not in ("blob", "data") and address.netloc != own:
                self.complaints.append(f"asked {request.url}")

        def note(response: Any) -> None:
            if response.status >= 400:
                path = urlsplit(response.url).path
                self.failures.append((response.status, path))

        self.page.on("console", hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", look)
        self.page.on("response", note)
        self.page.goto(url)

    def width(self) -> int:
        """Return how wide the content is, pixels: more than the window's scrolls."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth")
        return width

    def __enter__(self) -> Visit:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.context.close()
        if kind is None:
            assert self.complaints == []


def axe_serious(page: Any) -> list[tuple[str, str, str]]:
    """Return what axe-core finds serious or critical: `(rule, element, what to do)`."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe-core is not installed: make test-browser")
    axe = Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8")
    page.evaluate(axe)
    result = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        (violation["id"], node["html"][:200], node["failureSummary"])
        for violation in result["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"][:3]
    ]
