"""Connections of clients that say nothing, take nothing, or are too many."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time

import pytest

uvicorn = pytest.importorskip(
    "uvicorn", reason="uvicorn is not installed: edgeclf[web]"
)

from edgeclf.web.connections import (  # noqa: E402
    MAX_CONNECTIONS,
    Connection,
    Listening,
)

LARGE = bytes(32 * 10**6)  # more than the system takes for a client that does not read
SMALL = bytes(60_000)  # less than what makes the server wait, more than it is let send
HEAD = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Hasty(Connection):
    most = 10
    head_s = 0.5
    write_s = 0.5


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = {"/large": LARGE, "/at_once": LARGE, "/small": SMALL}.get(
        scope["path"], b"ok"
    )
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    step = len(body) if scope["path"] == "/at_once" else 10**6
    for start in range(0, len(body), step):
        part = body[start : start + step]
        more = start + step < len(body)
        await send({"type": "http.response.body", "body": part, "more_body": more})


@pytest.fixture(scope="module")
def server():
    config = uvicorn.Config(app, http=Hasty, ws="none", lifespan="off", log_config=None)
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    # What the system keeps for a client to take: of the second one next to nothing.
    listening[1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=(listening,), daemon=True)
    thread.start()
    yield server, *(each.getsockname() for each in listening)
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def where(server):
    return server[1]


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


def test_an_answer_that_comes_at_once_may_be_taken_slowly(where):
    with socket.socket() as made:
        # So that the system does not take it all for the client.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10**5)
        made.settimeout(5)
        made.connect(where)
        made.sendall(HEAD % b"at_once")
        received = 0
        began = time.monotonic()
        while received < len(LARGE):
            part = made.recv(10**6)
            assert part
            received += len(part)
            if time.monotonic() - began < 3 * Hasty.write_s:
                time.sleep(0.02)
        assert time.monotonic() - began > 2 * Hasty.write_s


def test_the_end_of_an_answer_that_nobody_takes_is_not_kept(server):
    running, _, where = server
    connections = running.server_state.connections
    wait_for(lambda: not connections)  # those of the tests above
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        made.connect(where)
        made.sendall(b"GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        wait_for(lambda: connections)
        wait_for(lambda: not connections)


def wait_for(is_so, timeout_s=5):
    ends_at = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < ends_at
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


def test_no_more_are_taken_than_there_may_be_though_they_say_nothing():
    with Listening() as listening, contextlib.ExitStack() as stack:
        listening.most = 2
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def connect():
            return stack.enter_context(
                socket.create_connection(listening.getsockname(), 5)
            )

        connect(), connect()
        taken = [stack.enter_context(listening.accept()[0]) for _ in range(2)]
        last = connect()
        with pytest.raises(ConnectionAbortedError):
            listening.accept()
        assert all_of(last) == b""
        taken[0].close()
        connect()
        stack.enter_context(listening.accept()[0])


@pytest.mark.parametrize(("limit", "most"), [(256, 64), (100, 1), (4096, 512)])
def test_connections_leave_file_descriptors_for_the_rest(limit, most):
    pytest.importorskip("resource")
    code = (
        "import resource; from edgeclf.web.connections import most_connections; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit})); "
        "print(most_connections())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert int(ended.stdout) == most <= MAX_CONNECTIONS
