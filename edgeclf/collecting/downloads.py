"""Download what sources find with several threads, and give it back in their order.

What is kept does not depend on which server was quicker. A picture is asked for only
if its label still lacks it even when all that were asked for before turn out well.
"""

from __future__ import annotations

import queue
import threading
import urllib.parse
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from edgeclf.collecting.found import Found

LOOK_AHEAD = 16  # pictures a thread that may be done before their turn
JOIN_S = 1.0  # how long the end waits for threads that are in the middle of a picture

Result = TypeVar("Result")
_WAITING, _RUNNING, _DONE = range(3)


@dataclass(eq=False)
class _Job(Generic[Result]):
    """One picture on its way."""

    found: Found
    host: str
    state: int = _WAITING
    result: Result | BaseException | None = None

    @property
    def may_be_kept(self) -> bool:
        """Whether it takes a place of its labels until its turn comes."""
        if self.state == _DONE:
            return not isinstance(self.result, (BaseException, type(None)))
        return True


class Downloads(Generic[Result]):
    """Pictures on their way; iterate over it, in one thread.

    Each item is what was found and what became of it: the result of `obtain`, an error
    of `expected`, or None if its labels had no place left. Only results wait for their
    turn.

    Args:
        found: What to download; asked for more only when a thread has nothing to do.
        obtain: Called by the threads.
        expected: Errors that are results too; others are raised.
        num_workers: Threads.
        per_host: Pictures of one host at a time, so that a slow one leaves threads to
            the others.
        places: Returns how many pictures a label lacks; None for any number.
    """

    def __init__(
        self,
        found: Iterator[Found],
        obtain: Callable[[Found], Result],
        expected: tuple[type[Exception], ...],
        *,
        num_workers: int,
        per_host: int,
        places: Callable[[str], int | None],
    ) -> None:
        self._found = found
        self._obtain = obtain
        self._expected = expected
        self._num_workers = num_workers
        self._per_host = per_host
        self._places = places
        self._order: deque[_Job[Result]] = deque()
        self._has_ended = False  # `found` has
        self._tasks: queue.SimpleQueue[_Job[Result] | None] = queue.SimpleQueue()
        self._finished: queue.SimpleQueue[_Job[Result]] = queue.SimpleQueue()
        # Daemons: one that waits for a slow server must not keep the process alive.
        self._threads = [
            threading.Thread(target=self._work, name="edgeclf-collect", daemon=True)
            for _ in range(num_workers)
        ]
        for thread in self._threads:
            thread.start()

    def __iter__(self) -> Iterator[tuple[Found, Result | Exception | None]]:
        while True:
            self._start()
            job = next((job for job in self._order if self._is_due(job)), None)
            if job is not None:
                self._order.remove(job)
                yield job.found, self._checked(job.result)
            elif self._order:
                self._finished.get().state = _DONE
            else:
                return

    def _is_due(self, job: _Job[Result]) -> bool:
        return job.state == _DONE and (job is self._order[0] or not job.may_be_kept)

    def _checked(
        self, result: Result | BaseException | None
    ) -> Result | Exception | None:
        if isinstance(result, self._expected):
            return result
        if isinstance(result, BaseException):
            raise result
        return result

    def stop(self) -> None:
        """Let the threads end; return when they have, or after `JOIN_S`."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join(JOIN_S / self._num_workers)

    def _work(self) -> None:
        while (job := self._tasks.get()) is not None:
            try:
                job.result = self._obtain(job.found)
            except BaseException as error:  # noqa: BLE001 - raised in the job's turn
                job.result = error
            self._finished.put(job)

    def _start(self) -> None:
        """Give the threads what may begin, in order; look for more if they lack it."""
        self._collect_finished()
        running = [job for job in self._order if job.state == _RUNNING]
        num_idle = self._num_workers - len(running)
        busy = Counter(job.host for job in running)
        ahead: Counter[str] = Counter()
        is_blocked = False
        for job in self._order:
            if job.state == _WAITING and self._is_full(job):
                job.state = _DONE
                is_blocked = True  # give it back first: another label may lack it
            elif job.state == _WAITING and not self._has_place(job, ahead):
                is_blocked = True  # more of its kind would be asked for in vain
            elif job.state == _WAITING and num_idle and busy[job.host] < self._per_host:
                self._begin(job)
                busy[job.host] += 1
                num_idle -= 1
            if job.may_be_kept:
                ahead.update(job.found.labels)
        if not is_blocked:
            self._take(num_idle, busy, ahead)

    def _take(self, num_idle: int, busy: Counter[str], ahead: Counter[str]) -> None:
        """Look for more, as long as there are threads for it."""
        most = LOOK_AHEAD * self._num_workers
        while num_idle and not self._has_ended and len(self._order) < most:
            found = next(self._found, None)
            if found is None:
                self._has_ended = True
                return
            job: _Job[Result] = _Job(found, _host(found.url))
            self._order.append(job)
            if self._is_full(job):
                job.state = _DONE  # nothing may be running that would end the wait
                return
            if not self._has_place(job, ahead):
                return
            if busy[job.host] < self._per_host:
                self._begin(job)
                busy[job.host] += 1
                num_idle -= 1
            ahead.update(found.labels)
            self._collect_finished()

    def _is_full(self, job: _Job[Result]) -> bool:
        return all(self._places(label) == 0 for label in job.found.labels)

    def _has_place(self, job: _Job[Result], ahead: Counter[str]) -> bool:
        """Return whether a label lacks the picture if all before it turn out well."""
        places = ((label, self._places(label)) for label in job.found.labels)
        return any(count is None or ahead[label] < count for label, count in places)

    def _begin(self, job: _Job[Result]) -> None:
        job.state = _RUNNING
        self._tasks.put(job)

    def _collect_finished(self) -> None:
        while not self._finished.empty():
            self._finished.get().state = _DONE


def _host(url: str) -> str:
    """Return host and port of an address, "" of one that is none."""
    try:
        return urllib.parse.urlsplit(url).netloc.lower()
    except ValueError:
        return ""
