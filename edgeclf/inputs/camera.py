"""Frames of a camera or a video, and scores made steady over several of them."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ImageError, MissingExtraError
from edgeclf.sources import Input

Frame: TypeAlias = NDArray[np.uint8]

MAX_EVERY_S = 86_400  # a day

# A frame that came faster than this lay in the driver's queue: no camera gives 500
# frames a second.
_QUEUED_S = 0.002
_MAX_QUEUED = 8  # OpenCV asks V4L2 for 4 buffers


class Camera:
    """Yields the frames of a camera, each as an `Input`, until it or the file ends.

    A frame is a uint8 array of shape `(height, width, 3)`, RGB. Its name is `camera 0
    frame 1` and so on; of a video file `clip.mp4 frame 1`, by its number in the file.

    A number means the camera module of a Raspberry Pi where picamera2 is installed and
    finds one. Otherwise, and for everything else, OpenCV opens it.

    Where a camera gives no more frames, unplugged perhaps, the last `Input` raises
    `ImageError` when it is read. A file just ends.

    Args:
        name: Number, device (`/dev/video0`), video file or address of a stream.
        every_s: Seconds from one frame to the next, by the clock, of a file by its
            frame rate; what comes in between is dropped, so a frame is as new as can
            be. 0: every frame.

    Raises:
        FileNotFoundError: There is no such camera or file.
        ImageError: It is there, but gives no frames.
        MissingExtraError: Neither OpenCV nor picamera2 is installed, or picamera2
            does not fit NumPy.
        ValueError: `every_s` is negative or more than a day.
    """

    def __init__(self, name: int | str, every_s: float = 0.0) -> None:
        if not 0 <= every_s <= MAX_EVERY_S:
            raise ValueError(
                f"Expected every_s of 0 to {MAX_EVERY_S} seconds. "
                f"Received: every_s={every_s}"
            )
        name = str(name)
        self._device = _open(name)
        self._is_file = isinstance(self._device, _Video)
        self._name = name if self._is_file else f"camera {_shown(name)}"
        self._every_s = every_s

    def __iter__(self) -> Iterator[Input]:
        for number, frame in self._device.frames(self._every_s):
            yield Input.of(f"{self._name} frame {number}", frame)
        if not self._is_file:
            reason = f"{self._name} gives no more frames. Is it still plugged in?"
            yield Input.failing(self._name, ImageError(reason))

    def close(self) -> None:
        """Let go of the camera. A second call does nothing."""
        self._device.close()

    def __enter__(self) -> Camera:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Smoother:
    """Averages the scores of the last frames, so that a label does not flicker.

    Args:
        frames: How many frames the mean is over; of fewer, until so many came.

    Raises:
        ValueError: `frames` is less than 1.
    """

    def __init__(self, frames: int) -> None:
        if frames < 1:
            raise ValueError(
                f"Expected a mean over 1 frame or more. Received: frames={frames}"
            )
        self._last: deque[NDArray[np.float32]] = deque(maxlen=frames)

    def __call__(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean of these scores and those before, of the same shape."""
        self._last.append(scores.copy())
        mean: NDArray[np.float32] = np.mean(self._last, axis=0, dtype=np.float32)
        return mean


class _Video:
    """A file that OpenCV has opened."""

    def __init__(self, capture: Any) -> None:
        self._capture = capture

    def frames(self, every_s: float) -> Iterator[tuple[int, Frame]]:
        """Yield each frame that is wanted and its number."""
        import cv2

        rate = self._capture.get(cv2.CAP_PROP_FPS)  # 0 when the file does not say
        step = max(1, round(every_s * rate)) if 0 < rate < math.inf else 1
        for number in itertools.count(1, step):
            if not self._capture.grab():
                return
            frame = _retrieved(self._capture)
            if frame is not None:  # one damaged frame is not the end
                yield number, frame
            if not all(self._capture.grab() for _ in range(step - 1)):
                return

    def close(self) -> None:
        self._capture.release()


class _Live:
    """A camera or a stream that OpenCV has opened."""

    def __init__(self, capture: Any) -> None:
        self._capture = capture

    def frames(self, every_s: float) -> Iterator[tuple[int, Frame]]:
        """Yield frames as they come, or the newest at its time."""
        return _numbered(every_s, self._newest if every_s else self._next)

    def close(self) -> None:
        self._capture.release()

    def _next(self, _: float) -> Frame | None:
        while self._capture.grab():
            frame = _retrieved(self._capture)
            if frame is not None:
                return frame
        return None

    def _newest(self, due: float) -> Frame | None:
        """Return the first frame after `due` that had not been waiting in a queue.

        Those before are taken and dropped, since a queue keeps the oldest.
        """
        queued = 0
        while queued <= _MAX_QUEUED:
            started = time.monotonic()
            if not self._capture.grab():
                return None
            now = time.monotonic()
            if now >= due:
                queued += 1
                if now - started >= _QUEUED_S:
                    break
        frame = _retrieved(self._capture)
        return self._next(due) if frame is None else frame


class _CameraModule:
    """The camera of a Raspberry Pi, which picamera2 has opened."""

    def __init__(self, camera: Any) -> None:
        self._camera = camera
        # Without a queue no frame is older than the call that asks for it. BGR888 lies
        # in memory as R, G, B. Source: the Picamera2 manual, appendix A.
        camera.configure(
            camera.create_video_configuration(main={"format": "BGR888"}, queue=False)
        )
        camera.start()

    def frames(self, every_s: float) -> Iterator[tuple[int, Frame]]:
        """Yield a new frame at its time."""
        return _numbered(every_s, self._newest)

    def close(self) -> None:
        self._camera.close()  # stops it too

    def _newest(self, due: float) -> Frame | None:
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            frame: Frame = self._camera.capture_array("main")
        except RuntimeError:
            return None
        return frame


def _numbered(
    every_s: float, newest: Callable[[float], Frame | None]
) -> Iterator[tuple[int, Frame]]:
    """Yield a frame every `every_s` seconds, without haste to make up for a late one.

    `newest` returns one that is due at a time by `time.monotonic`, None at the end.
    """
    due = time.monotonic()
    for number in itertools.count(1):
        frame = newest(due)
        if frame is None:
            return
        yield number, frame
        due = max(due + every_s, time.monotonic())


def _open(name: str) -> _Video | _Live | _CameraModule:
    """Open a camera or file.

    Raises:
        FileNotFoundError, ImageError, MissingExtraError: As `Camera`.
    """
    path = Path(f"/dev/video{name}" if name.isdecimal() else name)
    module = _camera_module(int(name)) if name.isdecimal() else None
    if module:
        return module
    is_device = name.isdecimal() or "://" not in name
    if is_device and sys.platform == "linux" and not path.exists():
        here = ", ".join(sorted(map(str, Path("/dev").glob("video*"))))
        raise FileNotFoundError(
            f"Expected a camera or a video file. Received: {name}, but there is no "
            f"{path}. Cameras here: {here or 'none'}."
        )
    capture = _opened_by_opencv(int(name) if name.isdecimal() else name)
    return _Video(capture) if path.is_file() else _Live(capture)


def _camera_module(number: int) -> _CameraModule | None:
    """Return the Raspberry Pi's own camera of that number, if it has one.

    Webcams, which older versions of picamera2 do not list last, are not counted:
    OpenCV reads more of their formats.
    """
    try:
        from picamera2 import Picamera2
    except ImportError:
        return None
    except ValueError as error:  # numpy.dtype size changed
        raise MissingExtraError(
            "Expected a NumPy that picamera2 was built for. Received: "
            f"{np.__version__} ({error}). The system's packages were built for NumPy "
            '1. Install it with: pip install "numpy<2"'
        ) from error
    cameras = enumerate(Picamera2.global_camera_info())
    modules = [place for place, camera in cameras if "/usb" not in camera["Id"]]
    if number >= len(modules):
        return None
    try:
        return _CameraModule(Picamera2(modules[number]))
    except RuntimeError as error:
        raise _unusable(number, error) from error


def _opened_by_opencv(name: int | str) -> Any:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError(
            "A camera needs the package opencv-python-headless. Install it with: "
            'pip install "edgeclf[camera]". For the camera module of a Raspberry Pi: '
            "sudo apt install python3-picamera2, and a virtual environment made with "
            "--system-site-packages."
        ) from error
    log = getattr(cv2.utils, "logging", cv2)  # of OpenCV 5, of OpenCV 4
    level = log.setLogLevel(0)
    try:
        capture = cv2.VideoCapture(name)
    finally:
        log.setLogLevel(level)
    if not capture.isOpened():
        capture.release()
        raise _unusable(name)
    return capture


def _shown(name: str) -> str:
    """Return the name, of a stream's address without user name and password."""
    if "://" not in name:
        return name
    from edgeclf.inputs.connection import printable  # imports ssl

    return printable(name)


def _unusable(name: int | str, reason: object = "") -> ImageError:
    shown = _shown(str(name))
    return ImageError(
        f"Expected a camera or a video file. Received: {shown}, which gives no frames"
        f"{f' ({reason})' if reason else ''}. Another program may use it."
    )


def _retrieved(capture: Any) -> Frame | None:
    """Return the frame that was grabbed, RGB; None for a damaged one."""
    import cv2

    read, frame = capture.retrieve()
    if not read:
        return None
    pixels: Frame = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    return pixels
