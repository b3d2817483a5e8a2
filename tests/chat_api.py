"""A local server that speaks the OpenAI chat API, and misbehaves when told to."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Answer = Callable[["Handler"], None]


@dataclass(frozen=True)
class Asked:
    """A request that came: its path, headers by lower-case name, and parsed body."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with its server's `answer`."""

    server: ChatApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._note(None)
        if self.path == "/v1/models":
            self.say(json.dumps({"data": self.server.models}).encode())
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self._note(json.loads(self.rfile.read(length)))
        try:
            self.server.answer(self)
        except (BrokenPipeError, ConnectionResetError):
            self.server.hung_up.set()
            self.close_connection = True

    def _note(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append(Asked(self.command, self.path, headers, body))

    def say(
        self,
        body: bytes,
        status: int = 200,
        kind: str = "application/json",
        **more: str,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def begin(self) -> None:
        """Begin a stream of events, in chunks."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class ChatApi(http.server.ThreadingHTTPServer):
    """The server.

    Attributes:
        models: What it lists.
        answer: How it answers what is asked.
        asked: All that came.
        hung_up: Set when a client has gone before its answer was whole.
        stopped: Set when the server ends.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.models: Any = [{"id": "small-model"}, {"id": "other"}]
        self.answer: Answer = words("Blue ", "is a colour.")
        self.asked: list[Asked] = []
        self.hung_up = threading.Event()
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, *_: object) -> None:
        """Keep quiet: clients hang up."""


@contextmanager
def chat_api() -> Iterator[ChatApi]:
    """Run a server for the length of the block."""
    server = ChatApi()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


def event(value: Any) -> bytes:
    """Return an event as the API sends it."""
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def delta(**fields: Any) -> bytes:
    """Return an event with a part of the answer."""
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": None}]})


def words(*parts: str) -> Answer:
    """Stream these words as a good server does."""
    return pieces(
        delta(role="assistant"),
        *(delta(content=part) for part in parts),
        b"data: [DONE]\n\n",
    )


def pieces(*chunks: bytes, whole: bool = True) -> Answer:
    """Stream these bytes, one chunk each; not `whole`: cut the connection then."""

    def behave(handler: Handler) -> None:
        handler.begin()
        for content in chunks:
            handler.chunk(content)
        if whole:
            handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.close_connection = True

    return behave


def saying(
    value: Any, status: int = 200, kind: str = "application/json", **headers: str
) -> Answer:
    """Answer with this, at once."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return lambda handler: handler.say(body, status, kind, **headers)


def endless(pause_s: float = 0.05, content: bytes = b"") -> Answer:
    """Say a word, or this, again and again until the client hangs up."""

    def behave(handler: Handler) -> None:
        handler.begin()
        while not handler.server.stopped.wait(pause_s):
            handler.chunk(content or delta(content="word "))

    return behave


def silent(handler: Handler) -> None:
    """Say nothing; tell when the client hangs up."""
    if handler.connection.recv(1) == b"":
        handler.server.hung_up.set()
    handler.close_connection = True
