"""Connections of clients that say nothing, take nothing, or are too many."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

uvicorn = pytest.importorskip(
    "uvicorn", reason="uvicorn is not installed: edgeclf[web]"
)

from edgeclf.web.connections import Connection  # noqa: E402

LARGE = bytes(32 * 10**6)  # more than the system takes for a client that does not read
HEAD = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Hasty(Connection):
    most = 10
    head_s = 0.5
    write_s = 0.5


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = LARGE if scope["path"] == "/large" else b"ok"
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for start in range(0, len(body), 10**6):
        part = body[start : start + 10**6]
        more = start + 10**6 < len(body)
        await send({"type": "http.response.body", "body": part, "more_body": more})


@pytest.fixture(scope="module")
def where():
    config = uvicorn.Config(app, http=Hasty, ws="none", lifespan="off", log_config=None)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    yield listening.getsockname()
    server.should_exit = True
    thread.join(10)


def answered(made):
    made.sendall(HEAD % b"")
    received = b""
    while not received.endswith(b"ok"):
        part = made.recv(10**6)
        assert part
        received += part


def all_of(made, timeout_s=5):
    made.settimeout(timeout_s)
    received = b""
    with contextlib.suppress(ConnectionError):
        while part := made.recv(10**6):
            received += part
    return received


@pytest.mark.parametrize("number", [1, 2])
def test_a_head_that_does_not_end_is_not_waited_for(where, number):
    with socket.create_connection(where, 5) as made:
        for _ in range(number - 1):
            answered(made)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in b"GET / HTTP/1.1\r\nX: 1234567890":
                made.sendall(bytes([byte]))
                time.sleep(0.1)
        assert 0.4 < time.monotonic() - began < 3
        assert all_of(made) == b""


def test_a_connection_that_says_nothing_is_not_kept(where):
    began = time.monotonic()
    with socket.create_connection(where, 5) as made:
        assert all_of(made) == b""
    assert 0.4 < time.monotonic() - began < 3


def test_an_answer_that_nobody_takes_is_not_kept(where):
    with socket.create_connection(where, 5) as made:
        made.sendall(HEAD % b"large")
        time.sleep(1.5)
        assert len(all_of(made)) < len(LARGE)


def test_an_answer_that_is_taken_slowly_is_given_in_full(where):
    with socket.create_connection(where, 5) as made:
        made.sendall(HEAD % b"large")
        received = 0
        while received < len(LARGE):
            part = made.recv(2 * 10**6)
            assert part
            received += len(part)
            time.sleep(0.02)


def test_more_connections_than_there_may_be_are_hung_up_on(where):
    time.sleep(0.2)  # those of the tests above are gone
    with contextlib.ExitStack() as stack:
        for _ in range(Hasty.most):
            answered(stack.enter_context(socket.create_connection(where, 5)))
        last = stack.enter_context(socket.create_connection(where, 5))
        with contextlib.suppress(ConnectionError):
            last.sendall(HEAD % b"")
        assert all_of(last) == b""
    time.sleep(0.2)
    with socket.create_connection(where, 5) as made:
        answered(made)
