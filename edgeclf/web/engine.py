"""Threads that work on pictures, and the queue before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Result = TypeVar("Result")


class BusyError(Exception):
    """The queue is full.

    Attributes:
        retry_after_s: When to come again, whole seconds.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("Expected fewer pictures at a time. Received: a full queue.")
        self.retry_after_s = retry_after_s


class Engine:
    """Worker threads behind a bounded queue; the event loop is never held up.

    Args:
        workers: Threads.
        queue: Calls that may wait for one.
    """

    def __init__(self, workers: int, queue: int) -> None:
        self.workers = workers
        self.queue = queue

    async def run(self, calls: Sequence[Callable[[], Result]]) -> list[Result]:
        """Run all calls, several at a time; return their results in order.

        Raises:
            BusyError: There is no room for all of them now; none has begun.
            Exception: What a call raises, after all have ended.
        """
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """Calls that no thread has begun yet."""
        raise NotImplementedError

    def close(self) -> None:
        """Let what runs end; what waits is cancelled."""
        raise NotImplementedError
