"""Where `label_image` takes pictures from, several at a time, and how it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import model_files as models
import numpy as np
import pytest
from PIL import Image

from edgeclf import Classifier
from edgeclf.label_image import main

ROOT = Path(__file__).resolve().parents[1]

Files = Callable[..., Path]
Captured = pytest.CaptureFixture[str]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "edgeclf.label_image", *arguments]


def lines_of(captured: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in captured.splitlines()]


def test_patterns_lists_and_pictures_keep_their_order(
    color_folder: Path, model_file: Files, tmp_path: Path, capsys: Captured
) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{color_folder / 'green'}\nmissing.png\n", encoding="utf-8")
    single = color_folder / "blue" / "2.png"
    arguments = [f"{color_folder}/red/?.png", str(listed), str(single)]
    base = ["--model", str(model_file()), "--json", "--top_k=1", "--image", *arguments]
    assert main(base) == 1
    one = capsys.readouterr()
    assert [line["image"] for line in lines_of(one.out)] == [
        *(f"{color_folder}/red/{number}.png" for number in range(3)),
        *(f"{color_folder}/green/{number}.png" for number in range(3)),
        "missing.png",
        str(single),
    ]
    assert "error: missing.png: No such file or directory.\n" in one.err
    assert main([*base, "--workers", "3"]) == 1
    assert capsys.readouterr().out == one.out


def test_a_picture_on_stdin_is_one_picture(picture: Files, model_file: Files) -> None:
    path = picture("red")
    for workers in ("1", "2"):
        done = subprocess.run(
            command("--model", str(model_file()), "--image=-", "--workers", workers),
            input=path.read_bytes(),
            capture_output=True,
            cwd=ROOT,
            check=True,
        )
        assert done.stdout.startswith(b"red 0.")  # without a header


def test_a_picture_without_a_path_is_named_when_it_fails(
    model_file: Files, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"\0 no picture"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["--model", str(model_file()), "--image", "-"]) == 1
    expected = "error: - is not a picture in a format that Pillow reads."
    assert capsys.readouterr().err.startswith(expected)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_path_on_stdin_is_answered_before_the_next(
    picture: Files, model_file: Files, workers: str
) -> None:
    options = ["--image", "-", "--json", "--top_k=1", "--workers", workers]
    with subprocess.Popen(
        command("--model", str(model_file()), *options),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for color in ("red", "green"):
            path = picture(color)
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            line = json.loads(process.stdout.readline())
            assert line["image"] == str(path)
            assert line["categories"][0]["label"] == color
        process.send_signal(signal.SIGINT)  # while stdin is still open
        assert process.wait(timeout=20) == 130
        said = "\n" + process.stderr.read()
        assert "\nerror: Interrupted. What was labelled is whole." in said


def test_broken_pipe_ends_several_workers(
    color_folder: Path, model_file: Files
) -> None:
    names = [str(color_folder)] * 200
    options = ["--json", "--workers=2", "--image", *names]
    with subprocess.Popen(
        command("--model", str(model_file()), *options),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()  # as `head -1` would
        errors = process.stderr.read()
        assert process.wait(timeout=20) == 0
    assert b"Traceback" not in errors
    assert b"Broken pipe" not in errors


def test_ctrl_c_ends_a_camera_well(
    model_file: Files, picture: Files, tmp_path: Path
) -> None:
    options = ["--camera", "0", "--every", "0.01", "--json", "--top_k", "1"]
    show = tmp_path / "live.png"
    with subprocess.Popen(
        command("--model", str(model_file()), *options, "--show", str(show)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "tests" / "stand_ins"),
            "PICTURES": f"{picture('red')}{os.pathsep}{picture('blue')}",
            "AT_THE_END": "repeat",
        },
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        frames = [json.loads(process.stdout.readline()) for _ in range(4)]
        process.send_signal(signal.SIGINT)
        *rest, last = process.stdout.read().splitlines()
        assert process.wait(timeout=20) == 0, process.stderr.read()
    assert last == "closed"
    frames += [json.loads(line) for line in rest]
    assert [frame["image"] for frame in frames] == [
        f"camera 0 frame {number}" for number in range(1, len(frames) + 1)
    ]
    labels = [frame["categories"][0]["label"] for frame in frames[:4]]
    assert labels == ["red", "blue", "red", "blue"]
    with Image.open(show) as image:  # of the newest frame
        assert image.format == "PNG"


def test_smoothing_is_the_mean_of_the_last_frames(
    model_file: Files,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    monkeypatch.setitem(sys.modules, "picamera2", None)
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 16))
    for color in ("red", "red", "blue", "green"):
        frame = np.full((16, 32, 3), models.PIXELS[color][::-1], np.uint8)
        writer.write(frame)
    writer.release()
    base = ["--model", str(model_file()), "--camera", str(clip), "--json"]
    assert main(base) == 0
    plain = lines_of(capsys.readouterr().out)
    assert main([*base, "--smooth", "2"]) == 0
    smooth = lines_of(capsys.readouterr().out)
    assert [line["image"] for line in smooth] == [line["image"] for line in plain]

    def scores(line: dict[str, object]) -> np.ndarray:
        categories = line["categories"]
        assert isinstance(categories, list)
        by_index = sorted(categories, key=lambda category: category["index"])
        return np.array([category["score"] for category in by_index])

    for before, line, mean in zip(plain, plain[1:], smooth[1:], strict=False):
        expected = (scores(before) + scores(line)) / 2
        np.testing.assert_allclose(scores(mean), expected, atol=1e-6)


def test_region_and_rotation_are_handed_on(
    model_file: Files, tmp_path: Path, noise: np.ndarray, capsys: Captured
) -> None:
    path = tmp_path / "noise.png"
    Image.fromarray(noise).save(path)
    classifier = Classifier(models.own())
    for region in ((0.25, 0.0, 1.0, 0.5), (3, 0, 30, 20)):
        view = ["--region", *map(str, region), "--rotation", "90", "--json"]
        assert main(["--model", str(model_file()), "--image", str(path), *view]) == 0
        expected = classifier.classify(path, region=region, rotation=90)
        (line,) = lines_of(capsys.readouterr().out)
        assert line["categories"] == [vars(category) for category in expected]


def test_a_region_outside_one_picture_is_that_pictures_error(
    model_file: Files, picture: Files, capsys: Captured, noise: np.ndarray
) -> None:
    small = picture("red")  # 20 x 10
    large = small.with_name("large.png")
    Image.fromarray(noise).save(large)
    arguments = [
        "--model",
        str(model_file()),
        "--json",
        "--region",
        "0",
        "0",
        "30",
        "9",
    ]
    assert main([*arguments, "--image", str(small), str(large)]) == 1
    first, second = lines_of(capsys.readouterr().out)
    assert str(first["error"]).startswith(f"{small}: Expected region=")
    assert "20 x 10 pixels" in str(first["error"])
    assert second["categories"]


def test_dynamic_models_take_a_size(
    model_file: Files, tmp_path: Path, noise: np.ndarray, capsys: Captured
) -> None:
    path = tmp_path / "noise.png"
    Image.fromarray(noise).save(path)
    content = models.build(
        input_shape=(1, 1, 1, 3), input_signature=(1, -1, -1, 3), input_type="uint8"
    )
    base = ["--model", str(model_file(content)), "--image", str(path), "--json"]
    assert main([*base, "--input_height", "16", "--input_width", "24"]) == 0
    (line,) = lines_of(capsys.readouterr().out)
    expected = Classifier(content, input_size=(16, 24)).classify(path)
    assert line["categories"] == [vars(category) for category in expected]
    with pytest.raises(SystemExit) as caught:
        main([*base, "--input_height", "16"])
    assert caught.value.code == 2
    assert "--input_height and --input_width together" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--camera", "0", "--image", "a"], "not allowed with argument"),
        ([], "one of the arguments --image --camera is required"),
        (["--image", "a", "--every", "2"], "--every and --smooth only with --camera"),
        (["--image", "a", "--smooth", "2"], "--every and --smooth only with --camera"),
        (["--camera", "0", "--every", "-1"], "--every: expected seconds, received -1"),
        (["--camera", "0", "--workers", "2"], "Expected --workers only with --image"),
        (["--image", "-", "-"], "Expected - (stdin) once"),
        (["--image", "a", "--show", "x", "--heatmap", "x"], "--heatmap to differ"),
        (["--image", "a", "--region", "0", "0", "1.5", "1"], "Received: 0 0 1.5 1"),
        (["--image", "a", "--region", "5", "0", "5", "1"], "with left < right"),
        (["--image", "a", "--region", "0", "0", "x", "1"], "a number, received x"),
        (["--image", "a", "--rotation", "45"], "--rotation: invalid choice: 45"),
        (["--image", "a", "--delegate_options", "a=b"], "only with --delegate."),
        (["--image", "a", "--delegate_options", "a"], "expected KEY=VALUE, received a"),
        (["--image", "a", "--workers", "0"], "expected a whole number of 1 or more"),
    ],
)
def test_wrong_usage_ends_with_2(
    arguments: list[str], sentence: str, model_file: Files, capsys: Captured
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--model", str(model_file()), *arguments])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err


def test_a_delegate_that_is_not_there_is_one_line(
    model_file: Files, picture: Files, capsys: Captured
) -> None:
    arguments = ["--model", str(model_file()), "--image", str(picture("red"))]
    options = ["--delegate", "libnothing.so.1", "--delegate_options", "device=usb"]
    assert main([*arguments, *options, "--top_k=1", "--workers=3"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("red 0.")
    assert captured.err.count("The delegate libnothing.so.1") == 1
    assert "Traceback" not in captured.err


def test_a_picture_is_decoded_from_any_buffer(model_file: Files) -> None:
    """A stdin that a caller has put in place, as a test or a server does."""
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9), models.PIXELS["blue"]).save(buffer, "PNG")
    code = (
        "import io, sys\n"
        "from edgeclf.label_image import main\n"
        "sys.stdin = io.TextIOWrapper(io.BytesIO(sys.stdin.buffer.read()))\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["--model", str(model_file()), "--image", "-", "--top_k=1"]
    for workers in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments, "--workers", workers],
            input=buffer.getvalue(),
            capture_output=True,
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(b"blue 0.")
