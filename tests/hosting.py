"""A local web server that misbehaves when told to, and archives for it to serve."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import os
import re
import socket
import ssl
import struct
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from edgeclf.zoo.graph import add_operator, add_tensor, pack_model
from edgeclf.zoo.hosted import HostedModel

Behaviour = Callable[["Handler", bytes], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the next behaviour of its server's script, then normally."""

    server: Server

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.requests.append((self.path, self.headers.get("Range")))
            script = self.server.script
            behave = script.pop(0) if script else self.server.normally
        content = self.server.files.get(self.path)
        try:
            if content is None and behave in (serve, without_ranges):
                self.send_error(404)
            else:
                behave(self, content or b"")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Server(http.server.ThreadingHTTPServer):
    """Files by path, and what went on.

    Attributes:
        files: Content by path.
        script: Behaviours of the next requests.
        normally: Behaviour when the script is used up.
        requests: `(path, Range header)` of every request so far.
    """

    daemon_threads = True

    def __init__(self, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.scheme = "https"
        self.lock = threading.Lock()
        self.files: dict[str, bytes] = {}
        self.script: list[Behaviour] = []
        self.normally: Behaviour = serve
        self.requests: list[tuple[str, str | None]] = []
        self.stopped = threading.Event()

    @property
    def address(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Keep quiet: clients hang up here, and refuse certificates."""

    def host(self, name: str, content: bytes, **fields: str) -> HostedModel:
        """Serve `content` as an archive and return the table's row for it."""
        path = f"/models/{name}.tgz"
        self.files[path] = content
        row = {
            "dtype": "float32",
            "url": self.address + path,
            "sha256": hashlib.sha256(content).hexdigest(),
            **fields,
        }
        return HostedModel(name=name, input_size=(8, 8), **row)


@contextmanager
def running(certificate: Path | None = None) -> Iterator[Server]:
    """Run a server for the length of the block, with https if it has a certificate."""
    server = Server(certificate)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


def serve(handler: Handler, content: bytes) -> None:
    """Answer as a good server does, ranges included."""
    start = _start(handler)
    if start >= len(content) > 0:
        handler.send_error(416)
        return
    _head(handler, content, start)
    handler.wfile.write(content[start:])


def without_ranges(handler: Handler, content: bytes) -> None:
    """Answer with the whole file whatever was asked for."""
    _head(handler, content, 0)
    handler.wfile.write(content)


def unannounced(handler: Handler, content: bytes) -> None:
    """Answer with the whole file, without its length."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(content)


def status(code: int) -> Behaviour:
    """Answer with an error."""
    return lambda handler, _: handler.send_error(code)


def cut_after(size_bytes: int, *, ranges: bool = True) -> Behaviour:
    """Announce everything, send `size_bytes` and hang up."""

    def behave(handler: Handler, content: bytes) -> None:
        start = _start(handler) if ranges else 0
        _head(handler, content, start)
        handler.wfile.write(content[start : start + size_bytes])
        handler.close_connection = True

    return behave


def stall_after(size_bytes: int) -> Behaviour:
    """Announce everything, send `size_bytes`, then nothing for a long time."""

    def behave(handler: Handler, content: bytes) -> None:
        start = _start(handler)
        _head(handler, content, start)
        handler.wfile.write(content[start : start + size_bytes])
        handler.wfile.flush()
        handler.server.stopped.wait(30)

    return behave


def slowly(pause_s: float, step_bytes: int) -> Behaviour:
    """Send `step_bytes` at a time."""

    def behave(handler: Handler, content: bytes) -> None:
        start = _start(handler)
        _head(handler, content, start)
        for position in range(start, len(content), step_bytes):
            handler.wfile.write(content[position : position + step_bytes])
            handler.wfile.flush()
            time.sleep(pause_s)

    return behave


def silent(handler: Handler, _: bytes) -> None:
    """Take the request and say nothing for a long time."""
    handler.server.stopped.wait(30)
    handler.close_connection = True


def redirect_to(url: str) -> Behaviour:
    """Send the client elsewhere."""

    def behave(handler: Handler, _: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", url)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return behave


def saying(code: int = 200, body: bytes = b"", **headers: str) -> Behaviour:
    """Answer with exactly this, `Content_Type=` and the like, and hang up."""

    def behave(handler: Handler, _: bytes) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return behave


def raw(*pieces: bytes, pause_s: float = 0) -> Behaviour:
    """Send these bytes, which need not be http, and hang up."""

    def behave(handler: Handler, _: bytes) -> None:
        for piece in pieces:
            handler.wfile.write(piece)
            if handler.server.stopped.wait(pause_s):
                break
        handler.close_connection = True

    return behave


def endless(handler: Handler, _: bytes) -> None:
    """Send a body that does not end."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.stopped.is_set():
        handler.wfile.write(bytes(1 << 16))


def reset(handler: Handler, _: bytes) -> None:
    """Cut the connection so that the client gets an error, not an end."""
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    os.close(handler.connection.detach())
    handler.close_connection = True


def wrong_range(handler: Handler, content: bytes) -> None:
    """Answer 206 with another part than the one asked for."""
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes 1-9/{len(content)}")
    handler.end_headers()
    handler.wfile.write(content[1:10])


def _start(handler: Handler) -> int:
    match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    return int(match[1]) if match else 0


def _head(handler: Handler, content: bytes, start: int) -> None:
    handler.send_response(206 if start else 200)
    handler.send_header("Content-Length", str(len(content) - start))
    if start:
        size = len(content)
        handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
    handler.end_headers()


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    """Return what `archive_of` takes: one member of an archive."""
    header = tarfile.TarInfo(name)
    header.type, header.size, header.linkname = kind, len(content), target
    return header, content


def archive_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return a `.tgz`; the same members give the same bytes."""
    unzipped = io.BytesIO()
    with tarfile.open(fileobj=unzipped, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for header, content in members:
            tar.addfile(header, io.BytesIO(content))
    return gzip.compress(unzipped.getvalue(), mtime=0)


def tiny_model() -> bytes:
    """Return a feature extractor: the mean of the eight by eight pixels."""
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    model.operatorCodes, model.metadata = [], []
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []
    model.subgraphs = [graph]
    image = add_tensor(model, "image", (1, 8, 8, 3))
    axes = add_tensor(
        model, "axes", (2,), data=[1, 2], tensor_type=schema.TensorType.INT32
    )
    features = add_tensor(model, "features", (1, 3))
    add_operator(
        model,
        schema.BuiltinOperator.MEAN,
        [image, axes],
        [features],
        options_type=schema.BuiltinOptions.ReducerOptions,
        options=schema.ReducerOptionsT(),
    )
    graph.inputs, graph.outputs = [image], [features]
    return pack_model(model)
