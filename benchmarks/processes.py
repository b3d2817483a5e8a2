"""Watch what the processes that this one has started take, and all that they start.

Linux tells a process's time only to who waits for it, and Ray's workers are waited for
by nobody: they are looked at some times a second.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from benchmarks.measure import BYTES_PER_MB

INTERVAL_S = 0.2
_TICKS = os.sysconf("SC_CLK_TCK")
_PARENT, _USER, _SYSTEM = 1, 11, 12  # places behind the name. Source: proc(5)


@dataclass
class Process:
    """What a process has taken so far.

    Attributes:
        pid: Its number.
        parent: That of who started it.
        command: Its command line, words joined by spaces.
        cpu_s: User and system time in seconds.
        peak_mb: Its peak resident set in MB (10^6 bytes).
    """

    pid: int
    parent: int
    command: str
    cpu_s: float
    peak_mb: float = 0.0


class Watch:
    """Watches the descendants of this process in a thread, as a context.

    Attributes:
        seen: Every process that was there, as it was when it was last seen, by number.
        before: Time of those that were there before, by number.
        line: What the clock said, and what `cpu_s` was then, some times a second.
    """

    def __init__(self) -> None:
        self.seen: dict[int, Process] = {}
        self.before: dict[int, float] = {}
        self.line: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> Watch:
        self.before = {process.pid: process.cpu_s for process in descendants()}
        self.line.append((time.time(), 0.0))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def cpu_s(self) -> float:
        """Return what all of them took meanwhile, in seconds."""
        return sum(
            process.cpu_s - self.before.get(pid, 0.0)
            for pid, process in self.seen.items()
        )

    def cpu_s_between(self, first: float, last: float) -> float:
        """Return what they took between two times of the clock, in seconds."""
        times, taken = zip(*self.line, strict=True)
        return float(np.diff(np.interp([first, last], times, taken))[0])

    def _look_on(self) -> None:
        while not self._ended.wait(INTERVAL_S):
            self._look()

    def _look(self) -> None:
        for process in descendants():
            known = self.seen.get(process.pid)
            if known is not None and not process.command:  # it has ended, unwaited for
                known.cpu_s = process.cpu_s
                continue
            process.peak_mb = peak_mb(process.pid)
            self.seen[process.pid] = process
        self.line.append((time.time(), self.cpu_s()))


def descendants() -> list[Process]:
    """Return the processes below this one."""
    below = {os.getpid()}
    found = []
    everything = {process.pid: process for process in _all()}
    for process in everything.values():
        line, parent = [process.pid], process.parent
        while parent in everything and parent not in below:
            line.append(parent)
            parent = everything[parent].parent
        if parent in below:
            below.update(line)
            found.append(process)
    return found


def peak_mb(pid: int) -> float:
    """Return a process's peak resident set in MB (10^6 bytes); 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return 0.0
    values = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(values[0]) * 1024 / BYTES_PER_MB if values else 0.0


def _all() -> Iterator[Process]:
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            folder = Path(entry.path)
            # The name, in brackets, may hold anything.
            rest = (folder / "stat").read_text(errors="replace").rpartition(")")[2]
            command = (folder / "cmdline").read_text(errors="replace")
        except OSError:  # it has ended
            continue
        fields = rest.split()
        cpu_s = (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS
        words = command.replace("\0", " ").strip()
        yield Process(int(entry.name), int(fields[_PARENT]), words, cpu_s)
