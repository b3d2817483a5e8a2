"""Memory that the process holds and no longer uses."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


def give_back() -> None:
    """Return freed memory to the system, where its C library can; elsewhere nothing.

    glibc keeps what large pictures needed, apart for each thread. A thread may hold
    tens of MB that way, more than all that the server uses.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    """Return glibc's `malloc_trim`; None where there is another C library.

    Source: malloc_trim(3), Linux manual pages.
    """
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):
        return None
