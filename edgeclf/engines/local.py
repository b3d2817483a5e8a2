"""The engine of one machine: processes that share its cores.

Processes, not threads: what runs between two pictures holds Python's lock, which sixty
threads would wait for.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from edgeclf.engines.engine import Item, Result
from edgeclf.errors import EdgeclfError

WAITING = 2  # items a worker that are handed over: one is there when it asks
STOPPED = 1  # exit status of a worker that was told to stop

# Each worker has a core; what would start a thread for each core of its own is told.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# Of this process, when it is a worker: how it starts, and what it does once it has.
_start: bytes
_work: Callable[[Any], Any] | None = None


class LocalEngine:
    """Works on items in processes of this machine; see `edgeclf.engines.engine`.

    A program that uses it needs the usual `if __name__ == "__main__":` around its own
    work, since processes are started afresh and import it. One worker is no process:
    the work is done where `map` is called.

    Ctrl-C reaches the caller alone; workers end at once when the caller stops asking,
    in the middle of their item, and also when its process dies.

    Args:
        num_workers: How many. Default: one for each core that this process may use.

    Raises:
        ValueError: `num_workers` is less than 1.
    """

    def __init__(self, num_workers: int | None = None) -> None:
        if num_workers is not None and num_workers < 1:
            raise ValueError(
                f"Expected 1 worker or more. Received: num_workers={num_workers}"
            )
        self.num_workers = _usable_cores() if num_workers is None else num_workers

    def map(
        self,
        start: Callable[[], Callable[[Item], Result]],
        items: Sequence[Item],
    ) -> Iterator[Result]:
        """Yield the result of each item, in any order; see `Engine.map`.

        Raises:
            EdgeclfError: A worker died.
        """
        num_workers = min(self.num_workers, len(items))
        if num_workers <= 1:
            return _map_here(start, items)
        return _map_in_processes(start, items, num_workers)


def _map_here(
    start: Callable[[], Callable[[Item], Result]], items: Sequence[Item]
) -> Iterator[Result]:
    if items:
        work = start()
        yield from map(work, items)


def _map_in_processes(
    start: Callable[[], Callable[[Item], Result]],
    items: Sequence[Item],
    num_workers: int,
) -> Iterator[Result]:
    context = multiprocessing.get_context("spawn")  # threads do not survive a fork
    stopping, alive = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(
        num_workers,
        context,
        initializer=_become_worker,
        initargs=(pickle.dumps(start), stopping),
    )
    try:
        yield from _results(executor, items, WAITING * num_workers)
    except BrokenProcessPool as error:
        raise EdgeclfError(
            "A worker died, killed by somebody or for want of memory. What is done is "
            "kept. Fewer workers need less memory."
        ) from error
    finally:
        alive.close()  # tells the workers
        executor.shutdown(cancel_futures=True)
        stopping.close()


def _results(
    executor: ProcessPoolExecutor, items: Sequence[Item], at_most: int
) -> Iterator[Any]:
    """Yield results as they come; hand over no more than `at_most` items at a time."""
    running: set[Future[Any]] = set()
    for item in items:
        if len(running) >= at_most:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
        with _without_interrupt():
            running.add(executor.submit(_call, item))
    while running:
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


@contextmanager
def _without_interrupt() -> Iterator[None]:
    """Have the processes that are started in this block not hear of Ctrl-C.

    They inherit that. Here it is heard after the block.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _become_worker(start: bytes, stopping: Connection) -> None:
    """Begin a worker's process: get ready for items, and for the end.

    Args:
        start: Pickled; what it needs is imported only after the settings here, with
            the first item: what it raises is then heard of.
        stopping: It ends with the caller, or when the caller closes it.
    """
    global _start
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")
    threading.Thread(target=_die_with, args=(stopping,), daemon=True).start()
    _start = start


def _die_with(stopping: Connection) -> None:
    stopping.poll(None)  # also when the other end is closed
    os._exit(STOPPED)


def _call(item: Any) -> Any:
    global _work
    if _work is None:
        _work = pickle.loads(_start)()  # noqa: S301 - the caller's own
    return _work(item)


def _usable_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
