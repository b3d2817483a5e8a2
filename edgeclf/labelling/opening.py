"""Open a model several times; what there is to say of it is said once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeVar

logger = logging.getLogger("edgeclf")

Opened = TypeVar("Opened")


def open_each(
    stack: ExitStack,
    open_one: Callable[[], AbstractContextManager[Opened]],
    workers: int,
) -> list[Opened]:
    """Return a model for each worker, of which only the first one logs.

    Args:
        stack: Closes them.
        open_one: Opens one.
        workers: How many, 1 or more.
    """
    opened = [stack.enter_context(open_one())]
    with said_before():
        opened += [stack.enter_context(open_one()) for _ in range(workers - 1)]
    return opened


@contextmanager
def said_before() -> Iterator[None]:
    """Log nothing but errors: the rest was said when the model was first opened."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
