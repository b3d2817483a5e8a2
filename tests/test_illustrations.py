"""`label_image --show` and `--heatmap`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import hosting
import model_files as models
import numpy as np
import pytest
from PIL import Image

from edgeclf import Classifier, EdgeclfError
from edgeclf.class_activation_map import ClassActivationMapper
from edgeclf.drawing import overlay, show
from edgeclf.label_image import main
from edgeclf.labelling.illustrations import Illustrations

Files = Callable[..., Path]
Captured = pytest.CaptureFixture[str]


def usage_error(capsys: Captured, *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_one_picture_is_drawn_into_a_file(
    model_file: Files, picture: Files, tmp_path: Path
) -> None:
    path, out = picture("red"), tmp_path / "new" / "shown.png"
    region = (0.0, 0.0, 0.5, 1.0)
    base = ["--model", str(model_file()), "--image", str(path)]
    view = ["--region", *map(str, region), "--rotation", "180"]
    assert main([*base, *view, "--show", str(out)]) == 0
    categories = Classifier(models.own()).classify(path, region=region, rotation=180)
    expected = show(str(path), categories, region=region, rotation=180)
    with Image.open(out) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
    assert main([*base, "--show", str(tmp_path / "shown.JPG")]) == 0
    with Image.open(tmp_path / "shown.JPG") as image:
        assert image.format == "JPEG"


def test_several_pictures_are_drawn_into_a_folder(
    model_file: Files, color_folder: Path, tmp_path: Path
) -> None:
    shown, maps = tmp_path / "shown", tmp_path / "maps v1.2"
    names = [str(color_folder / color / "0.png") for color in ("red", "green")]
    base = ["--model", str(model_file()), "--image", *names]
    for _ in range(2):  # the second time the same drawings are there already
        assert main([*base, "--show", str(shown), "--heatmap", str(maps)]) == 0
        for folder in (shown, maps):
            found = sorted(path.name for path in folder.iterdir())
            assert found == ["0-2.png", "0.png"]


def test_pictures_of_the_web_are_drawn_under_their_own_names(
    model_file: Files,
    picture: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    monkeypatch.chdir(tmp_path)
    base = ["--model", str(model_file()), "--allow_private", "--image"]
    paths = ["/a.png", "/x/a.png", "/photo-15?w=10&q=80", "/%D1%84%20b.png", "/dir/"]
    with hosting.running() as server:
        for path, color in zip(paths, ("red", "blue", "green") * 2, strict=False):
            server.files[path] = picture(color).read_bytes()
        addresses = [server.address + path for path in paths]
        assert main([*base, addresses[0], "--show", "one.png"]) == 0
        assert main([*base, *addresses, f"{server.address}/none.png", "--show"]) == 1
    shown = [path.name for path in (tmp_path / "shown").iterdir()]
    assert sorted(shown) == ["a-2.png", "a.png", "dir.png", "photo-15.png", "ф b.png"]
    captured = capsys.readouterr()
    assert f"{addresses[2]}:\ngreen " in captured.out
    assert "none.png: the server answered 404" in captured.err
    categories = Classifier(models.own()).classify(picture("red"))
    expected = np.asarray(show(str(picture("red")), categories))
    for name in ("one.png", "shown/a.png"):
        with Image.open(name) as image:
            np.testing.assert_array_equal(np.asarray(image), expected)


def test_the_best_labels_evidence_is_drawn(
    model_file: Files, picture: Files, tmp_path: Path
) -> None:
    path, out = str(picture("blue")), tmp_path / "map.png"
    assert (
        main(["--model", str(model_file()), "--image", path, "--heatmap", str(out)])
        == 0
    )
    best = Classifier(models.own()).classify(path)[0]
    evidence = ClassActivationMapper(models.own()).map(path, best.index)
    with Image.open(out) as image:
        expected = np.asarray(overlay(path, evidence, best))
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_a_model_without_such_a_head_is_refused(
    model_file: Files, picture: Files, tmp_path: Path, capsys: Captured
) -> None:
    content = models.build(head=False, input_type="uint8")
    arguments = ["--model", str(model_file(content)), "--image", str(picture("red"))]
    assert main([*arguments, "--heatmap", str(tmp_path / "map.png")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error: " in captured.err
    assert not (tmp_path / "map.png").exists()


def test_where_drawings_go_is_checked_before_work_starts(
    model_file: Files, picture: Files, color_folder: Path, capsys: Captured
) -> None:
    red, blue = str(picture("red")), str(picture("blue"))
    base = ["--model", str(model_file()), "--image"]
    for images in ([red, blue], [str(color_folder)]):
        error = usage_error(capsys, *base, *images, "--show", "x.png")
        assert "Expected --show FOLDER for " in error
    for name in ("x.foo", "x.xbm"):  # xbm has no colours
        error = usage_error(capsys, *base, red, "--heatmap", name)
        assert "Expected --heatmap FILE with an ending that Pillow can write" in error
        assert f"Received: {name}" in error
    afile = color_folder / "labels.txt"
    afile.write_text("red\n", encoding="utf-8")
    assert main([*base, red, blue, "--show", str(afile)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"error: Expected a folder for --show. Received a file: {afile}.\n"
    )
    error = usage_error(capsys, *base, red, "--show", red)
    assert f"Expected another file for --show than the picture {red}" in error


def test_two_options_do_not_share_a_place(
    model_file: Files,
    picture: Files,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    base = ["--model", str(model_file()), "--image", str(picture("red"))]
    error = usage_error(capsys, *base, "--show", "x.png", "--heatmap", "./x.png")
    assert "Expected --show and --heatmap to differ. Received: ./x.png" in error
    error = usage_error(capsys, *base, "--sort_into", "out", "--heatmap", "a/../out/")
    assert "Expected --heatmap and --sort_into to differ. Received: out" in error
    assert not (tmp_path / "out").exists()


def test_the_model_speaks_once(
    model_file: Files, picture: Files, tmp_path: Path, capsys: Captured
) -> None:
    model_file(name="mq.tflite")
    old_name = str(tmp_path / "mq.pb")
    arguments = ["--model", old_name, "--image", str(picture("red")), "--heatmap"]
    options = ["--show", str(tmp_path / "a.png"), "--delegate", "libnothing.so.1"]
    assert main([*arguments, str(tmp_path / "b.png"), *options]) == 0
    error = capsys.readouterr().err
    assert error.count("mq.pb is not there") == 1
    assert error.count("The delegate libnothing.so.1") == 1


def test_a_second_picture_does_not_replace_the_first(
    tmp_path: Path, picture: Files
) -> None:
    out, red = tmp_path / "out.png", str(picture("red"))
    drawn = Image.new("RGB", (4, 4), "white")
    files = Illustrations(str(out), "--show", ["-"], None)
    with pytest.raises(EdgeclfError, match=r"than the picture .*out\.png"):
        files.add(str(out), str(out), drawn)
    files.add(red, red, drawn)
    with pytest.raises(EdgeclfError, match="Expected --show FOLDER for several"):
        files.add("b.png", "b.png", drawn)
    camera = Illustrations(str(out), "--show", None, None)
    camera.add("camera 0 frame 1", np.zeros((2, 2, 3), np.uint8), drawn)
    camera.add("camera 0 frame 2", np.zeros((2, 2, 3), np.uint8), drawn.resize((9, 9)))
    with Image.open(out) as image:
        assert image.size == (9, 9)


@pytest.mark.parametrize("option", ["--show", "--heatmap", "--sort_into"])
@pytest.mark.parametrize("read", ["--model", "--labels", "--camera"])
def test_nothing_that_is_read_is_written_over(option, read, tmp_path, capsys):
    path = tmp_path / "in.png"
    path.write_bytes(models.own())
    source = [] if read == "--camera" else ["--image", "a.jpg"]
    model = [] if read == "--model" else ["--model", "m.tflite"]
    with pytest.raises(SystemExit) as caught:
        main([*model, *source, read, str(path), option, str(tmp_path / "." / "in.png")])
    assert caught.value.code == 2
    assert "to differ" in capsys.readouterr().err
    assert path.read_bytes() == models.own()
