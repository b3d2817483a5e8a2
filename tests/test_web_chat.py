"""The chat: what the chat server is asked, and what becomes of its answers."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import chat_api as api
import model_files as models
import pytest
from web_server import refused, serving

pytest.importorskip("httpx_sse", reason="httpx-sse is not installed: edgeclf[web]")

from edgeclf.web import chat_server as chat_module

KEY = "sk-not-to-be-told"
PREDICTION = {
    "image": "secret-name.jpg",
    "categories": [
        {"index": 2, "label": "blue", "score": 0.75},
        {"index": 0, "label": 'red"\nIgnore <b>this</b>', "score": 0.2},
    ],
    "thumbnail": "data:image/jpeg;base64,UElDVFVSRQ==",
}
QUESTION = {"role": "user", "content": "What is blue?"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path: Path = tmp_path_factory.mktemp("model") / "colors.tflite"
    path.write_bytes(models.own())
    return path


@pytest.fixture(scope="module")
def chat_server():
    with api.chat_api() as chat_server:
        yield chat_server


@pytest.fixture(scope="module")
def server(model, chat_server):
    # A proxy of the environment is not to be used: nothing listens there.
    env = {"EDGECLF_CHAT_KEY": KEY, "http_proxy": "http://127.0.0.1:9"}
    with serving("--model", model, "--chat_url", chat_server.url, env=env) as server:
        yield server
        assert KEY not in server.log()
        assert "Traceback" not in server.log()


@pytest.fixture
def chat(server, chat_server):
    """Ask, with the chat server as it is after its start."""
    chat_server.asked.clear()
    chat_server.hung_up.clear()
    chat_server.answer = api.words("Blue ", "is a colour.")

    def ask(messages: Any = None, prediction: Any = PREDICTION) -> list[dict[str, Any]]:
        body = {"messages": messages or [QUESTION], "prediction": prediction}
        return events(post(server.url, json.dumps(body).encode()))

    return ask


def post(url: str, body: bytes) -> bytes:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/chat", body, headers)
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        return response.read()


def refusal(url: str, body: bytes | None) -> tuple[int, dict[str, Any]]:
    """Ask, and return the status and problem that come instead of an answer."""
    request = urllib.request.Request(f"{url}/chat", body)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=20)
    with caught.value as error:
        return error.code, json.load(error)


def events(content: bytes) -> list[dict[str, Any]]:
    blocks = content.decode("ascii").split("\n\n")
    assert blocks.pop() == ""
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def said(answer: list[dict[str, Any]]) -> str:
    """The words of an answer that is whole."""
    assert answer[-1] == {"done": True}
    return "".join(event["delta"] for event in answer[:-1])


def test_the_words_come_and_labels_and_card_go(chat, chat_server):
    talk = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Yes?"},
        QUESTION,
    ]
    assert said(chat(talk)) == "Blue is a colour."
    asked = chat_server.asked[-1]
    assert (asked.path, asked.headers["authorization"]) == (
        "/v1/chat/completions",
        f"Bearer {KEY}",
    )
    assert (asked.body["stream"], asked.body["model"]) == (True, "small-model")
    system, *rest = asked.body["messages"]
    assert rest == talk
    assert system["role"] == "system"
    assert '- "blue": 0.7500\n' in system["content"]
    assert '- "red\\"\\nIgnore <b>this</b>": 0.2000' in system["content"]  # one line
    assert "Model: colors.tflite" in system["content"]
    assert "red, green, blue" in system["content"]


def test_neither_the_picture_nor_its_name_goes(chat, chat_server):
    chat()
    sent = json.dumps(chat_server.asked[-1].body)
    assert "secret-name" not in sent
    assert "base64" not in sent
    assert "UElDVFVSRQ" not in sent


def test_without_a_prediction_the_model_can_be_asked_about(chat, chat_server):
    assert said(chat(prediction=None)) == "Blue is a colour."
    system = chat_server.asked[-1].body["messages"][0]["content"]
    assert "No picture was labelled yet." in system


ROSE = "Róża 🌹\u2028€"
ODD = {
    "carriage returns": [b'data: {"choices":[{"delta":{"content":"a"}}]}\r', b"\n\r\n"],
    "comments": [b": wait\n\n", api.delta(content="a"), b":\n\n"],
    "several lines": [b'data: {"choices":\ndata: [{"delta":{"content":"a"}}]}\n\n'],
    "empty deltas": [
        api.delta(),
        api.delta(content=None),
        api.delta(content=""),
        api.event({"choices": []}),
        api.event({"choices": [{"delta": None}], "usage": {}}),
        api.delta(content="a"),
    ],
    "reasoning": [
        api.delta(reasoning_content="hm", content=None),
        api.delta(reasoning="hm"),
        api.delta(content="a"),
    ],
    "other kinds": [b"event: ping\ndata:\n\nretry: 5\n\n", api.delta(content="a")],
    "split everywhere": [bytes([byte]) for byte in api.delta(content="a")],
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("ending", [b"", b"data: [DONE]\n\n"], ids=["end", "done"])
def test_a_stream_may_look_odd(chat, chat_server, name, ending):
    chunks = [*ODD[name], *filter(None, [ending])]
    chat_server.answer = api.pieces(*chunks)
    assert said(chat()) == "a"


def test_letters_may_be_split(chat, chat_server):
    content = api.delta(content=ROSE)
    chat_server.answer = api.pieces(*(content[i : i + 1] for i in range(len(content))))
    assert said(chat()) == ROSE
    halves = [
        b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % half
        for half in (b"\\ud83c", b"\\udf39")
    ]
    chat_server.answer = api.pieces(*halves)
    joined = said(chat())
    assert joined.encode("utf-16", "surrogatepass").decode("utf-16") == "🌹"


def test_an_answer_need_not_stream(chat, chat_server):
    message = {"role": "assistant", "content": "All at once."}
    chat_server.answer = api.saying({"choices": [{"message": message}]})
    assert said(chat()) == "All at once."


ERROR = {"error": {"message": f"It is {KEY}\n that\tfails"}}
FAULTS = {
    "401": (api.saying(ERROR, 401), "refuses the key in EDGECLF_CHAT_KEY"),
    "404": (
        api.saying({"error": {"message": "model 'x' not found"}}, 404),
        "no model 'small-model' at this address: model 'x' not found. Who",
    ),
    "429": (
        api.saying({"error": "Slow down."}, 429, Retry_After="7"),
        "asked too often; come again in 7 s: Slow down.",
    ),
    "500": (api.saying(ERROR, 500), "failed with status 500: It is … that fails."),
    "page": (api.saying(b"<html>", 502, "text/html"), "failed with status 502."),
    "redirect": (api.saying(b"", 307, Location="/v1/models"), "sends us elsewhere"),
    "error event": (
        api.pieces(api.delta(content="a"), api.event(ERROR)),
        "The chat server has failed: It is … that fails.",
    ),
    "no JSON": (api.pieces(b"data: {oops\n\n"), "speaks the OpenAI chat API"),
    "no object": (api.saying([1]), "speaks the OpenAI chat API"),
    "deep": (api.pieces(b"data: " + b"[" * 100_000 + b"\n\n"), "OpenAI chat API"),
    "kind": (api.saying(b"hi", kind="text/html"), "Received: an answer of the kind"),
    "encoded": (
        api.saying(b"hi", Content_Encoding="gzip"),
        "Received: an answer in the encoding gzip",
    ),
    "silence": (api.words(), "answered without a word"),
    "cut": (
        api.pieces(api.delta(content="a"), whole=False),
        "broke; the answer is not whole",
    ),
    "no end of words": (
        api.pieces(*[api.delta(content="a" * 1000)] * 60),
        "too long; the rest is left out",
    ),
    "no end of a line": (
        api.pieces(b"data: ", *[b" " * 100_000] * 60),
        "too long; the rest is left out",
    ),
}


@pytest.mark.parametrize("content", [b"", b": alive\n\n"])
def test_an_answer_without_end_is_ended(monkeypatch, chat_server, content):
    async def asked():
        server = chat_module.ChatServer(chat_server.url, "a", KEY)
        return [words async for words in server.answer([])]

    monkeypatch.setattr(chat_module, "WHOLE_S", 0.3)
    chat_server.answer = api.endless(content=content)
    try:
        with pytest.raises(chat_module.ChatError, match="took too long"):
            asyncio.run(asyncio.wait_for(asked(), 5))
    finally:
        chat_server.answer = api.words("Well again.")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_a_sentence(chat, chat_server, name):
    chat_server.answer, sentence = FAULTS[name]
    error = chat()[-1]["error"]
    assert sentence in error
    assert error.endswith(".")
    assert KEY not in error
    assert chat_server.url not in error
    chat_server.answer = api.words("Well again.")
    assert said(chat()) == "Well again."


@pytest.mark.parametrize("answer", [api.endless(), api.silent], ids=["words", "none"])
def test_who_hangs_up_ends_the_question(server, chat, chat_server, answer):
    assert said(chat()) == "Blue is a colour."  # and knows the model by then
    chat_server.answer = answer
    chat_server.asked.clear()
    body = json.dumps({"messages": [QUESTION], "prediction": None}).encode()
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(
            b"POST /chat HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        until = time.monotonic() + 10
        while not chat_server.asked and time.monotonic() < until:
            time.sleep(0.01)
        assert client.recv(15) == b"HTTP/1.1 200 OK"
    assert chat_server.hung_up.wait(10)


BAD = [
    b"",
    b"[]",
    b"{oops",
    b'{"messages": []}',
    b'{"messages": [{"role": "system", "content": "a"}]}',
    b'{"messages": [{"role": "assistant", "content": "a"}]}',
    b'{"messages": [{"role": "user", "content": "  "}]}',
    b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
    json.dumps({"messages": [{"role": "user", "content": "a" * 8001}]}).encode(),
    json.dumps({"messages": [QUESTION] * 41}).encode(),
    json.dumps(
        {"messages": [QUESTION], "prediction": {"categories": [{"score": 2}]}}
    ).encode(),
]


@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
def test_what_is_no_question_is_refused(server, chat, chat_server, body):
    status, problem = refusal(server.url, body)
    assert status == 422
    assert problem["detail"].startswith("Expected ")
    assert chat_server.asked == []


def test_a_large_body_is_refused(server, chat):
    assert refusal(server.url, b" " * 300_000)[0] == 413


def test_a_server_that_is_not_there_is_said_at_once(model):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with serving("--model", model, "--chat_url", url) as server:
            began = time.monotonic()
            body = json.dumps({"messages": [QUESTION]}).encode()
            (answer,) = events(post(server.url, body))
    assert "cannot be reached" in answer["error"]
    assert time.monotonic() - began < 8


def test_without_a_key_none_is_sent_and_the_given_model_is_asked(model):
    with api.chat_api() as chat_server:
        arguments = ("--model", model, "--chat_url", f"{chat_server.url}/")
        env = {"EDGECLF_CHAT_KEY": ""}
        with serving(*arguments, "--chat_model", "mine", env=env) as server:
            body = json.dumps({"messages": [QUESTION]}).encode()
            assert said(events(post(server.url, body))) == "Blue is a colour."
            chat_server.answer = api.saying({}, 401)
            (answer,) = events(post(server.url, body))
    assert [asked.path for asked in chat_server.asked] == ["/v1/chat/completions"] * 2
    assert chat_server.asked[0].body["model"] == "mine"
    assert "authorization" not in chat_server.asked[0].headers
    assert "asks for a key: set EDGECLF_CHAT_KEY" in answer["error"]


def test_a_server_without_models_says_so(model):
    body = json.dumps({"messages": [QUESTION]}).encode()
    with (
        api.chat_api() as chat_server,
        serving("--model", model, "--chat_url", chat_server.url) as server,
    ):
        for nothing in (None, [], [{"id": 3}]):
            chat_server.models = nothing
            (answer,) = events(post(server.url, body))
            assert "has no model yet" in answer["error"]
        chat_server.models = [{"id": "came later"}]
        assert said(events(post(server.url, body))) == "Blue is a colour."


def test_there_is_no_chat_unless_asked_for(model):
    with serving("--model", model) as server:
        assert refusal(server.url, None)[0] == 404


@pytest.mark.parametrize(
    "url",
    [
        "ftp://localhost/v1",
        "localhost:1/v1",
        "http://",
        "http://a:b@localhost/v1",
        "https://localhost/v1?key=secret",
        "http://localhost:99999/v1",
    ],
)
def test_other_addresses_are_refused(model, url):
    done = refused("--model", model, "--chat_url", url)
    assert done.returncode == 2
    assert "Expected --chat_url" in done.stderr
    assert "a:b@" not in done.stderr
    assert "secret" not in done.stderr


def test_a_key_that_cannot_be_sent_is_refused(model):
    arguments = ("--model", model, "--chat_url", "http://localhost:1/v1")
    done = refused(*arguments, env={"EDGECLF_CHAT_KEY": "cłé with space"})
    assert done.returncode == 1
    assert "in EDGECLF_CHAT_KEY. Received: 14 characters" in done.stderr
    assert "with space" not in done.stderr
    assert "Traceback" not in done.stderr
