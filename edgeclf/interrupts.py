"""End a command within a second of Ctrl-C or SIGTERM, whatever it is doing.

A signal becomes a `KeyboardInterrupt` in the main thread, which lets go of what it
holds. That does not come through while the thread is in a long call of NumPy, and
Python waits for threads and child processes before it ends. So a thread hears of
signals through the descriptor that Python writes them to, and ends the process when it
has not ended by itself. Nothing is half-written by that: files are moved into place,
and SQLite takes back what was not committed.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

GRACE_S = 0.7  # until the process is ended; with all that follows less than a second
FLUSH_S = 0.1  # for what was printed to come out
# `timeout` and `uv run` send a signal that the terminal has sent already: nobody has
# pressed Ctrl-C twice within so short a time.
ECHO_S = 0.05
# 128 + the signal's number, as a shell reports it.
INTERRUPTED, TERMINATED = 130, 143
STATUS = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
WORDS = {INTERRUPTED: "Interrupted.", TERMINATED: "Terminated."}

_watching: list[_Watch] = []  # one at most: signals belong to the process


class Terminated(KeyboardInterrupt):
    """The process is told to end, by SIGTERM."""


def status_of(error: BaseException) -> int | None:
    """Return the exit status after an interruption, None after any other error."""
    if not isinstance(error, KeyboardInterrupt):
        return None
    return TERMINATED if isinstance(error, Terminated) else INTERRUPTED


def taken() -> int | None:
    """Return the exit status after the signal that has come, None without one."""
    return next((watch.status for watch in _watching), None)


@contextmanager
def watched(go_on: str) -> Iterator[None]:
    """Raise `KeyboardInterrupt` in the block at SIGINT and SIGTERM, and see it end.

    When the process is still there `GRACE_S` after the signal, or at a second one that
    is no echo of the first, it is ended with its children. So it is too where the block
    was left in time and Python then waits for threads at its end; a program that goes
    on is let alone. Who handles signals otherwise meanwhile, as a server does, is not
    watched.

    Nothing is done but in the main thread, outside of another such block, on POSIX.

    Args:
        go_on: A sentence: what is kept, and how to go on.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if os.name != "posix" or _watching or not is_main:
        yield
        return
    watch = _Watch(go_on)
    _watching.append(watch)
    try:
        with watch.handling():
            yield
    finally:
        _watching.remove(watch)
        watch.leave()


@contextmanager
def saying() -> Iterator[None]:
    """Print the words of an interruption in the block: once is enough."""
    with ExitStack() as stack:
        for watch in _watching:
            stack.enter_context(watch.words)
            watch.has_said = True
        yield


class _Watch:
    """A thread that waits for signals and then for the end of the process."""

    def __init__(self, go_on: str) -> None:
        self.words = threading.Lock()  # of who prints them
        self.has_said = False
        self._taken = 0  # the signal that has interrupted the main thread
        self._taken_at = 0.0
        self._is_over = False
        self._go_on = go_on
        self._left = threading.Event()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        # A daemon: Python does not wait for it.
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM in the block; leave what else handles them."""
        before = {}
        earlier = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in STATUS:
            # What ignores a signal, as shells do in the background, goes on to.
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, self.handle)
        try:
            yield
        finally:
            self._is_over = True
            if self._taken:  # its echo must not meet another handler
                time.sleep(max(0.0, self._taken_at + ECHO_S - time.monotonic()))
            signal.set_wakeup_fd(earlier)
            for number, handler in before.items():
                if self._handles(number):
                    signal.signal(number, handler)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Interrupt the main thread, once: its way out is not to be cut off."""
        if self._taken or self._is_over:
            return
        self._taken, self._taken_at = number, time.monotonic()
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    @property
    def status(self) -> int | None:
        """What the process ends with for the signal that has come; None without."""
        return STATUS[signal.Signals(self._taken)] if self._taken else None

    def _handles(self, number: int) -> bool:
        return signal.getsignal(number) == self.handle

    def _is_ours(self, number: int) -> bool:
        """Return whether a signal has come that nobody else handles."""
        if number not in STATUS:
            return False
        return number == self._taken or self._handles(number)

    def leave(self) -> None:
        """Tell that the block is left; without a signal the thread ends."""
        self._left.set()
        os.write(self._writer, b"\0")

    def _watch(self) -> None:
        number = 0
        while not self._is_ours(number):
            (number,) = os.read(self._reader, 1)
            if number == 0:
                self._close()
                return
        began = time.monotonic()
        ends_at = began + GRACE_S
        while (left_s := ends_at - time.monotonic()) > 0:
            if select.select([self._reader], [], [], left_s)[0]:
                again = os.read(self._reader, 1)[0]
                is_echo = time.monotonic() < began + ECHO_S
                if again in STATUS and not is_echo and not self._left.is_set():
                    break
        while self._left.is_set() and threading.main_thread().is_alive():
            if time.monotonic() > ends_at + FLUSH_S:
                self._close()
                return  # the program goes on: it has dealt with the signal
            time.sleep(0.01)
        self._end(STATUS[signal.Signals(number)])

    def _close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)

    def _end(self, status: int) -> NoReturn:
        self.words.acquire(timeout=FLUSH_S)  # who prints them is done soon, or stuck
        if not self.has_said:
            with suppress(OSError):
                os.write(
                    2, f"error: {WORDS[status]} {self._go_on}".rstrip().encode() + b"\n"
                )
        # The main thread may hold the lock of what was printed, or the pipe be full.
        flushing = threading.Thread(target=_flush, daemon=True)
        with suppress(RuntimeError):  # Python is ending, and flushes by itself
            flushing.start()
            flushing.join(FLUSH_S)
        _kill(_descendants(os.getpid()))
        os._exit(status)


def _flush() -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()


def _kill(pids: list[int]) -> None:
    """Have processes killed, by another one, which does not wait for this one.

    A library may end this process, with a status of its own, when those are gone.
    Not a fork: that would wait for the threads of a BLAS that is at work.
    """
    if pids:
        words = ["sh", "-c", 'kill -9 "$@"', "sh", *map(str, pids)]
        with suppress(OSError):
            os.posix_spawn("/bin/sh", words, {})


def _descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and theirs; on Linux."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            # "PID (NAME) STATE PARENT ..."; the name may hold anything
            parent = int(path.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = list(children.get(pid, ()))
    for child in found:  # which grows meanwhile
        found += children.get(child, ())
    return found


def _forget() -> None:
    """Have a child that was forked take signals as others do."""
    for watch in _watching:
        signal.set_wakeup_fd(-1)
        for number in STATUS:
            if signal.getsignal(number) == watch.handle:
                handler = signal.default_int_handler
                is_int = number == signal.SIGINT
                signal.signal(number, handler if is_int else signal.SIG_DFL)
    _watching.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
