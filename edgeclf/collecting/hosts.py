"""Let few connections at a time go to one host, and none too soon."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from edgeclf.inputs.connection import FetchError

STOPPED = "stopped"


class Hosts:
    """Turns at hosts, for any number of threads.

    Args:
        per_host: Connections to one host at a time.
        pause_s: Seconds between the beginnings of two of them.
        closed: No turn begins once it is set; call `wake` then.
    """

    def __init__(self, per_host: int, pause_s: float, closed: threading.Event) -> None:
        self._per_host = per_host
        self._pause_s = pause_s
        self._closed = closed
        self._changed = threading.Condition()
        self._open: dict[str, int] = {}
        self._not_before: dict[str, float] = {}  # by time.monotonic

    @contextmanager
    def visiting(self, host: str) -> Iterator[float]:
        """Wait for a turn at a host, and have it for the length of the block.

        Args:
            host: Name and port.

        Yields:
            The seconds that it took to begin.

        Raises:
            FetchError: All was closed meanwhile.
        """
        began = time.monotonic()
        with self._changed:
            self._wait(host)
            self._open[host] = self._open.get(host, 0) + 1
            now = time.monotonic()
            self._not_before[host] = now + self._pause_s
        try:
            yield now - began
        finally:
            with self._changed:
                self._open[host] -= 1
                self._changed.notify_all()

    def hold(self, host: str, until: float) -> None:
        """Let no turn at a host begin before a time, by `time.monotonic`."""
        with self._changed:
            self._not_before[host] = max(until, self._not_before.get(host, 0.0))

    def wake(self) -> None:
        """Have all who wait look whether they should go on."""
        with self._changed:
            self._changed.notify_all()

    def _wait(self, host: str) -> None:
        """Wait until a turn may begin; `_changed` is held before and after."""
        while not self._closed.is_set():
            pause_s = self._not_before.get(host, 0.0) - time.monotonic()
            if self._open.get(host, 0) < self._per_host and pause_s <= 0:
                return
            self._changed.wait(pause_s if pause_s > 0 else None)
        raise FetchError("The download was stopped.", kind=STOPPED)
