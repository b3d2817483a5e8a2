"""Open a model several times; what there is to say of it is said once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

from edgeclf.console import errors_only

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
    with errors_only():
        opened += [stack.enter_context(open_one()) for _ in range(workers - 1)]
    return opened
