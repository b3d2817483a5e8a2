"""What an engine is: a map over many items by workers that start once.

The work itself is the same code on every engine; only who calls it differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Calls a function on many items and gives back what it returns."""

    def map(
        self,
        start: Callable[[], Callable[[Item], Result]],
        items: Sequence[Item],
    ) -> Iterator[Result]:
        """Yield the result of each item, in any order, as soon as it is there.

        Few results wait at a time, however many items there are.

        Args:
            start: Called once in each worker; returns what is called with each item.
                It is pickled, and so are items and results. An item may be worked on
                twice, after the death of a worker: what is returned for it must not
                depend on that, and files must be written in one step under a name that
                the item alone decides.
            items: What to work on.

        Raises:
            EdgeclfError: The workers cannot be started, or died more often than the
                engine forgives. What an item's work raises is raised as it is.
        """
        ...
