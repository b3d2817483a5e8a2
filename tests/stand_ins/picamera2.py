"""A camera for the examples: picamera2 itself runs on a Raspberry Pi only.

It hands out the pictures that PICTURES names, as arrays in the channel order that
picamera2 has for a format, and then ends as Ctrl-C does.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image


class Picamera2:
    def __init__(self) -> None:
        self._paths = iter(os.environ["PICTURES"].split(os.pathsep))
        self._main: dict[str, Any] = {}
        self._running = False

    def create_video_configuration(self, main: dict[str, Any]) -> dict[str, Any]:
        return {"main": main}

    def configure(self, configuration: dict[str, Any]) -> None:
        assert not self._running
        self._main = configuration["main"]

    def start(self) -> None:
        self._running = True

    def capture_array(self) -> np.ndarray:
        assert self._running
        path = next(self._paths, None)
        if path is None:
            raise KeyboardInterrupt
        pixels = np.array(Image.open(path).convert("RGB").resize(self._main["size"]))
        return {"BGR888": pixels, "RGB888": pixels[..., ::-1]}[self._main["format"]]

    def __enter__(self) -> Picamera2:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running = False
        sys.stdout.write("closed\n")
