"""What is done with each picture of a request, in the engine's threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from edgeclf.decoder import ImageSource
from edgeclf.labelling.workers import PICTURE_ERRORS, named, picture_error
from edgeclf.web.engine import Engine
from edgeclf.web.intake import Picture
from edgeclf.web.metrics import Metrics


@dataclass(frozen=True)
class Worked:
    """What became of a picture.

    Attributes:
        picture: See `intake.Picture`.
        result: Of the call; None with an error.
        error: A sentence that begins with the picture's name; None with a result.
    """

    picture: Picture
    result: Any
    error: str | None


async def work_on(
    pictures: Sequence[Picture],
    function: Callable[[ImageSource], Any],
    engine: Engine,
    metrics: Metrics,
    request: Request | None = None,
) -> list[Worked]:
    """Call a function with each picture; one that fails does not stop the rest.

    Args:
        pictures: Of a request.
        function: Called by the engine's threads, several at a time.
        engine: Where.
        metrics: Counts pictures and seconds.
        request: When who sent it is gone, the rest is dropped. Default: nobody
            looks.

    Raises:
        BusyError: There is no room now; nothing was begun.
        ClientDisconnect: Nobody waits any more.
    """
    calls = [_call(picture, function, metrics) for picture in pictures]
    return await engine.run(calls, request)


def _call(
    picture: Picture, function: Callable[[ImageSource], Any], metrics: Metrics
) -> Callable[[], Worked]:
    def call() -> Worked:
        content = picture.content
        if content is None:
            metrics.pictures.labels("failed").inc()
            return Worked(picture, None, picture.error)
        began = time.perf_counter()
        try:
            result = function(named(content, picture.name))
        except PICTURE_ERRORS as error:
            metrics.pictures.labels("failed").inc()
            return Worked(picture, None, picture_error(picture.name, error))
        metrics.pictures.labels("labelled").inc()
        metrics.picture_seconds.observe(time.perf_counter() - began)
        return Worked(picture, result, None)

    return call
