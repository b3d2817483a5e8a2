"""What is done with each picture of a request, in the engine's threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgeclf.decoder import ImageSource
from edgeclf.labelling.workers import PICTURE_ERRORS, named, picture_error
from edgeclf.web.engine import BusyError, Engine
from edgeclf.web.intake import Picture
from edgeclf.web.metrics import Metrics

_PAUSE_S = 0.02  # before the rest of a large request asks for room again


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
) -> list[Worked]:
    """Call a function with each picture; one that fails does not stop the rest.

    A request with more pictures than the queue has room for goes through it in parts.

    Args:
        pictures: Of a request.
        function: Called by the engine's threads, several at a time.
        engine: Where.
        metrics: Counts pictures and seconds.

    Raises:
        BusyError: There is no room now; nothing was begun.
    """
    done: list[Worked] = []
    size = max(1, engine.queue)
    for start in range(0, len(pictures), size):
        part = pictures[start : start + size]
        calls = [_call(picture, function, metrics) for picture in part]
        while True:
            try:
                done += await engine.run(calls)
                break
            except BusyError:
                if not done:
                    raise
                await asyncio.sleep(_PAUSE_S)
    return done


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
