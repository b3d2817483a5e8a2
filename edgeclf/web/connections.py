"""Connections: how many, and how long they may say nothing or take nothing.

uvicorn looks after requests; what never becomes one, and answers that nobody takes,
would be kept for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

try:
    import resource
except ImportError:  # of Unix alone
    resource = None  # type: ignore[assignment]

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 512  # of all; each is a file descriptor
_OTHERS = 128  # file descriptors beside those of connections and of what they are sent
HEAD_S = 10.0
WRITE_S = 60.0


class Listening(socket.socket):
    """A socket that takes no more connections than there may be at a time.

    Also such as have not shown who they are: `Connection` sees those with https only
    after that. Without file descriptors asyncio would log each try to take another.

    Attributes:
        most: Connections at a time.
    """

    most = MAX_CONNECTIONS

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._taken: list[socket.socket] = []

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection.

        Raises:
            ConnectionAbortedError: There are too many; it was hung up on.
        """
        made, address = super().accept()
        if len(self._taken) >= self.most:
            self._taken = [each for each in self._taken if each.fileno() != -1]
        if len(self._taken) >= self.most:
            made.close()
            raise ConnectionAbortedError
        self._taken.append(made)
        return made, address


def most_connections() -> int:
    """Return for how many connections there are file descriptors; ask for enough."""
    if resource is None:
        return MAX_CONNECTIONS
    needed = 2 * MAX_CONNECTIONS + _OTHERS  # each may be sent a file
    limit, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= limit < needed:  # -1: there is no limit
        wanted = needed if highest < 0 else min(needed, highest)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, highest))
            limit = wanted
    if limit < 0:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, (limit - _OTHERS) // 2))


class Connection(H11Protocol):
    """A connection that ends when its client is too slow, or there are too many.

    Attributes:
        most: Connections at a time.
        head_s: For a request's head, from the connection or the first byte of it.
        write_s: In which some of what waits to be sent must be taken, however little.
    """

    most = MAX_CONNECTIONS
    head_s = HEAD_S
    write_s = WRITE_S
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _waiting_bytes = 0  # for the client to take them, when the timer was set

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or hang up."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
            return
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._stop_head()
        self._stop_write()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        super().data_received(data)
        self._watch_head()
        self._watch_write()  # it may have been refused at once

    def on_response_complete(self) -> None:
        """Take the next request, or end when the client has taken the answer."""
        super().on_response_complete()
        # Of a little that is left nobody is told, and closing waits for it.
        self._stop_write()
        self._watch_write()

    def pause_writing(self) -> None:
        """Wait for the client to take what was sent."""
        super().pause_writing()
        self._watch_write()

    def resume_writing(self) -> None:
        """Go on sending."""
        self._stop_write()
        super().resume_writing()

    def _watch_head(self) -> None:
        """Have the clock run while a head is waited for; a byte does not renew it."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_head()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_s, self.transport.abort)

    def _stop_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _watch_write(self) -> None:
        """Have the clock run while something waits to be sent."""
        if self._write_timer is None:
            self._waiting_bytes = self.transport.get_write_buffer_size()
            if self._waiting_bytes:
                self._write_timer = self.loop.call_later(self.write_s, self._look)

    def _look(self) -> None:
        """Hang up on a client that has taken nothing."""
        self._write_timer = None
        if self.transport.get_write_buffer_size() >= self._waiting_bytes:
            self.transport.abort()
        else:
            self._watch_write()

    def _stop_write(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
