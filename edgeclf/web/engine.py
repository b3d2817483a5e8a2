"""Threads that work on pictures, and the queue before them."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

from starlette.requests import ClientDisconnect, Request

Result = TypeVar("Result")

MAX_RETRY_AFTER_S = 60
_FIRST_CALL_S = 0.05  # guessed, until the first has ended
_NEWEST = 0.1  # weight of the newest call in the mean of their times
_PATIENCE_S = 0.1  # before it is looked whether who asked is still there
_END_S = 10.0  # that the end waits for a call; a picture takes less


class BusyError(Exception):
    """The queue is full.

    Attributes:
        retry_after_s: When to come again, whole seconds.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("Expected fewer pictures at a time. Received: a full queue.")
        self.retry_after_s = retry_after_s


class _Batch(Generic[Result]):
    """The calls of one request, and what came of them.

    Its numbers change under the engine's lock.
    """

    def __init__(
        self, calls: Sequence[Callable[[], Result]], done: asyncio.Future[None]
    ) -> None:
        self.calls = calls
        self.results: list[Result | None] = [None] * len(calls)
        self.error: Exception | None = None
        self.next = 0
        self.running = 0
        self.done = done
        self.loop = done.get_loop()

    @property
    def left(self) -> int:
        return len(self.calls) - self.next

    def finish(self) -> None:
        """Wake the coroutine that waits; called by a thread."""
        try:
            self.loop.call_soon_threadsafe(self._set_done)
        except RuntimeError:  # the loop has ended meanwhile, and who waited too
            return

    def _set_done(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class Engine:
    """Worker threads behind a bounded queue; the event loop is never held up.

    Requests take turns, one picture each: a request of one picture does not wait until
    those of many are through. A request that alone has more pictures than the queue
    has places is taken when nothing waits, and nothing else until it fits again.

    Args:
        workers: Threads.
        queue: Calls that may wait for one.
    """

    def __init__(self, workers: int, queue: int) -> None:
        self.workers = workers
        self.queue = queue
        self._batches: deque[_Batch[Any]] = deque()  # those with calls left
        self._waiting = 0
        self._mean_s = _FIRST_CALL_S
        self._closed = False
        self._changed = threading.Condition()
        self._threads = [
            # They are waited for in `close`; a second Ctrl-C does not wait.
            threading.Thread(target=self._work, name=f"worker {number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    async def run(
        self, calls: Sequence[Callable[[], Result]], request: Request | None = None
    ) -> list[Result]:
        """Run all calls, several at a time; return their results in order.

        Those that no thread has begun are dropped when this is cancelled.

        Args:
            calls: What to run.
            request: Who waits, its body read: when it is gone, the calls are dropped.
                Default: nobody looks.

        Raises:
            BusyError: There is no room for all of them now; none has begun.
            ClientDisconnect: Nobody waits any more.
            Exception: What a call raises, after all that began have ended; the rest is
                dropped.
        """
        if not calls:
            return []
        batch = _Batch(calls, asyncio.get_running_loop().create_future())
        self._add(batch)
        try:
            if request is None:
                await batch.done
            else:
                await _ended(batch.done, request)
        finally:
            self._drop(batch)
        if batch.error is not None:
            raise batch.error
        return cast(list[Result], batch.results)  # all are there

    @property
    def waiting(self) -> int:
        """Calls that no thread has begun yet."""
        return self._waiting

    @property
    def retry_after_s(self) -> int:
        """When there will be room again: what waits, at the speed of the last calls."""
        wait_s = self._waiting * self._mean_s / self.workers
        return min(max(1, math.ceil(wait_s)), MAX_RETRY_AFTER_S)

    def close(self) -> None:
        """Let what runs end; what waits is cancelled. A second call does nothing."""
        with self._changed:
            self._closed = True
            dropped = list(self._batches)
            for batch in dropped:
                batch.error = BusyError(1)
                self._forget(batch)
                if not batch.running:
                    batch.finish()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_END_S)

    def _add(self, batch: _Batch[Any]) -> None:
        with self._changed:
            room = self.queue - self._waiting
            if self._closed or (self._waiting and batch.left > room):
                raise BusyError(self.retry_after_s)
            self._batches.append(batch)
            self._waiting += batch.left
            self._changed.notify(min(batch.left, self.workers))

    def _drop(self, batch: _Batch[Any]) -> None:
        if batch.left:
            with self._changed:
                self._forget(batch)

    def _forget(self, batch: _Batch[Any]) -> None:
        """Take what is left of a batch out of the queue; the lock is held."""
        if batch.left:
            self._waiting -= batch.left
            batch.next = len(batch.calls)
            self._batches.remove(batch)

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            batch, index = taken
            started = time.perf_counter()
            try:
                batch.results[index] = batch.calls[index]()
                error = None
            except Exception as raised:  # noqa: BLE001 - who waits gets it
                error = raised
            self._end(batch, error, time.perf_counter() - started)
            del batch, taken, error  # nothing of a picture stays while waiting

    def _take(self) -> tuple[_Batch[Any], int] | None:
        with self._changed:
            while not self._batches:
                if self._closed:
                    return None
                self._changed.wait()
            batch = self._batches.popleft()
            index = batch.next
            batch.next += 1
            batch.running += 1
            self._waiting -= 1
            if batch.left:
                self._batches.append(batch)  # behind the others
            return batch, index

    def _end(self, batch: _Batch[Any], error: Exception | None, seconds: float) -> None:
        with self._changed:
            self._mean_s += _NEWEST * (seconds - self._mean_s)
            batch.running -= 1
            if error is not None and batch.error is None:
                batch.error = error
                self._forget(batch)
            if not batch.running and not batch.left:
                batch.finish()


async def _ended(done: asyncio.Future[None], request: Request) -> None:
    """Wait for `done`.

    Raises:
        ClientDisconnect: The client is gone before.
    """
    # To watch a connection costs as much as some of the work: most are soon answered.
    await asyncio.wait((done,), timeout=_PATIENCE_S)
    if done.done():
        return
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((done, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    if not done.done():
        raise ClientDisconnect


async def _gone(request: Request) -> None:
    """Return when the client has closed the connection; its body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
