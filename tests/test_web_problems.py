"""Errors that nobody foresaw, and those of a page, over a real socket."""

# ruff: noqa: E402 - what may be missing is looked for first

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

httpx = pytest.importorskip("httpx", reason="httpx is not installed: edgeclf[web]")

import uvicorn
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from edgeclf.web import problems
from edgeclf.web.api_errors import ERRORS
from edgeclf.web.engine import BusyError
from edgeclf.web.problems import ProblemError


def app() -> FastAPI:
    built = FastAPI()
    problems.install(built)

    @built.get("/v1/fails/{name}")
    async def fails(name: str) -> None:
        raise RuntimeError("a secret of the server")

    @built.get("/v1/busy")
    async def busy() -> None:
        raise BusyError(7)

    @built.get("/v1/odd")
    async def odd() -> None:
        raise ProblemError(409, "Odd", "Half a letter: \ud800.", {"X-A": "b"}, {"n": 1})

    @built.get("/v1/typed")
    async def typed(number: int) -> int:
        return number

    @built.get("/v1/begun")
    async def begun() -> StreamingResponse:
        async def pieces() -> Any:
            yield b"a"
            raise RuntimeError("too late")

        return StreamingResponse(pieces())

    return built


@contextmanager
def running(application: FastAPI) -> Iterator[Any]:
    """Serve an app in a thread; yield a client of it."""
    config = uvicorn.Config(application, port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with running(app()) as connected:
        yield connected


def test_an_unforeseen_error_is_a_problem_and_logged_once(
    client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = client.get("/v1/fails/%0A%1B[2Jfake")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "/api#status-500",
        "title": "Internal error",
        "status": 500,
        "detail": "The server failed at this. Its log says why.",
    }
    [record] = [each for each in caplog.records if each.exc_info]
    assert record.name == "edgeclf"
    assert record.getMessage() == "GET '/v1/fails/\\n\\x1b[2Jfake' failed."
    assert "a secret of the server" in caplog.text


def test_a_full_queue_says_when_to_come_again(client: Any) -> None:
    answer = client.get("/v1/busy")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["detail"].endswith("Send yours again in 7 s.")


def test_a_problem_keeps_headers_and_extensions(client: Any) -> None:
    answer = client.get("/v1/odd")
    assert answer.headers["x-a"] == "b"
    assert answer.json()["n"] == 1
    assert answer.json()["detail"] == "Half a letter: ?."


def test_values_that_fastapi_refuses_are_a_problem(client: Any) -> None:
    answer = client.get("/v1/typed?number=x")
    assert answer.status_code == 422
    assert "query.number" in answer.json()["detail"]


def test_an_answer_that_has_begun_is_cut(client: Any) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/v1/begun")
    assert client.get("/v1/busy").status_code == 503  # it still answers


def test_every_status_of_an_error_has_a_place_on_the_page() -> None:
    package = Path(problems.__file__).parent
    template = package / "templates" / "api.html"
    assert 'id="status-{{ status }}"' in template.read_text(encoding="utf-8")
    used = set()
    for path in package.rglob("*.py"):
        names = re.findall(r"HTTPStatus\.([A-Z_]+)", path.read_text(encoding="utf-8"))
        used |= {int(HTTPStatus[name]) for name in names}
    assert {status for status in used if status >= 400} <= set(ERRORS)
    assert len(used) > 10
