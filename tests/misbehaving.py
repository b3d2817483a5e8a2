"""Pictures, and a server whose paths behave as they are told to."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import hosting
import numpy as np
from hosting import Behaviour, Handler, Server
from PIL import Image


def scene(seed: int, size: tuple[int, int] = (120, 90)) -> Image.Image:
    """A smooth random picture, which is like no other seed's."""
    source = np.random.default_rng(seed)
    small = source.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, file_format: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def picture(seed: int, file_format: str = "JPEG") -> bytes:
    return encoded(scene(seed), file_format)


class Paths:
    """What each path of a server does.

    Attributes:
        server: The server.
        behaviours: Of a path: one for each request, the last one for all further ones.
        asked: How often each path was asked for.
        most_at_once: The most requests that waited for an answer at one time.
        delay_s: How long each of them waits.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.behaviours: dict[str, list[Behaviour]] = {}
        self.asked: Counter[str] = Counter()
        self.began: list[float] = []
        self.most_at_once = 0
        self.delay_s = 0.0
        self._now = 0
        self._lock = threading.Lock()
        server.normally = self._behave

    def __setitem__(self, path: str, behaviours: list[Behaviour] | bytes) -> None:
        if isinstance(behaviours, bytes):
            self.server.files[path] = behaviours
        else:
            self.behaviours[path] = behaviours

    def address(self, path: str) -> str:
        return self.server.address + path

    def _behave(self, handler: Handler, content: bytes) -> None:
        path = handler.path
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            self.asked[path] += 1
            self.began.append(time.monotonic())
            script = self.behaviours.get(path, [])
            behave = script.pop(0) if len(script) > 1 else (script or [None])[0]
        self.server.stopped.wait(self.delay_s)
        with self._lock:  # before the answer, whose end the client sees first
            self._now -= 1
        if behave is not None:
            behave(handler, content)
        elif path in self.server.files:
            hosting.serve(handler, content)
        else:
            handler.send_error(404)


@contextmanager
def paths() -> Iterator[Paths]:
    with hosting.running() as server:
        yield Paths(server)
