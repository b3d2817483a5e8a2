from __future__ import annotations

import io
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hosting
import pytest
from PIL import Image

import edgeclf
from edgeclf.errors import DownloadError, EdgeclfError, ImageError
from edgeclf.sources import Input, Inputs


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fill(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")


def encoded(ending: str = "png", color: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 10), color).save(file, ending)
    return file.getvalue()


def outcome(given: Input) -> tuple[str, object]:
    """The name, and what reading returns or says."""
    try:
        return given.name, given.read()
    except (EdgeclfError, OSError) as error:
        return given.name, f"{type(error).__name__}: {error}"


def outcomes(*arguments: str, **options: object) -> list[tuple[str, object]]:
    inputs = Inputs(arguments, **options)
    found = [outcome(given) for given in inputs]
    assert inputs.len_hint() in (None, len(found))
    return found


def names(*arguments: str, **options: object) -> list[str]:
    """Names, all of which can be read, and as that path."""
    found = outcomes(*arguments, **options)
    assert [name for name, _ in found] == [path for _, path in found]
    return [name for name, _ in found]


def test_file_is_taken_as_it_is_written_whatever_its_name() -> None:
    files = ["./a.jpg", "a//b.dat", "c[1]*?.png", "-n", "d\udcff.jpg", " e\n.jpg"]
    fill(*files)
    assert names(*files) == files


def test_same_picture_twice_stays_twice() -> None:
    fill("p/a.jpg")
    assert names("p/a.jpg", "p", "p/*") == ["p/a.jpg"] * 3


def test_missing_file_says_so_when_it_is_read() -> None:
    Path("broken.jpg").symlink_to("nowhere")
    inputs = list(Inputs(["no.jpg", "broken.jpg", ""]))
    assert [given.name for given in inputs] == ["no.jpg", "broken.jpg", ""]
    for given in inputs:
        with pytest.raises(FileNotFoundError, match=repr(given.name)):
            given.read()


def test_folder_gives_all_below_it() -> None:
    fill("p/b.jpg", "p/a/c.png", "p/notes.txt")
    Path("empty.txt").mkdir()
    assert names("./p/") == ["./p/a/c.png", "./p/b.jpg"]
    assert outcomes("empty.txt") == [
        ("empty.txt", "ImageError: empty.txt is a folder without image files.")
    ]


def test_folder_that_cannot_be_read_to_its_end_is_an_error(tmp_path: Path) -> None:
    Path("p").mkdir()
    fill("a.jpg")
    os.chdir("p")
    for _ in range(17):  # a path of more than 4096 bytes
        Path("d" * 250).mkdir()
        os.chdir("d" * 250)
    os.chdir(tmp_path)
    fill("p/a.jpg", "p/z.jpg")
    for argument, pictures in (
        ("p", ["p/a.jpg", "p/z.jpg"]),
        ("p/**/*.jpg", ["p/a.jpg", "p/z.jpg"]),
        ("p/**", ["p/a.jpg", "p/z.jpg"]),
        ("*", ["a.jpg", "p/a.jpg", "p/z.jpg"]),
    ):
        *found, (folder, said) = outcomes(argument)
        assert found == [(path, path) for path in pictures]
        assert re.fullmatch("p(/d{250})+", folder)
        assert said == f"OSError: [Errno 36] File name too long: {folder!r}"
    for folder in (".", "q"):
        Path(folder).mkdir(exist_ok=True)
        Path(folder, "list.txt").write_text("p/**/no.jpg\na.jpg")
        (closed, _), (name, _) = outcomes(f"{folder}/list.txt")
        assert closed.startswith("p/ddd")
        assert name == "a.jpg"


def test_zero_byte_in_a_pattern_is_the_error_of_its_line() -> None:
    fill("a.jpg", "q/b.jpg")
    first = "a.jpg\n" * 11_000  # a zero byte in the first 64 KiB would separate paths
    for folder in (".", "q"):
        list_file = Path(folder, "list.txt")
        list_file.write_text(f"{first}a\0b/*.jpg\na\0b/**\na\0b.txt\nb.jpg")
        *_, pattern, any_depth, path, last = outcomes(str(list_file))
        assert pattern[0] == "a\0b/*.jpg"
        said = r"ImageError: Expected pictures. Received: 'a\x00b/*.jpg' ("
        assert str(pattern[1]).startswith(said)
        assert str(any_depth[1]).startswith("ImageError: ")
        assert str(path[1]).startswith("ImageError: Expected a path.")
        assert last[0].endswith("b.jpg")


def test_pattern_without_match_says_so() -> None:
    fill("p/a.jpg")
    assert names("p/*.jpg") == ["p/a.jpg"]
    assert outcomes("q/*.jpg") == [
        ("q/*.jpg", "ImageError: Expected pictures that match q/*.jpg. Received: none.")
    ]


@pytest.mark.parametrize("encode", [str.encode, lambda t: b"\xef\xbb\xbf" + t.encode()])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_list_names_pictures_one_a_line(
    encode: Callable[[str], bytes], end: str
) -> None:
    fill("a ł.jpg", "p/b.jpg", "q/c.jpg", "q/d.gif")
    lines = ["a ł.jpg", "", "  ", "p", "q/*.jpg", "no.jpg", "q/d.gif"]
    Path("list.TXT").write_bytes(encode(end.join(lines)))
    found = outcomes("list.TXT")
    assert [name for name, _ in found] == [
        "a ł.jpg",
        "p/b.jpg",
        "q/c.jpg",
        "no.jpg",
        "q/d.gif",
    ]
    assert str(found[3][1]).startswith("FileNotFoundError")


def test_list_names_what_lies_beside_it_unless_it_is_in_the_working_directory() -> None:
    fill("a.jpg", "[x]/a.jpg", "[x]/b.jpg", "[x]/p/c.jpg")
    Path("[x]/files.lst").write_text("a.jpg\nb.jpg\np\np/*.jpg\nno.jpg\nno*.jpg")
    found = outcomes("[x]/files.lst")
    assert [name for name, _ in found] == [
        "a.jpg",
        "[x]/b.jpg",
        "[x]/p/c.jpg",
        "[x]/p/c.jpg",
        "no.jpg",
        "no*.jpg",
    ]
    assert Inputs([str(Path("[x]/files.lst").absolute())]).len_hint() == 6


def test_list_in_a_list_is_refused() -> None:
    fill("a.jpg")
    Path("inner.list").write_text("a.jpg")
    Path("outer.list").write_text("inner.list\na.jpg")
    assert outcomes("outer.list") == [
        (
            "inner.list",
            "ImageError: inner.list is a list in a list. Give it as an argument.",
        ),
        ("a.jpg", "a.jpg"),
    ]


def test_list_that_is_none_says_so() -> None:
    Path("empty.txt").write_text("\n \n")
    Path("wide.txt").write_text("a.jpg\n", "utf-16")
    Path("long.txt").write_text("a" * 100_000)
    assert outcomes("empty.txt", "wide.txt", "long.txt", "no.txt") == [
        (
            "empty.txt",
            "ImageError: Expected a picture or paths, one a line, from empty.txt. "
            "Received: nothing.",
        ),
        (
            "wide.txt",
            "ImageError: Expected wide.txt to hold paths in UTF-8, one a line. "
            "Received: UTF-16. Save it as UTF-8.",
        ),
        (
            "long.txt",
            "ImageError: Expected paths in long.txt, one a line. Received: a line of "
            "more than 65536 bytes.",
        ),
        ("no.txt", "FileNotFoundError: [Errno 2] No such file or directory: 'no.txt'"),
    ]


def test_list_that_cannot_be_read_says_so() -> None:
    Path("bad.txt").symlink_to("/proc/self/mem")
    [(name, said)] = outcomes("bad.txt")
    assert name == "bad.txt"
    assert str(said).startswith("OSError: [Errno 5]")


def test_picture_that_is_called_like_a_list_is_a_picture() -> None:
    Path("a.txt").write_bytes(encoded())
    assert names("a.txt") == ["a.txt"]


def test_zero_bytes_may_separate_paths() -> None:
    fill("a\nb.jpg", "c.jpg")
    Path("found.list").write_bytes(b"a\nb.jpg\0c.jpg\0")
    assert names("found.list") == ["a\nb.jpg", "c.jpg"]


@pytest.mark.parametrize(
    "ending", ["png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm", "ico", "tga", "pcx"]
)
def test_picture_on_stdin_is_read_whole(ending: str) -> None:
    content = encoded(ending)
    inputs = Inputs(["-"], stdin=io.BytesIO(content))
    assert inputs.len_hint() == 1
    assert [outcome(given) for given in inputs] == [("-", content)]


@pytest.mark.parametrize("content", [b"P3\n1 1 255 0 0 0\n", b"#define a_width 8\n"])
def test_picture_that_is_text_is_a_picture(content: bytes) -> None:
    assert outcomes("-", stdin=io.BytesIO(content)) == [("-", content)]


def test_paths_on_stdin_are_paths_whatever_they_begin_with() -> None:
    files = ["P1010001.JPG", "BMW/a.jpg", "GIF89a.gif", "caf\udce9.jpg", "ł.jpg"]
    fill(*files)
    lines = os.fsencode("\n".join(files))
    inputs = Inputs(["-"], stdin=io.BytesIO(lines))
    assert inputs.len_hint() is None
    assert names("-", stdin=io.BytesIO(lines)) == files


def test_nothing_on_stdin_is_one_clear_error() -> None:
    assert outcomes("-", stdin=io.BytesIO()) == [
        (
            "-",
            "ImageError: Expected a picture or paths, one a line, from stdin (-). "
            "Received: nothing.",
        )
    ]


def test_closed_stdin_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert outcomes("-") == [
        ("-", "ImageError: Expected pictures on stdin (-). Received: it closed.")
    ]


def test_stdin_stands_where_it_was_given() -> None:
    fill("a.jpg", "b.jpg", "c.jpg")
    stdin = io.BytesIO(b"b.jpg")
    assert names("a.jpg", "-", "c.jpg", stdin=stdin) == ["a.jpg", "b.jpg", "c.jpg"]


def test_stdin_is_given_once() -> None:
    with pytest.raises(ValueError, match=r"Expected - \(stdin\) once"):
        Inputs(["-", "a.jpg", "-"])


def test_endless_pipe_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeclf.sources.MAX_PIPED_BYTES", 1 << 20)
    with Path("/dev/zero").open("rb") as endless:
        assert outcomes("-", stdin=endless) == [
            (
                "-",
                "ImageError: Expected a picture of at most 1048576 bytes from a pipe. "
                "Received: more.",
            )
        ]


def test_paths_on_stdin_are_taken_as_they_come() -> None:
    fill("a.jpg", "b.jpg")
    reading, writing = os.pipe()
    with (
        os.fdopen(reading, "rb") as stdin,
        os.fdopen(writing, "wb", buffering=0) as pipe,
    ):
        inputs = iter(Inputs(["-"], stdin=stdin))
        pipe.write(b"a.jpg\n")
        assert next(inputs).read() == "a.jpg"
        pipe.write(b"b.j")
        pipe.write(b"pg\nc\0d\nno.jpg")
        assert next(inputs).read() == "b.jpg"
        with pytest.raises(ImageError, match=r"Expected a path. Received: 'c\\x00d'"):
            next(inputs).read()
        pipe.close()
        assert next(inputs).name == "no.jpg"
        assert next(inputs, None) is None


def test_named_pipe_is_read_as_a_picture() -> None:
    content = encoded()
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as pipe:
        pipe.write(content)
        pipe.close()
        assert outcomes(f"/dev/fd/{reading}") == [(f"/dev/fd/{reading}", content)]


def test_url_is_downloaded_when_it_is_read() -> None:
    with hosting.running() as server:
        server.files["/a.png"] = encoded()
        url = f"{server.address}/a.png"
        Path("urls.txt").write_text(f"{url}\n")
        assert outcomes(url, "urls.txt", allow_private=True) == [(url, encoded())] * 2
        given = next(iter(Inputs([url])))
        with pytest.raises(DownloadError, match="is not a public address"):
            given.read()


def test_password_in_a_url_is_not_shown() -> None:
    [(name, said)] = outcomes("HTTP://me:s3cret@host.example/a.jpg?b=@")
    assert name == "HTTP://host.example/a.jpg?b=@"
    assert "user name" in str(said)
    assert "s3cret" not in str(said)


def test_inputs_go_to_other_processes() -> None:
    fill("a.jpg", "list.txt")
    for given in Inputs(["a.jpg", "no/*", "list.txt", "http://x/a.jpg"]):
        assert outcome(pickle.loads(pickle.dumps(given)))[0] == given.name  # noqa: S301


def test_one_file_loads_nothing_that_starting_would_feel() -> None:
    code = (
        "import sys; from edgeclf.sources import Inputs; "
        "before = set(sys.modules); "
        "[given.read() for given in Inputs([sys.executable])]; "
        "print(*set(sys.modules) - before, *{'pathlib', 'glob', 'socket', 'ssl', "
        "'http', 'tempfile'} & (set(sys.modules)))"
    )
    command = [sys.executable, "-S", "-c", code]
    path = Path(edgeclf.__file__).parents[1]  # the checkout's, or the installed one's
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=path)
    assert done.stdout.split() == []
