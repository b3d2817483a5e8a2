from __future__ import annotations

import importlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hosting
import numpy as np
import pytest
from hosting import Handler, Server
from PIL import Image

from edgeclf.errors import ImageError, MissingExtraError
from edgeclf.inputs.camera import Camera, Smoother

SIZE = (64, 48)  # width, height
RED, BLUE = (220, 30, 20), (20, 30, 220)
FRAMES = 20
FRAMES_PER_S = 10
STAND_INS = Path(__file__).parent / "stand_ins"


@pytest.fixture(autouse=True)
def no_camera_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, the first of which is red, the second blue."""
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    code = cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), code, FRAMES_PER_S, SIZE)
    for number in range(FRAMES):
        color = RED if number < FRAMES // 2 else BLUE
        frame = np.full((SIZE[1], SIZE[0], 3), color[::-1], np.uint8)  # B, G, R
        writer.write(frame)
    writer.release()
    return path


def test_video_gives_every_frame_as_rgb(video: Path) -> None:
    with Camera(str(video)) as camera:
        frames = [(given.name, np.asarray(given.read())) for given in camera]
    assert [name for name, _ in frames] == [
        f"{video} frame {number}" for number in range(1, FRAMES + 1)
    ]
    for place, (_, frame) in enumerate(frames):
        assert frame.shape == (SIZE[1], SIZE[0], 3)
        assert frame.dtype == np.uint8
        color = RED if place < FRAMES // 2 else BLUE
        np.testing.assert_allclose(frame.mean((0, 1)), color, atol=4)


@pytest.mark.parametrize(
    ("every_s", "numbers"), [(0.5, [1, 6, 11, 16]), (0.01, range(1, 21)), (60, [1])]
)
def test_video_gives_a_frame_of_every_so_many_seconds(
    video: Path, every_s: float, numbers: list[int]
) -> None:
    with Camera(str(video), every_s) as camera:
        names = [given.name for given in camera]
    assert names == [f"{video} frame {number}" for number in numbers]


def test_frames_are_kept_apart(video: Path) -> None:
    with Camera(str(video)) as camera:
        first, *_, last = list(camera)
    assert np.asarray(first.read())[0, 0, 0] > 128 > np.asarray(last.read())[0, 0, 0]


def test_camera_is_released_whatever_happens(video: Path) -> None:
    camera = Camera(str(video))
    with pytest.raises(KeyboardInterrupt), camera:
        for _ in camera:
            raise KeyboardInterrupt
    assert list(camera) == []
    camera.close()


def moving_pictures(frames: int, frames_per_s: float) -> hosting.Behaviour:
    """A web camera: brighter by 8 with each frame; then it is unplugged."""

    def behave(handler: Handler, _: bytes) -> None:
        handler.send_response(200)
        kind = "multipart/x-mixed-replace; boundary=frame"
        handler.send_header("Content-Type", kind)
        handler.end_headers()
        for number in range(frames):
            file = io.BytesIO()
            Image.new("RGB", SIZE, (8 * number,) * 3).save(file, "jpeg")
            head = f"--frame\r\nContent-Length: {len(file.getvalue())}\r\n"
            head += "Content-Type: image/jpeg\r\n\r\n"
            handler.wfile.write(head.encode() + file.getvalue() + b"\r\n")
            time.sleep(1 / frames_per_s)
        handler.close_connection = True

    return behave


@pytest.fixture
def web_camera() -> Iterator[Server]:
    pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    with hosting.running() as server:
        server.normally = moving_pictures(30, 30)
        yield server


def test_camera_that_is_unplugged_says_so(web_camera: Server) -> None:
    address = web_camera.address.replace("//", "//me:s3cret@")
    name = f"camera {web_camera.address}/live.mjpg"
    with Camera(f"{address}/live.mjpg") as camera:
        *frames, last = list(camera)
    assert [given.name for given in frames] == [
        f"{name} frame {number}" for number in range(1, 31)
    ]
    assert last.name == name
    with pytest.raises(ImageError, match=r"no more frames\. Is it still plugged in\?"):
        last.read()


def test_frame_is_the_newest_when_its_time_comes(web_camera: Server) -> None:
    with Camera(f"{web_camera.address}/live.mjpg", 0.25) as camera:
        levels = []
        for given in list_slowly(camera, 0.2):
            levels.append(float(np.asarray(given.read()).mean()) / 8)
    # 0.25 s are 7.5 frames; without dropping they would be 0, 1, 2.
    steps = np.diff(levels)
    assert len(levels) >= 3
    assert np.all((steps > 4) & (steps < 12)), levels


def list_slowly(camera: Camera, pause_s: float) -> Iterator[object]:
    """Frames as a slow model takes them, without the last word of the camera."""
    for given in camera:
        if "frame" not in given.name:
            return
        time.sleep(pause_s)
        yield given


def test_missing_camera_is_named() -> None:
    for name in (77, "77"):
        with pytest.raises(
            FileNotFoundError, match=r"Received: 77, .*/dev/video77\. C"
        ):
            Camera(name)
    with pytest.raises(
        FileNotFoundError, match=r"there is no no\.mp4\. Cameras here: "
    ):
        Camera("no.mp4")


def test_file_without_frames_is_named(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no video")
    code = f"from edgeclf.inputs.camera import Camera; Camera({str(path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    said = done.stderr.splitlines()[-1]
    assert f"Received: {path}, which gives no frames. Another program may" in said
    assert "WARN" not in done.stderr  # OpenCV's own lines


def test_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(MissingExtraError) as caught:
        Camera(str(tmp_path / "clip.mp4"))
    assert 'pip install "edgeclf[camera]"' in str(caught.value)
    assert "sudo apt install python3-picamera2" in str(caught.value)


@pytest.mark.parametrize("every_s", [-1, float("nan"), float("inf")])
def test_pause_must_be_a_time(every_s: float) -> None:
    with pytest.raises(ValueError, match=rf"0 to 86400 seconds\. .* every_s={every_s}"):
        Camera(0, every_s)


@pytest.fixture
def raspberry_pi(
    picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> type[Any]:
    """picamera2's class, of a camera that gives three red frames."""
    monkeypatch.setenv("PICTURES", os.pathsep.join([str(picture("red"))] * 3))
    monkeypatch.setenv("AT_THE_END", "unplugged")
    monkeypatch.syspath_prepend(STAND_INS)
    monkeypatch.delitem(sys.modules, "picamera2")
    camera: type[Any] = importlib.import_module("picamera2").Picamera2
    return camera


def test_camera_module_gives_rgb_frames_at_their_time(raspberry_pi: type[Any]) -> None:
    started = time.monotonic()
    with Camera(0, 0.1) as camera:
        *frames, last = list(camera)
    assert time.monotonic() - started >= 0.3
    assert [given.name for given in frames] == [
        "camera 0 frame 1",
        "camera 0 frame 2",
        "camera 0 frame 3",
    ]
    for given in frames:
        red, green, blue = np.asarray(given.read()).mean((0, 1))
        assert red > 128 > max(green, blue)
    with pytest.raises(ImageError, match="camera 0 gives no more frames"):
        last.read()
    configuration = {"main": {"format": "BGR888"}, "queue": False}
    assert raspberry_pi.calls == [0, configuration, "start", "close"]


@pytest.mark.parametrize("webcam_at", [0, 1, 2])
def test_camera_modules_are_counted_without_webcams(
    raspberry_pi: type[Any], monkeypatch: pytest.MonkeyPatch, webcam_at: int
) -> None:
    ids = [f"/base/soc/i2c0mux/i2c@{number}/imx219@10" for number in (0, 1)]
    ids.insert(webcam_at, "/base/soc/usb@7e980000/usb-port@1-1:1.0-046d:0825")
    monkeypatch.setattr(raspberry_pi, "cameras", ids)
    for number, place in enumerate({0, 1, 2} - {webcam_at}):
        raspberry_pi.calls.clear()
        Camera(number).close()
        assert raspberry_pi.calls[0] == place


def test_webcam_on_a_raspberry_pi_is_left_to_opencv(raspberry_pi: type[Any]) -> None:
    with pytest.raises(FileNotFoundError, match="/dev/video99"):
        Camera(99)
    assert raspberry_pi.calls == []


def test_camera_module_that_is_in_use_is_named(
    raspberry_pi: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raspberry_pi, "busy", True)
    with pytest.raises(ImageError, match=r"Received: 0, .* \(Camera __init__ sequence"):
        Camera(0)


def test_picamera2_for_another_numpy_gets_the_line_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "numpy.dtype size changed, may indicate binary incompatibility"
    (tmp_path / "picamera2.py").write_text(f"raise ValueError({said!r})")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "picamera2")
    with pytest.raises(MissingExtraError, match=said) as caught:
        Camera(0)
    assert str(caught.value).endswith('pip install "numpy<2"')


def test_smoother_averages_the_last_frames() -> None:
    smoother = Smoother(2)
    scores = np.array([[1, 0], [0, 1], [0.5, 0.5], [0, 1]], np.float32)
    means = [smoother(row) for row in scores]
    np.testing.assert_allclose(
        means, [[1, 0], [0.5, 0.5], [0.25, 0.75], [0.25, 0.75]], atol=1e-7
    )
    assert means[0].dtype == np.float32


def test_smoother_does_not_keep_the_callers_array() -> None:
    smoother = Smoother(2)
    scores = np.ones(3, np.float32)
    smoother(scores)
    scores[:] = 0
    np.testing.assert_array_equal(smoother(scores), [0.5, 0.5, 0.5])


def test_smoother_needs_a_frame() -> None:
    with pytest.raises(ValueError, match=r"1 frame or more\. Received: frames=0"):
        Smoother(0)
