"""A page of another server, in a real browser, tries to use this one."""

from __future__ import annotations

import http.server
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import model_files
import pytest
from web_browser import Visit, axe_serious, browser  # noqa: F401 - a fixture
from web_server import serving

TOKEN = "a-token-of-enough-length"  # noqa: S105
PAGE = b"<!DOCTYPE html><title>Other</title><body></body>"
POST = """
    async ([url, options]) => {
      try {
        const answer = await fetch(url, {method: "POST", ...options});
        return [answer.type, answer.status, await answer.text()];
      } catch (error) { return [String(error), 0, ""]; }
    }
"""


class Other(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        """Keep quiet."""


@contextmanager
def other_site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cross")
    (folder / "model.tflite").write_bytes(model_files.own())
    return folder


@pytest.fixture(scope="module")
def server(folder):
    arguments = ("--model", folder / "model.tflite", "--teach", folder / "teach")
    with serving(*arguments, env={"EDGECLF_TOKEN": TOKEN}) as started:
        yield started


def log_in(page, url):
    page.goto(f"{url}/login?next=/")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{url}/")


def test_people_log_in_with_a_page_and_out_again(browser, server):  # noqa: F811
    with Visit(browser, f"{server.url}/login", java_script_enabled=False) as visit:
        page = visit.page
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        assert "not the token" in page.get_by_role("alert").inner_text()
        log_in(page, server.url)
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url(f"{server.url}/login")
        page.goto(server.url)
        assert urlsplit(page.url).path == "/login"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_page(browser, server, scheme):  # noqa: F811
    options = {"scheme": scheme, "size": (375, 740), "bypass_csp": True}
    with Visit(browser, f"{server.url}/login", **options) as visit:
        assert axe_serious(visit.page) == []
        assert visit.width() == 375


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_another_site_can_do_nothing(browser, server, folder, name):  # noqa: F811
    with other_site() as port:
        context = browser.new_context()
        page = context.new_page()
        log_in(page, server.url)
        # Another port of this machine is the same site: cookies go along.
        page.goto(f"http://{name}:{port}/")
        target = f"{server.url}/v1/teach/projects"
        body = {"body": '{"name": "theirs"}'}
        json_type = {"headers": {"Content-Type": "application/json"}}
        for options in (
            body,
            {**body, **json_type},
            {"credentials": "include", **body},
        ):
            assert page.evaluate(POST, [target, options])[1:] == [0, ""]
            opaque = {**options, "mode": "no-cors", "credentials": "include"}
            assert page.evaluate(POST, [target, opaque])[1:] == [0, ""]
        assert (
            page.evaluate(POST, [f"{server.url}/v1/model", {"method": "GET"}])[1] == 0
        )
        # A form is a navigation: the answer is shown, and says no.
        page.evaluate(
            """url => {
              const form = document.createElement("form");
              form.action = url; form.method = "post"; form.enctype = "text/plain";
              const field = document.createElement("input");
              field.name = '{"name": "theirs", "x": "'; field.value = '"}';
              form.append(field); document.body.append(form); form.submit();
            }""",
            target,
        )
        page.wait_for_url(target)
        assert "a page of another site" in page.inner_text("body")
        assert not (folder / "teach" / "theirs").exists()
        # Nor is it shown in a frame, or as a picture or script of theirs.
        page.goto(f"http://{name}:{port}/")
        tried = page.evaluate(
            """url => Promise.all(["img", "script"].map(kind => new Promise(done => {
              const element = document.createElement(kind);
              element.onload = () => done("loaded");
              element.onerror = () => done("refused");
              const file = kind == "img" ? "icon.svg" : "api.js";
              element.src = `${url}/static/${file}`;
              document.body.append(element);
            })))""",
            server.url,
        )
        assert tried == ["refused", "refused"]
        page.set_content(f'<iframe src="{server.url}/"></iframe>')
        page.wait_for_timeout(300)
        assert not any(frame.url.startswith(server.url) for frame in page.frames)
        context.close()


def test_the_own_page_can(browser, server, folder):  # noqa: F811
    context = browser.new_context()
    page = context.new_page()
    log_in(page, server.url)
    answer = page.evaluate(POST, [f"{server.url}/v1/classify", {"body": "no picture"}])
    assert answer[:2] == ["basic", 415]
    context.close()
