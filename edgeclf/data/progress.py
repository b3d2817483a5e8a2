"""How far work has come: bars for a terminal, calls for a program that watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

from tqdm import tqdm

Observer: TypeAlias = Callable[[str, int, "int | None"], None]
"""Called with a stage, how much of it is done, and how much there is if known."""

_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)
_stage: ContextVar[str] = ContextVar("stage", default="")


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Tell `observer` of all stages and bars of the block, in this thread."""
    token = _observer.set(observer)
    _stage.set("")
    try:
        yield
    finally:
        _observer.reset(token)


def stage(name: str) -> None:
    """Say what begins now, of which nobody knows how long it takes."""
    _stage.set(name)
    observer = _observer.get()
    if observer is not None:
        observer(name, 0, None)


def bar(*, total: int | None, desc: str, unit: str) -> tqdm[Any]:
    """Return a progress bar on stderr if that is a terminal; see tqdm.

    Args:
        total: How much there is to do; None if nobody knows.
        desc: What is done: the stage.
        unit: Of `total`.
    """
    observer = _observer.get()
    if observer is None:
        return tqdm(total=total, desc=desc, unit=unit, disable=None)
    return _Observed(observer, total, desc)


class _Observed(tqdm):  # type: ignore[misc]
    """A bar that nobody sees, and that tells of each step."""

    def __init__(self, observer: Observer, total: int | None, desc: str) -> None:
        self._observer, self._desc, self._done = observer, desc, 0
        super().__init__(total=total, disable=True)
        self._total = total
        observer(desc, 0, total)

    def update(self, n: float | None = 1) -> None:
        """Tell of a step."""
        self._done += int(n or 0)
        self._observer(self._desc, self._done, self._total)

    def close(self) -> None:
        """Tell that what was before the bar goes on."""
        super().close()
        if self._desc and _stage.get():
            self._observer(_stage.get(), 0, None)
        self._desc = ""
