"""Work with files, where it does not hold up other requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from edgeclf.web.problems import ProblemError
from edgeclf.web.teach.refusals import of_disk

Result = TypeVar("Result")


async def off_loop(call: Callable[[], Result]) -> Result:
    """Run what reads or writes files in a thread.

    Raises:
        ProblemError: What the call raises; and of an `OSError`, such as a full disk.
    """
    try:
        return await asyncio.to_thread(call)
    except ProblemError:
        raise
    except OSError as error:
        raise of_disk(error) from error
