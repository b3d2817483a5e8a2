"""The page that talks about the last prediction, in a real browser."""

from __future__ import annotations

import time

import chat_api as api
import model_files as models
import pytest
from teaching import jpeg
from web_browser import (
    DESK,
    PHONE,
    Visit,
    axe_serious,
    browser,  # noqa: F401 - a fixture
    sync_api,
)
from web_server import serving

HOSTILE = "<img src=x onerror=alert(1)>**bold**"
LABELS = ("red", "green", "<b onclick=alert(1)>blue</b>")
expect = sync_api.expect


@pytest.fixture(scope="module")
def chat_server():
    with api.chat_api() as chat_server:
        yield chat_server


@pytest.fixture(scope="module")
def server(tmp_path_factory, chat_server):
    path = tmp_path_factory.mktemp("model") / "colors.tflite"
    path.write_bytes(models.own(labels=LABELS))
    with serving("--model", path, "--chat_url", chat_server.url) as server:
        yield server


def wait_for(page, expression):
    """Wait until it is true; Playwright's own way needs `eval`, which pages forbid."""
    until = time.monotonic() + 10
    while not page.evaluate(expression):
        assert time.monotonic() < until, expression
        page.wait_for_timeout(20)


def ask(page, question):
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def test_a_picture_is_talked_about(browser, server, chat_server):  # noqa: F811
    chat_server.answer = api.words("It is ", HOSTILE)
    with Visit(browser, server.url, DESK) as visit:
        page = visit.page
        picture = {"name": "sea.jpg", "mimeType": "image/jpeg", "buffer": jpeg("blue")}
        page.set_input_files("#files", picture)
        expect(page.locator("#results")).to_contain_text("Answered in")
        wait_for(page, "sessionStorage.getItem('edgeclf:last')")
        page.get_by_role("link", name="Chat").click()
        expect(page.locator("#bars .label").first).to_have_text(LABELS[2])
        expect(page.locator("#thumbnail")).to_be_visible()
        wait_for(page, "document.querySelector('#thumbnail').naturalWidth")
        ask(page, "What is it?")
        expect(page.locator(".turn.assistant")).to_have_text(f"Answer: It is {HOSTILE}")
        expect(page.locator("#spoken")).to_have_text(f"It is {HOSTILE}")
        ask(page, "Sure?")
        expect(page.locator(".turn.assistant")).to_have_count(2)
        assert page.locator(".turn img, .bars b").count() == 0
    talk = chat_server.asked[-1].body["messages"]
    assert LABELS[2] in talk[0]["content"]
    assert [message["content"] for message in talk[1:]] == [
        "What is it?",
        f"It is {HOSTILE}",
        "Sure?",
    ]


def test_an_answer_can_be_stopped(browser, server, chat_server):  # noqa: F811
    chat_server.answer = api.endless()
    chat_server.hung_up.clear()
    with Visit(browser, f"{server.url}/chat") as visit:
        page = visit.page
        ask(page, "Go on for ever")
        expect(page.locator(".turn.assistant")).to_contain_text("word word word")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#spoken")).to_have_text("Stopped.")
        assert chat_server.hung_up.wait(10)
        chat_server.answer = api.words("Fine.")
        ask(page, "And now?")
        expect(page.locator(".turn.assistant").last).to_have_text("Answer: Fine.")
        page.get_by_role("button", name="New chat").click()
        expect(page.locator(".turn")).to_have_count(0)


def test_a_fault_is_said_and_the_question_can_be_repeated(
    browser,  # noqa: F811
    server,
    chat_server,
):
    chat_server.answer = api.pieces(api.delta(content="Half an"), whole=False)
    with Visit(browser, f"{server.url}/chat") as visit:
        page = visit.page
        ask(page, "Whole?")
        expect(page.get_by_role("alert")).to_contain_text("the answer is not whole")
        expect(page.locator(".turn.assistant")).to_contain_text("Half an")
        chat_server.answer = api.saying({"error": "busy"}, 429)
        ask(page, "Again?")
        expect(page.get_by_role("alert")).to_contain_text("asked too often: busy.")
        chat_server.answer = api.words("Here.")
        page.get_by_role("button", name="Ask again").click()
        expect(page.locator(".turn.assistant").last).to_have_text("Answer: Here.")
        expect(page.get_by_role("alert")).to_be_hidden()
    assert chat_server.asked[-1].body["messages"][-1]["content"] == "Again?"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(browser, server, chat_server, scheme):  # noqa: F811
    chat_server.answer = api.words("A long answer. " * 30)
    with Visit(browser, f"{server.url}/chat", PHONE, scheme) as visit:
        visit.page.get_by_role("button", name="How sure is this?").click()
        expect(visit.page.locator("#spoken")).to_contain_text("A long answer.")
        assert visit.width() == PHONE[0]
        assert axe_serious(visit.page) == []
