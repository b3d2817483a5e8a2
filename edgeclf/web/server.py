"""Listen, answer until told to end, and end well."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from edgeclf.errors import EdgeclfError
from edgeclf.web.connections import Connection, Listening, most_connections
from edgeclf.web.memory import return_large_blocks

logger = logging.getLogger("edgeclf")

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Connections that wait to be accepted: a browser opens six at a time.
BACKLOG = 512
KEEP_ALIVE_S = 15  # a connection without a request is kept; longer than a page is read
END_S = 3  # that requests get to end; then they are cancelled
# Request line and headers: more than any browser sends, too little to fill memory.
HEADER_BYTES = 32 * 1024


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: Name or address, of version 4 or 6.
        port: 0: any that is free.

    Raises:
        EdgeclfError: The address is taken, not this machine's, or not to be found.
    """
    try:
        (family, *_, address), *_ = sorted(
            socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ),
            key=lambda found: found[0] != socket.AF_INET,  # where a name has both
        )
        return _bound(family, address)
    except (OSError, UnicodeError) as error:
        raise EdgeclfError(_refusal(host, port, error)) from error


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    # The protocol is named: asyncio turns Nagle's algorithm off only where it is TCP's,
    # and a browser would wait 40 ms for the body of an answer otherwise.
    listening = Listening(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.most = most_connections()
    try:
        if os.name == "posix":  # elsewhere two programs could share the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _refusal(host: str, port: int, error: Exception) -> str:
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return (
            "Expected a host that is found, such as 127.0.0.1. "
            f"Received: --host {host} ({_reason(error)})."
        )
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return (
            f"Expected a free port. Received: --port {port}, where another program "
            "listens. Give another one, or 0 for any that is free."
        )
    if number == errno.EADDRNOTAVAIL:
        return (
            "Expected an address of this machine. "
            f"Received: --host {host}, which is none."
        )
    if host.lower().startswith("fe80:") and "%" not in host:
        return (
            "Expected a link-local address with its interface, such as fe80::1%eth0. "
            f"Received: --host {host}."
        )
    if number == errno.EACCES:
        return (
            "Expected a port that this user may listen on, from 1024. "
            f"Received: --port {port}."
        )
    return f"Expected to listen on {host}, port {port}. Received: {_reason(error)}."


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".").lower()


def address(listening: socket.socket, host: str, *, secure: bool) -> str:
    """Return the URL of what listens, by the name that it was given."""
    shown = f"[{host}]" if ":" in host else host
    return f"http{'s' * secure}://{shown}:{listening.getsockname()[1]}"


def check_certificate(certificate: Path, key: Path) -> None:
    """Raise unless https can be spoken with these.

    Raises:
        EdgeclfError: Certificate and key do not fit, or are none.
        OSError: One of them cannot be read; it says which, as `ssl` does not.
    """
    for path in (certificate, key):
        path.open("rb").close()
    is_encrypted = False

    def password() -> str:  # else OpenSSL would ask at the terminal
        nonlocal is_encrypted
        is_encrypted = True
        return ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            certificate, key, password
        )
    except OSError as error:  # of which those of `ssl` are
        if is_encrypted:
            raise EdgeclfError(
                f"Expected a key without a password. Received: --key {key}, which has "
                "one. Take it off: openssl pkey -in KEY -out NEW."
            ) from error
        raise EdgeclfError(
            "Expected --certificate and --key to be PEM files that belong "
            f"together. Received: {certificate} and {key}, which do not."
        ) from error


def serve(
    app: ASGIApp,
    listening: socket.socket,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    verbose: bool = False,
) -> signal.Signals | None:
    """Answer until a signal ends it.

    The first signal lets requests end, for `END_S` at most; a second one does not.

    Args:
        app: What answers.
        listening: As `listen` returns it; it is closed.
        certificate: PEM file, for https, that `check_certificate` lets pass.
        key: PEM file of its key.
        verbose: Log each request.

    Returns:
        The first signal; None when the server ended by itself.
    """
    config = uvicorn.Config(
        app,
        # What is sure to be there, and the same everywhere.
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=verbose,
        # A header that anybody may send must not say whom an answer is for.
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=END_S,
        h11_max_incomplete_event_size=HEADER_BYTES,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    return_large_blocks()
    with _logged(verbose=verbose):
        server = _Server(config)
        asyncio.run(server.serve([listening]))
    return server.received[0] if server.received else None


class _Server(uvicorn.Server):
    """A server that says which signals came rather than to raise them again."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.received: list[signal.Signals] = []

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self.received.append(signal.Signals(sig))


@contextlib.contextmanager
def _logged(*, verbose: bool) -> Iterator[None]:
    """Have the server's records written as edgeclf's own are."""
    errors, access = (logging.getLogger(f"uvicorn.{name}") for name in _FILTERS)
    before = [(each, each.level, each.propagate) for each in (errors, access)]
    for each in (errors, access):
        each.addFilter(_FILTERS[each.name.rpartition(".")[2]])
        each.propagate = False
        for handler in logger.handlers:
            each.addHandler(handler)
    errors.setLevel(logging.WARNING)
    access.setLevel(logging.INFO if verbose else logging.WARNING)
    try:
        yield
    finally:
        for each, level, propagate in before:
            each.removeFilter(_FILTERS[each.name.rpartition(".")[2]])
            each.setLevel(level)
            each.propagate = propagate
            for handler in logger.handlers:
                each.removeHandler(handler)


# Of a wish to speak another protocol than HTTP.
_UPGRADES = ("Unsupported upgrade request", "No supported WebSocket library")
_NO_HTTP = "Invalid HTTP request received"  # it does not say from whom


def _told(record: logging.LogRecord) -> bool:
    """Leave out what is no fault: requests that were cancelled at the end.

    And the advice to install a library, which anybody who asks for a WebSocket could
    fill the log with, as anybody could who speaks no HTTP.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not (
        isinstance(error, asyncio.CancelledError)
        or record.getMessage().startswith((*_UPGRADES, _NO_HTTP))
        or "graceful shutdown exceeded" in record.getMessage()
        # What waits for the end of the app has it as text.
        or record.getMessage().rstrip().endswith("CancelledError")
    )


def _without_query(record: logging.LogRecord) -> bool:
    """Write a request as `CLIENT METHOD PATH STATUS`: a query may hold secrets."""
    arguments: Any = record.args
    client, method, path, _, status = arguments
    record.msg, record.args = (
        "%s %s %s %s",
        (client, method, path.partition("?")[0], status),
    )
    return True


_FILTERS: dict[str, Any] = {"error": _told, "access": _without_query}
