"""Memory that the process has used and no longer needs."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD = -3  # Source: glibc, malloc/malloc.h
# Bodies, decoded pictures: from here on a block is the system's again when it is freed.
# At a tenth of it large pictures take a quarter longer, at this size no longer.
_LARGE_BYTES = 1 << 20


def return_large_blocks() -> None:
    """Have the C library give large blocks back to the system; glibc does then.

    By itself it keeps them once it has seen a few, and for each thread apart: after
    some hundred pictures the server held 20 MiB more. Elsewhere nothing is changed.
    Source: mallopt(3), Linux manual pages: `M_MMAP_THRESHOLD`, which is dynamic until
    it is set.
    """
    with suppress(OSError, TypeError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
