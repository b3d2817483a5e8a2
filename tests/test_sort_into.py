from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import model_files as models
import numpy as np
import pytest
from PIL import Image

from edgeclf import EdgeclfError
from edgeclf.label_image import main
from edgeclf.labelling.sorting import (
    PictureFolder,
    Sorter,
    folder_names,
    picture_name,
    safe_name,
)
from edgeclf.results import Category

Files = Callable[..., Path]
Captured = pytest.CaptureFixture[str]


def files_below(folder: Path) -> list[str]:
    paths = folder.rglob("*")
    return sorted(p.relative_to(folder).as_posix() for p in paths if p.is_file())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_pictures_are_copied_by_label_and_never_written_over(
    color_folder: Path, model_file: Files, tmp_path: Path, workers: str
) -> None:
    target = tmp_path / "sorted"
    names = files_below(color_folder)
    os.utime(color_folder / "red" / "0.png", (1_000_000, 1_000_000))
    (target / "red").mkdir(parents=True)
    (target / "red" / "1.png").write_bytes(b"someone else's")
    shutil.copy(color_folder / "red" / "0.png", color_folder / "green" / "again.png")
    shutil.copy(color_folder / "red" / "1.png", color_folder / "blue" / "0.png")
    arguments = ["--model", str(model_file()), "--image", str(color_folder)]
    arguments += ["--workers", workers, "--sort_into", str(target)]
    assert main(arguments) == 0
    expected = sorted(
        ["blue/1.png", "blue/2.png"]
        + [f"green/{number}.png" for number in range(3)]
        # blue/0.png was a red picture, and differs from red/0.png
        + ["red/0.png", "red/0-2.png", "red/1.png", "red/1-2.png", "red/2.png"]
        + ["red/again.png"]
    )
    assert files_below(target) == expected
    assert (target / "red" / "1.png").read_bytes() == b"someone else's"
    assert {(target / "red" / name).read_bytes() for name in ("0.png", "0-2.png")} == {
        (color_folder / "red" / "0.png").read_bytes(),
        (color_folder / "blue" / "0.png").read_bytes(),
    }
    copies = list((target / "red").iterdir())
    assert 1_000_000 in {path.stat().st_mtime for path in copies}
    assert set(names) <= set(files_below(color_folder))  # nothing was moved
    assert main(arguments) == 0
    assert files_below(target) == expected  # the same content is there already


def test_rejected_and_unsure_pictures_are_unknown(
    picture: Files, model_file: Files, tmp_path: Path
) -> None:
    content = models.own(entry=models.record(reject={"min_score": 0.999}))
    base = ["--model", str(model_file(content)), "--image", str(picture("red"))]
    assert main([*base, "--reject", "--sort_into", str(tmp_path / "a")]) == 0
    assert files_below(tmp_path / "a") == ["unknown/red.png"]
    base += ["--score-threshold", "0.999"]
    assert main([*base, "--sort-into", str(tmp_path / "b")]) == 0
    assert files_below(tmp_path / "b") == ["unknown/red.png"]


def test_a_picture_of_several_labels_goes_to_each(
    picture: Files, tmp_path: Path
) -> None:
    folder = PictureFolder(str(tmp_path / "out"), "--sort_into")
    path = str(picture("red"))
    categories = [Category(0, "warm", 0.9), Category(2, "shiny/new", 0.8)]
    Sorter(folder, ["warm", "cold", "shiny/new"], True).add(path, path, categories)
    assert files_below(tmp_path / "out") == ["shiny_new/red.png", "warm/red.png"]
    Sorter(folder, None, False).add(path, path, [Category(7, None, 0.9)])
    assert (tmp_path / "out" / "7" / "red.png").exists()


def test_pictures_without_a_file_get_a_name_and_an_ending(
    picture: Files, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    sorter = Sorter(PictureFolder(str(target), "--sort_into"), ["x"], False)
    content = picture("red").read_bytes()
    best = [Category(0, "x", 1.0)]
    sorter.add("-", content, best)
    sorter.add("https://example.org/a%20b/caf%C3%A9.png?size=2", content, best)
    sorter.add("https://example.org/", content, best)
    sorter.add("camera 0 frame 17", np.full((9, 9, 3), 200, np.uint8), best)
    assert files_below(target / "x") == [
        "café.png",
        "camera 0 frame 17.jpg",
        "example.org.png",
        "stdin.png",
    ]
    assert (target / "x" / "stdin.png").read_bytes() == content
    with Image.open(target / "x" / "camera 0 frame 17.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (9, 9))
    assert picture_name("http://example.org/a/..%2f..%2fetc", ".png") == "etc.png"
    assert picture_name("http://example.org/a/..", ".png") == "_.png"


def test_a_jpeg_of_any_size_is_sorted(tmp_path: Path, picture: Files) -> None:
    content = bytearray(picture("red", "red.jpg").read_bytes())
    frame = content.index(b"\xff\xc0")  # marker, length, precision, height, width
    content[frame + 5 : frame + 9] = (20_000).to_bytes(2, "big") * 2
    target = tmp_path / "out"
    sorter = Sorter(PictureFolder(str(target), "--sort_into"), ["x"], False)
    sorter.add("https://example.org/a", bytes(content), [Category(0, "x", 1.0)])
    assert files_below(target) == ["x/a.jpg"]


def test_labels_become_names_that_every_file_system_takes() -> None:
    assert safe_name("łowickie wzory") == "łowickie wzory"
    assert safe_name('a/b\\c:d"e') == "a_b_c_d_e"
    assert safe_name("..") == safe_name("") == safe_name(" . ") == "_"
    assert safe_name(".hidden.") == "_hidden"
    assert len(safe_name("ł" * 300).encode()) <= 120
    names = folder_names(["a/b", "a:b", "A:B", "c"])
    assert names == {"a/b": "a_b", "a:b": "a_b-2", "A:B": "A_B-3", "c": "c"}


@pytest.mark.parametrize("option", ["--sort_into", "--show"])
def test_what_would_read_its_own_pictures_is_refused(
    option: str, color_folder: Path, model_file: Files, capsys: Captured
) -> None:
    inside, above = color_folder / "sorted", color_folder.parent
    for folder in (color_folder, inside, above):
        arguments = ["--model", str(model_file()), "--image", str(color_folder)]
        with pytest.raises(SystemExit) as caught:
            main([*arguments, option, str(folder)])
        assert caught.value.code == 2
        captured = capsys.readouterr()
        assert f"Expected another folder for {option}" in captured.err
        assert captured.out == ""
    assert not inside.exists()


def test_a_pattern_that_leads_into_the_folder_is_an_error_of_that_file(
    color_folder: Path, model_file: Files, capsys: Captured
) -> None:
    inside = color_folder / "sorted" / "red"
    inside.mkdir(parents=True)
    shutil.copy(color_folder / "red" / "0.png", inside)
    arguments = ["--model", str(model_file()), "--json"]
    arguments += ["--image", f"{color_folder}/*/red/*.png", f"{color_folder}/red/*"]
    assert main([*arguments, "--sort_into", str(color_folder / "sorted")]) == 1
    captured = capsys.readouterr()
    assert len([json.loads(line) for line in captured.out.splitlines()]) == 4
    assert f"{inside / '0.png'} lies in {color_folder / 'sorted'}" in captured.err
    assert files_below(inside) == ["0.png", "1.png", "2.png"]


def test_a_copy_that_fails_does_not_stop_the_rest(
    color_folder: Path, model_file: Files, capsys: Captured, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "green").write_text("a file where a folder should be")
    arguments = ["--model", str(model_file()), "--image", str(color_folder)]
    assert main([*arguments, "--json", "--sort_into", str(target)]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 9
    assert captured.err.count("error: ") == 3
    for number in range(3):
        picture = color_folder / "green" / f"{number}.png"
        assert f"error: {picture}: {target / 'green'}" in captured.err
    assert len(files_below(target)) == 1 + 6


def test_a_file_is_no_folder_to_sort_into(
    color_folder: Path, model_file: Files, capsys: Captured, tmp_path: Path
) -> None:
    afile = tmp_path / "afile"
    afile.write_text("text", encoding="utf-8")
    arguments = ["--model", str(model_file()), "--image", str(color_folder)]
    assert main([*arguments, "--sort_into", str(afile)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    expected = f"Expected a folder for --sort_into. Received a file: {afile}."
    assert captured.err == f"error: {expected}\n"


def test_a_picture_in_the_folder_is_refused(tmp_path: Path, picture: Files) -> None:
    path = picture("red", "out/red.png")
    folder = PictureFolder(str(tmp_path / "out"), "--sort_into")
    with pytest.raises(EdgeclfError, match=r"red\.png lies in .*out, the folder of"):
        folder.add("x/red.png", str(path))


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each keeps other pictures of the same names, at the same time."""
    folder = PictureFolder(str(tmp_path / "sorted"), "--sort_into")
    names = [f"label/{number}.jpg" for number in range(40)]
    start = threading.Barrier(4)

    def keep(worker: int) -> None:
        start.wait()
        for name in names:
            folder.add(name, f"{name} of {worker}".encode())

    with ThreadPoolExecutor(4) as executor:
        list(executor.map(keep, range(4)))
    kept = sorted(path.read_text() for path in (tmp_path / "sorted").rglob("*.jpg"))
    assert kept == sorted(
        f"{name} of {worker}" for name in names for worker in range(4)
    )
