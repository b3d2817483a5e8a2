"""Show on a terminal how far a long run is."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

QUIET_S = 1.0  # nothing is shown of a run that is done by then
REDRAW_S = 0.1  # a terminal at the end of a slow line must keep up
ERASE = "\r\x1b[K"  # to the line's start, and clear it. Source: ECMA-48, EL
BAR_WIDTH = 20


class Progress:
    """One line on stderr: `[#####---------------] 500/2000, 640/s, 2 s left`.

    It is there only while stderr is a terminal, several pictures are to be done, and
    the work has taken a second. What else is written to a terminal meanwhile is
    written inside `hidden`, so that lines do not mix.

    Args:
        total: How many pictures there are; None when that is not known.
    """

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._wanted = total != 1 and _is_terminal(sys.stderr)
        self._done = 0
        self._started = time.monotonic()
        self._redraw_at = self._started + QUIET_S
        self._line = ""  # what stands there

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._line:
            self._write(ERASE)

    def advance(self, pictures: int = 1) -> None:
        """Count pictures as done."""
        self._done += pictures
        now = time.monotonic()
        if self._wanted and now >= self._redraw_at:
            self._redraw_at = now + REDRAW_S
            line = progress_line(self._done, self._total, now - self._started)
            self._line = line[: _columns() - 1]
            self._write(ERASE + self._line)

    @contextmanager
    def hidden(self, stream: TextIO) -> Iterator[None]:
        """Clear the line while something is written to `stream`, if both are seen."""
        if not self._line or not _is_terminal(stream):
            yield
            return
        self._write(ERASE)
        yield
        stream.flush()
        self._write(self._line)

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def progress_line(done: int, total: int | None, elapsed_s: float) -> str:
    """Return how far it is, how fast, and the time left if the total is known."""
    rate = done / elapsed_s
    speed = f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s"
    if total is None:
        return f"{done} pictures, {speed}"
    filled = "#" * (BAR_WIDTH * min(done, total) // total)
    left = _duration(max(0, total - done) / rate)
    return f"[{filled:-<{BAR_WIDTH}}] {done}/{total}, {speed}, {left} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80
