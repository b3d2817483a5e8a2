from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from edgeclf.inputs import paths
from edgeclf.inputs.paths import IMAGE_ENDINGS, find_images


def refuse(error: OSError) -> None:
    raise error


image_arguments = partial(paths.image_arguments, on_error=refuse)
matching_images = partial(paths.matching_images, on_error=refuse)


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_file_stands_for_itself_whatever_its_name(tmp_path: Path) -> None:
    fill(tmp_path, "notes.txt")
    assert find_images(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
    assert find_images(tmp_path / "missing") == [tmp_path / "missing"]


def test_folder_is_searched_to_any_depth_and_sorted(tmp_path: Path) -> None:
    fill(tmp_path, "b.jpg", "a/z.PNG", "a/b/ł ą.webp", "Z.jpeg", "a.b/c.tiff")
    names = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert names == ["Z.jpeg", "a/b/ł ą.webp", "a/z.PNG", "a.b/c.tiff", "b.jpg"]


def test_litter_is_passed_over(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "a.jpg",
        ".DS_Store",
        ".hidden.jpg",
        "Thumbs.db",
        "desktop.ini",
        "no_ending",
        "notes.txt",
        "drawing.svg",
        ".ipynb_checkpoints/a-checkpoint.jpg",
        "__MACOSX/a.jpg",
        "@eaDir/a.jpg",
    )
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "broken_link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    # A broken link is no litter: it is named when it cannot be read.
    assert find_images(tmp_path) == [tmp_path / "a.jpg", tmp_path / "broken_link.jpg"]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jpg").write_bytes(b"")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "real")
    found = find_images(tmp_path / "photos")
    assert [path.name for path in found].count("a.jpg") == 1


def test_a_folder_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(17):  # a path of more than 4096 bytes; root may read all others
        Path("d" * 250).mkdir()
        os.chdir("d" * 250)
    os.chdir(tmp_path)
    fill(tmp_path, "a.jpg")
    with pytest.raises(OSError, match="File name too long"):
        find_images(tmp_path)
    errors: list[OSError] = []
    assert paths.image_arguments(".", errors.append) == ["./a.jpg"]
    assert [error.filename[:4] for error in errors] == ["./dd"]


def test_folder_without_pictures_is_empty(tmp_path: Path) -> None:
    assert find_images(tmp_path) == []


def test_argument_is_kept_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "photos/a.jpg", "photos/b/c.png")
    monkeypatch.chdir(tmp_path)
    assert image_arguments("./photos/a.jpg") == ["./photos/a.jpg"]
    assert image_arguments("./photos") == ["./photos/a.jpg", "./photos/b/c.png"]
    assert image_arguments("photos/") == ["photos/a.jpg", "photos/b/c.png"]
    assert image_arguments("no//such.jpg") == ["no//such.jpg"]


def test_endings_are_those_that_pillow_reads() -> None:
    Image.init()
    endings = Image.registered_extensions().items()
    readable = {ending for ending, name in endings if name in Image.OPEN}
    # By the Pillow that is installed; .mpo is opened as a JPEG.
    optional = {".heic", ".heif", ".avif", ".avifs", ".qoi", ".mpo"}
    assert readable >= IMAGE_ENDINGS - optional


def test_pattern_gives_pictures_sorted_and_passes_over_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(
        tmp_path, "p/b.jpg", "p/a.png", "p/.c.jpg", "p/notes.txt", "p/d/e.jpg", "z.gif"
    )
    fill(tmp_path, "p/__MACOSX/a.jpg", "p/.cache/f.jpg")
    monkeypatch.chdir(tmp_path)
    assert matching_images("p/*") == ["p/a.png", "p/b.jpg", "p/d/e.jpg"]
    assert matching_images("./p/?.jpg") == ["./p/b.jpg"]
    assert matching_images("p/[ab].*") == ["p/a.png", "p/b.jpg"]
    assert matching_images("p/.c*") == []
    assert matching_images("p/.cache/*") == ["p/.cache/f.jpg"]
    assert matching_images("no/*") == []


def test_pattern_takes_other_names_where_nothing_else_matches(tmp_path: Path) -> None:
    fill(tmp_path, "IMG_1", "IMG_2")
    assert matching_images(f"{tmp_path}/IMG_?") == [
        str(tmp_path / "IMG_1"),
        str(tmp_path / "IMG_2"),
    ]


def test_two_stars_match_any_depth_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "p/a.jpg", "p/b/c.jpg", "p/b/d/e.png", "p/[x]/f.jpg", "g.jpg")
    monkeypatch.chdir(tmp_path)
    below = ["p/[x]/f.jpg", "p/a.jpg", "p/b/c.jpg", "p/b/d/e.png"]
    assert sorted(matching_images("p/**")) == below
    assert matching_images("p/**/*.png") == ["p/b/d/e.png"]
    assert sorted(matching_images("**/*.jpg")) == ["g.jpg", *sorted(below[:3])]
    assert matching_images("p/*/**/*.jpg") == ["p/[x]/f.jpg", "p/b/c.jpg"]
    assert matching_images("**/b/**/e.png") == ["p/b/d/e.png"]
    assert matching_images(f"{tmp_path}/**/e.png") == [f"{tmp_path}/p/b/d/e.png"]


def test_two_stars_end_in_a_maze_of_links(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg")
    for name in ("b", "c", "d"):  # 3 ** 40 ways before the system gives up
        (tmp_path / name).symlink_to(tmp_path)
    assert matching_images(f"{tmp_path}/**/*.jpg") == [str(tmp_path / "a.jpg")]


def test_links_to_what_never_ends_are_no_pictures(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, target in (("a.jpg", "pipe"), ("b.jpg", "/dev/zero"), ("c.jpg", "c.jpg")):
        (tmp_path / name).symlink_to(target)
    assert find_images(tmp_path) == [tmp_path / "c.jpg"]  # leads to itself: broken
