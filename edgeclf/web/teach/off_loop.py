"""Work with files, where it does not hold up other requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from starlette.responses import Response

from edgeclf.web.model_page import disposition
from edgeclf.web.problems import ProblemError
from edgeclf.web.teach.refusals import missing, of_disk

Result = TypeVar("Result")


async def off_loop(call: Callable[[], Result]) -> Result:
    """Run what reads or writes files in a thread.

    Raises:
        ProblemError: What the call raises; and of an `OSError`, such as a full disk, or
            a file that another tab has renamed or deleted this moment.
    """
    try:
        return await asyncio.to_thread(call)
    except ProblemError:
        raise
    except FileNotFoundError as error:
        raise missing("file", Path(str(error.filename)).name) from error
    except OSError as error:
        raise of_disk(error) from error


def file_response(path: Path, kind: str, saved: str | None) -> Response:
    """Return a file, read now: while it is sent it may be renamed or deleted.

    Args:
        path: The file.
        kind: Its media type.
        saved: What it is called where it is saved; None: it is shown.

    Raises:
        OSError: It cannot be read.
    """
    headers = {"Cache-Control": "private, no-cache"}
    if saved is not None:
        headers["Content-Disposition"] = disposition(saved)
    return Response(path.read_bytes(), headers=headers, media_type=kind)
