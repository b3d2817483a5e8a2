"""The page of the API in a browser, and the client that is written for browsers."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import model_files as models
import pytest
from test_web_api import png
from web_browser import PHONE, Visit, axe_serious, browser  # noqa: F401
from web_server import WebServer, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    path = tmp_path_factory.mktemp("api") / "colors.tflite"
    path.write_bytes(models.own())
    with serving("--model", path) as running:
        yield running


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_of_the_api_is_readable(
    browser: Any,  # noqa: F811
    server: WebServer,
    scheme: str,
) -> None:
    with Visit(browser, f"{server.url}/api", PHONE, scheme) as visit:
        assert visit.page.locator("h1").inner_text() == "API"
        assert visit.page.locator("h2", has_text="POST /v1/classify").count() == 1
        assert visit.width() <= PHONE[0]
        assert axe_serious(visit.page) == []


def test_client_for_browsers_labels_a_picture(
    browser: Any,  # noqa: F811
    server: WebServer,
) -> None:
    with Visit(browser, f"{server.url}/api") as visit:
        categories = visit.page.evaluate(
            """async ([picture]) => {
                const { classify } = await import("/static/client.mjs");
                const bytes = Uint8Array.from(atob(picture), c => c.charCodeAt(0));
                return classify("", new Blob([bytes], { type: "image/png" }));
            }""",
            [base64.b64encode(png("blue")).decode()],
        )
    assert categories[0]["label"] == "blue"


def test_error_of_a_page_is_a_page(
    browser: Any,  # noqa: F811
    server: WebServer,
) -> None:
    with Visit(browser, f"{server.url}/nothing") as visit:
        assert visit.page.locator("h1").inner_text() == "Not Found"
        assert visit.failures == [(404, "/nothing")]
        assert axe_serious(visit.page) == []
