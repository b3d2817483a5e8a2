"""All pages: quiet, as wide as the window, and free of what axe finds serious."""

from __future__ import annotations

import html.parser
import re
import urllib.request
from pathlib import Path

import model_files as models
import pytest
from web_browser import DESK, PHONE, Visit, axe_serious, browser  # noqa: F401
from web_server import serving

import edgeclf.web

PAGES = ("/", "/live", "/model", "/teach", "/chat", "/about", "/api", "/nothing")
STATIC = Path(edgeclf.web.__file__).with_name("static")
TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    (folder / "colors.tflite").write_bytes(models.own())
    (folder / "token").write_text(TOKEN, encoding="utf-8")
    (folder / "token").chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    options = ("--teach", folder / "projects", "--chat_url", "http://127.0.0.1:9/v1")
    with serving("--model", folder / "colors.tflite", *options) as server:
        yield server


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_quiet_and_free_of_serious_findings(browser, server, path):  # noqa: F811
    expected = [(404, path)] if path == "/nothing" else []
    for size, scheme in ((DESK, "light"), (PHONE, "dark")):
        with Visit(browser, server.url + path, size, scheme) as visit:
            page = visit.page
            assert visit.failures == expected
            assert visit.width() == size[0]
            assert page.locator("h1").count() == 1
            assert axe_serious(page) == []


def test_the_page_to_log_in_is_quiet_and_leads_to_the_others(browser, folder):  # noqa: F811
    options = ("--model", folder / "colors.tflite", "--token_file", folder / "token")
    with serving(*options) as server, Visit(browser, server.url, PHONE) as visit:
        page = visit.page
        assert visit.width() == PHONE[0]
        assert axe_serious(page) == []
        page.locator("input[type=password]").fill(TOKEN)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="What is in the picture?").wait_for()
        assert visit.width() == PHONE[0]
        assert axe_serious(page) == []


def test_the_header_says_which_page_it_is(browser, server):  # noqa: F811
    with Visit(browser, server.url) as visit:
        page = visit.page
        links = page.locator(".bar nav a")
        names = links.all_inner_texts()
        assert names == ["Predict", "Live", "Model", "Teach", "Chat", "About"]
        for name in names:
            page.get_by_role("link", name=name, exact=True).first.click()
            current = page.locator(".bar nav a[aria-current=page]")
            assert current.all_inner_texts() == [name]


def test_without_a_model_the_page_leads_to_teaching(browser, folder):  # noqa: F811
    with (
        serving("--teach", folder / "own") as server,
        Visit(browser, server.url) as visit,
    ):
        page = visit.page
        assert not page.locator("#drop").is_visible()
        assert "no model" in page.locator("main").inner_text()
        assert axe_serious(page) == []
        page.get_by_role("link", name="Teach a model").click()
        page.wait_for_url("**/teach")
        assert visit.failures == []


def test_the_style_is_whole():
    """What is not closed would take all that stands below with it."""
    style = (STATIC / "style.css").read_text(encoding="utf-8")
    depth = 0
    for line in re.sub(r"/\*.*?\*/", "", style, flags=re.S).splitlines():
        # A rule begins at the margin: what is open there has not been closed.
        assert depth == 0 or line[:1] in ("", " ", "}"), line
        depth += line.count("{") - line.count("}")
        assert depth >= 0, line
    assert depth == 0


class Markup(html.parser.HTMLParser):
    """What the policy does not let a page have, and what it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.loaded: list[str] = []
        self._tag = ""

    def handle_starttag(self, tag, attributes):
        self._tag = tag
        for name, value in attributes:
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")
            if name == "src" or (tag == "link" and name == "href"):
                self.loaded.append(value)

    def handle_data(self, data):
        if self._tag in ("script", "style") and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("path", [path for path in PAGES if path != "/nothing"])
def test_a_page_has_nothing_inline_and_loads_from_here_alone(server, path):
    with urllib.request.urlopen(server.url + path, timeout=20) as answer:
        markup = Markup()
        markup.feed(answer.read().decode())
    assert markup.inline == []
    assert markup.loaded
    # "//host/..." is another server's.
    assert all(address[0] == "/" != address[1] for address in markup.loaded)
