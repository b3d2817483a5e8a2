"""Fits that nobody asked for by name keep quiet."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

logger = logging.getLogger("edgeclf")


@contextlib.contextmanager
def told_only_of_errors() -> Iterator[None]:
    """Keep what is reported in here off the screen, but for errors."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
