"""Memory that the process has used and no longer needs."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# Source: glibc, malloc/malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
# Bodies: from here on a block is the system's again when it is freed. At a tenth of it
# large pictures take a quarter longer, at this size no longer.
_LARGE_BYTES = 1 << 20
# What smaller blocks leave free at the end is kept up to here: pages had to be got anew
# for each piece of a body. Four times as much is some percent faster, and 5 MiB more.
_KEPT_BYTES = 1 << 20


def return_large_blocks() -> None:
    """Have the C library give large blocks back to the system; glibc does then.

    By itself it keeps them once it has seen a few, and for each thread apart: after
    some hundred pictures the server held 20 MiB more. Elsewhere nothing is changed.
    Source: mallopt(3), Linux manual pages: `M_MMAP_THRESHOLD`, which is dynamic until
    it is set, as is `M_TRIM_THRESHOLD`.
    """
    with suppress(OSError, TypeError, AttributeError):  # another C library
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
