"""An S3 store on this machine, and a proxy before it that is slow and fails."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from hosting import reset

HOST = "127.0.0.1"
ACCOUNT = {"key": "testing", "secret": "testing"}  # the store lets everybody in
SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate."
    b"</Message></Error>"
)
# Of one connection, not of the request or the answer. Source: RFC 9110, 7.6.1.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


@contextlib.contextmanager
def object_store() -> Iterator[int]:
    """Run moto's server in a process for the length of the block; yield its port."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--host", HOST, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(process, port)
        yield port
    finally:
        process.kill()
        process.wait()


def client(port: int) -> Any:
    """Return a client of boto3, to fill the store and to look into it."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=f"http://{HOST}:{port}",
        region_name="us-east-1",
        aws_access_key_id=ACCOUNT["key"],
        aws_secret_access_key=ACCOUNT["secret"],
    )


def storage_options(port: int, **more: Any) -> dict[str, Any]:
    """Return what fsspec needs to find the store."""
    return {**ACCOUNT, "endpoint_url": f"http://{HOST}:{port}", **more}


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + 120
    while True:
        assert process.poll() is None and time.monotonic() < until, "no store"
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, port)).close()
            return
        time.sleep(0.05)


class Proxy(http.server.ThreadingHTTPServer):
    """Hands requests on to a store, as badly as it is told to.

    Attributes:
        latency_s: What every request takes at least.
        slow_down_every: Each so manieth request gets 503 SlowDown; 0: none.
        reset_every: Each so manieth request ends in a reset; 0: none.
        broken_at: The request that begins half a second of 500; 0: none.
        away_at: From this request on, every one ends in a reset; 0: none.
        num_requests: How many there were.
        num_failed: How many of them were not handed on.
    """

    daemon_threads = True
    BROKEN_S = 0.5

    def __init__(self, store_port: int) -> None:
        super().__init__((HOST, 0), _Handler)
        self.store_port = store_port
        self.lock = threading.Lock()
        self.behave()

    def behave(self, **trouble: float) -> None:
        """Count from 0 again, and have these troubles alone."""
        with self.lock:
            self.latency_s = trouble.get("latency_s", 0.0)
            self.slow_down_every = trouble.get("slow_down_every", 0)
            self.reset_every = trouble.get("reset_every", 0)
            self.broken_at = trouble.get("broken_at", 0)
            self.away_at = trouble.get("away_at", 0)
            self.broken_until = 0.0
            self.num_requests = self.num_failed = 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def trouble(self) -> str:
        """Count a request and return what befalls it: "" if nothing does."""
        with self.lock:
            self.num_requests += 1
            number, now = self.num_requests, time.monotonic()
            if number == self.broken_at:
                self.broken_until = now + self.BROKEN_S
            trouble = ""
            if self.away_at and number >= self.away_at:
                trouble = "reset"
            elif now < self.broken_until:
                trouble = "broken"
            elif self.slow_down_every and number % self.slow_down_every == 0:
                trouble = "slow down"
            elif self.reset_every and number % self.reset_every == 0:
                trouble = "reset"
            self.num_failed += bool(trouble)
            return trouble

    def handle_error(self, *_: object) -> None:
        """Keep quiet: clients hang up."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(self.server.latency_s)
        trouble = self.server.trouble()
        if trouble == "reset":
            reset(self)  # type: ignore[arg-type]
        elif trouble == "slow down":
            self.answer(503, {"Content-Type": "application/xml"}, SLOW_DOWN)
        elif trouble == "broken":
            self.answer(500, {}, b"")
        else:
            self.answer(*self.asked(body))

    def asked(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return what the store answers."""
        connection = http.client.HTTPConnection(HOST, self.server.store_port)
        with contextlib.closing(connection):
            connection.request(
                self.command, self.path, body or None, dict(self.headers)
            )
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()

    def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        kept = {k: v for k, v in headers.items() if k.lower() not in HOP_BY_HOP}
        if self.command != "HEAD":
            kept = {k: v for k, v in kept.items() if k.lower() != "content-length"}
            kept["Content-Length"] = str(len(content))
        for name, value in kept.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    # What the server looks for.
    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = hand_on  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def proxy(store_port: int) -> Iterator[Proxy]:
    """Run a proxy for the length of the block."""
    server = Proxy(store_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
