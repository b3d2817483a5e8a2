"""The cameras of a Raspberry Pi: picamera2 itself runs there only.

A camera hands out the pictures that PICTURES names, as arrays in the channel order that
picamera2 has for a format. Then it ends as Ctrl-C does, or as AT_THE_END says: `repeat`
them for ever, or be `unplugged`.
"""

from __future__ import annotations

import itertools
import os
import sys
from types import TracebackType
from typing import Any, ClassVar

import numpy as np
from PIL import Image


class Picamera2:
    """One of the cameras.

    Attributes:
        cameras: The Ids of all, in the order that a number stands for.
        busy: Another program uses them.
        calls: What was done with them: the number that was opened and so on.
    """

    cameras: ClassVar[list[str]] = ["/base/soc/i2c0mux/i2c@1/imx219@10"]
    busy: ClassVar[bool] = False
    calls: ClassVar[list[object]] = []

    def __init__(self, camera_num: int = 0) -> None:
        if self.busy:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.calls.append(camera_num)
        paths = os.environ["PICTURES"].split(os.pathsep)
        self._at_the_end = os.environ.get("AT_THE_END", "interrupt")
        repeats = self._at_the_end == "repeat"
        self._paths = itertools.cycle(paths) if repeats else iter(paths)
        self._main: dict[str, Any] = {}
        self._running = False

    @classmethod
    def global_camera_info(cls) -> list[dict[str, Any]]:
        return [{"Id": name} for name in cls.cameras]

    def create_video_configuration(
        self, main: dict[str, Any], **options: Any
    ) -> dict[str, Any]:
        return {"main": main, **options}

    def configure(self, configuration: dict[str, Any]) -> None:
        assert not self._running
        self.calls.append(configuration)
        self._main = configuration["main"]

    def start(self) -> None:
        self.calls.append("start")
        self._running = True

    def capture_array(self, name: str = "main") -> np.ndarray:
        assert self._running
        assert name == "main"
        path = next(self._paths, None)
        if path is None and self._at_the_end == "unplugged":
            raise RuntimeError("Camera frontend has timed out!")
        if path is None:
            raise KeyboardInterrupt
        image = Image.open(path).convert("RGB")
        pixels = np.array(image.resize(self._main.get("size", image.size)))
        return {"BGR888": pixels, "RGB888": pixels[..., ::-1]}[self._main["format"]]

    def close(self) -> None:
        self.calls.append("close")
        self._running = False
        sys.stdout.write("closed\n")
        sys.stdout.flush()

    def __enter__(self) -> Picamera2:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
