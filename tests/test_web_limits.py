"""The guards around small apps: time, bodies, requests at a time, the unforeseen."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

uvicorn = pytest.importorskip(
    "uvicorn", reason="uvicorn is not installed: edgeclf[web]"
)
pytest.importorskip("fastapi", reason="fastapi is not installed: edgeclf[web]")

from fastapi import FastAPI  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import StreamingResponse  # noqa: E402
from starlette.templating import Jinja2Templates  # noqa: E402

from edgeclf.web import guards, limits, problems  # noqa: E402
from edgeclf.web.engine import Engine  # noqa: E402
from edgeclf.web.refusals import Refusals  # noqa: E402
from edgeclf.web.service import Service  # noqa: E402
from edgeclf.web.settings import WebSettings  # noqa: E402

TEMPLATES = Path(guards.__file__).parent / "templates"
TEXT = [(b"content-type", b"text/plain")]


@contextlib.contextmanager
def guarded(app, **settings):
    """Serve an app behind the guards; yield its address."""
    engine = Engine(1, 1)
    service = Service(WebSettings(**settings), engine, None, Jinja2Templates(TEMPLATES))
    config = uvicorn.Config(
        guards.guarded(app, service), ws="none", lifespan="off", log_config=None
    )
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        server.should_exit = True
        thread.join(10)
        engine.close()


def ask(where, path="/", method="GET", body=None, **headers):
    made = http.client.HTTPConnection(*where, timeout=10)
    try:
        made.request(method, path, body, headers)
        answer = made.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        made.close()


async def answer(send, *parts, pause_s=0.0, status=200, headers=TEXT):
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.sleep(pause_s)
    await send({"type": "http.response.body", "body": b""})


async def whole(receive):
    content, more = b"", True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
    return content


def test_work_that_takes_too_long_is_given_up():
    was_cancelled = threading.Event()

    async def app(scope, receive, send):
        await whole(receive)
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            was_cancelled.set()
            raise

    with guarded(app, timeout_s=0.3) as where:
        for method, body in (("GET", None), ("POST", b"x")):
            status, headers, content = ask(where, "/", method, body)
            assert status == 503
            assert headers["Retry-After"] == "2"
            assert "for 0.3 s and given up" in json.loads(content)["detail"]
            assert was_cancelled.wait(5)


def test_an_answer_that_has_begun_may_go_on():
    async def app(scope, receive, send):
        await answer(send, *[b"data: 1\n\n"] * 5, pause_s=0.2)

    with guarded(app, timeout_s=0.3) as where:
        assert ask(where)[2] == b"data: 1\n\n" * 5


def test_too_many_requests_at_a_time_are_told_to_come_again():
    go = threading.Event()
    begun = threading.Semaphore(0)

    async def app(scope, receive, send):
        if scope["path"] == "/slow":
            begun.release()
            await asyncio.to_thread(go.wait, 10)
        await answer(send, b"ok")

    with guarded(app, queue=2, workers=1) as where:
        done = []
        slow = [
            threading.Thread(target=lambda: done.append(ask(where, "/slow")[0]))
            for _ in range(3)
        ]
        for each in slow:
            each.start()
        assert all(begun.acquire(timeout=5) for _ in slow)
        status, headers, content = ask(where, "/")
        assert status == 503
        assert headers["Retry-After"] == "2"
        assert "too many requests at a time" in json.loads(content)["detail"]
        assert ask(where, "/healthz")[0] == 200
        assert ask(where, "/static/style.css")[0] == 200
        go.set()
        for each in slow:
            each.join(10)
        assert done == [200] * 3
        assert ask(where, "/")[0] == 200


def test_all_bodies_together_are_limited_and_forgotten_afterwards():
    async def app(scope, receive, send):
        await whole(receive)
        await answer(send, b"ok")

    head = b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\n"
    head += b"Content-Length: 1000000\r\n\r\n"
    with guarded(app, max_mb=1) as where, contextlib.ExitStack() as stack:
        for _ in range(limits.BODIES):
            made = stack.enter_context(socket.create_connection(where, 5))
            made.sendall(head + bytes(999_000))
        time.sleep(0.5)
        status, _, content = ask(where, "/v1/classify", "POST", bytes(900_000))
        assert status == 503
        assert "too many bodies" in json.loads(content)["detail"]
        assert ask(where, "/v1/classify", "POST", b"small")[0] == 200
        stack.close()
        time.sleep(0.2)
        assert ask(where, "/v1/classify", "POST", bytes(900_000))[0] == 200


def test_what_is_fetched_counts_as_the_bodies_do_until_its_request_ends():
    has_begun, released = threading.Event(), threading.Event()

    async def app(scope, receive, send):
        hold = limits.held(Request(scope))
        for _ in range(limits.BODIES):
            hold(1_000_000)
        if scope["path"] == "/more":
            hold(1)
        has_begun.set()
        await asyncio.to_thread(released.wait, 10)
        await answer(send, b"ok")

    with guarded(app, max_mb=1) as where, ThreadPoolExecutor(1) as threads:
        first = threads.submit(ask, where)
        assert has_begun.wait(10)
        status, headers, content = ask(where)
        assert status == 503
        assert headers["Retry-After"]
        assert "too many bodies" in json.loads(content)["detail"]
        released.set()
        assert first.result()[0] == 200
        assert ask(where)[0] == 200
        assert ask(where, "/more")[0] == 503


def test_an_app_cannot_make_another_answer_of_a_body_that_is_too_large():
    async def app(scope, receive, send):
        try:
            await whole(receive)
        except Exception:  # noqa: BLE001 - as apps do
            await answer(send, b"all is well")
        else:
            await answer(send, b"whole")

    with guarded(app, max_mb=1) as where:
        parts = (bytes(100_000) for _ in range(15))
        status, _, content = ask(where, "/v1/classify", "POST", parts)
        assert status == 413
        assert b"all is well" not in content
        # Where no pictures are taken a body has no more than one.
        assert ask(where, "/v1/teach/projects", "POST", bytes(10**6))[0] == 200
    with guarded(app, max_mb=9) as where:
        assert ask(where, "/v1/teach/projects", "POST", bytes(2 * 10**6))[0] == 413
        # A class may be called as an address ends.
        named = "/v1/teach/projects/p/classes/classify"
        assert ask(where, named, "PATCH", bytes(2 * 10**6))[0] == 413
        assert ask(where, "/v1/classify", "POST", bytes(2 * 10**6))[0] == 200


def test_an_early_answer_ends_the_connection_and_a_small_body_does_not():
    async def app(scope, receive, send):
        await answer(send, b"ok")

    with guarded(app) as where:
        with socket.create_connection(where, 5) as made:
            head = b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\n"
            # All at once: of a body that is late nobody knows how small it is.
            made.sendall(head + b"Content-Length: 100\r\n\r\n" + b"x" * 100)
            assert b"connection: close" not in made.recv(65536).lower()
        _, headers, _ = ask(where, "/v1/classify", "POST", bytes(20 * 10**6))
        assert headers["Connection"] == "close"


def test_head_of_a_stream_of_events_is_refused(caplog):

    async def events():
        while True:
            yield "data: 1\n\n"
            await asyncio.sleep(0.01)

    app = FastAPI()

    @app.get("/")
    async def stream():
        return StreamingResponse(events(), media_type="text/event-stream")

    problems.install(app)
    with guarded(app) as where:
        status, headers, content = ask(where, method="HEAD")
    assert (status, headers["allow"], content) == (405, "GET", b"")
    assert not caplog.records


def test_what_nobody_foresaw_is_a_problem_with_all_headers_or_a_page(caplog):
    async def app(scope, receive, send):
        raise KeyError("secret")

    with guarded(app) as where:
        status, headers, content = ask(where, "/v1/model")
        assert status == 500
        assert headers["Content-Type"] == "application/problem+json"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert b"secret" not in content
        status, headers, content = ask(where, "/model", Accept="text/html")
        assert status == 500
        assert headers["Content-Type"].startswith("text/html")
        assert b"<h1>Internal error</h1>" in content
    assert "secret" in caplog.text


def test_a_refusal_is_a_page_for_people_and_a_problem_for_programs():
    async def app(scope, receive, send):
        await answer(send, b"ok")

    with guarded(app) as where:
        for path, kind in (("/", "text/html"), ("/v1/model", "application/problem")):
            status, headers, content = ask(
                where, path, Accept="text/html", Host="x.org"
            )
            assert status == 421
            assert headers["Content-Type"].startswith(kind)
            assert b"--hostname" in content


def test_an_app_sets_its_own_policy():
    own = [*TEXT, (b"content-security-policy", b"sandbox"), (b"cache-control", b"x")]

    async def app(scope, receive, send):
        await answer(send, b"ok", headers=own)

    with guarded(app) as where:
        _, headers, _ = ask(where)
        assert headers.get_all("Content-Security-Policy") == ["sandbox"]
        assert headers.get_all("Cache-Control") == ["x"]
        assert headers["X-Frame-Options"] == "DENY"


def test_a_request_that_the_servers_end_cancels_is_told_to_come_again():
    sent = []

    async def app(scope, receive, send):
        await asyncio.sleep(60)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    async def scenario():
        scope = {"type": "http", "path": "/v1/classify", "headers": []}
        guard = Refusals(app, Jinja2Templates(TEMPLATES))
        task = asyncio.ensure_future(guard(scope, receive, send))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    start, body = sent
    assert start["status"] == 503
    assert dict(start["headers"])[b"retry-after"]
    assert json.loads(body["body"])["title"] == "Ending"
