"""`edgeclf collect` against a local server that misbehaves."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hosting
import misbehaving
import pytest
from misbehaving import Paths, encoded, picture, scene
from PIL import Image

from edgeclf.collecting import Found, Manners, Source, Web, collect, read_urls
from edgeclf.collecting.command import main
from edgeclf.collecting.manifest import COLUMNS
from edgeclf.data.folders import read_folder
from edgeclf.errors import DatasetError, DownloadError

ROOT = Path(__file__).resolve().parents[1]
QUICK = ["--allow_private", "--attempts", "3", "--backoff", "0.01", "--timeout", "0.4"]
QUICK += ["--max_wait", "1", "--max_mb", "0.1"]

Collect = Callable[..., dict[str, Any]]


@pytest.fixture
def paths() -> Iterator[Paths]:
    with misbehaving.paths() as running:
        yield running


@pytest.fixture
def urls(tmp_path: Path, paths: Paths) -> Callable[..., list[str]]:
    """Write a list of paths; return the arguments that collect them into `out`."""

    def write(*names: str) -> list[str]:
        file = tmp_path / "urls.txt"
        lines = [n if "://" in n or "\n" in n else paths.address(n) for n in names]
        file.write_text("\n".join(lines), encoding="utf-8")
        output = str(tmp_path / "out")
        return ["--urls", str(file), "--output", output, "--label", "Gzhel", *QUICK]

    return write


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Collect:
    """Run the command, check its status, return what it prints as JSON."""

    def call(arguments: list[str], status: int = 0) -> dict[str, Any]:
        assert main([*arguments, "--json"]) == status, capsys.readouterr().err
        return dict(json.loads(capsys.readouterr().out))

    return call


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def stored(output: Path) -> list[str]:
    """Names of all files below the class folders, hidden ones too."""
    return sorted(
        path.relative_to(output).as_posix()
        for path in output.rglob("*")
        if path.is_file() and ".collect" not in path.parts and path.suffix != ".csv"
    )


def bomb() -> bytes:
    """A small PNG of 30,000 x 30,000 pixels."""
    header = b"IHDR" + b"\x00\x00\x75\x30\x00\x00\x75\x30\x08\x02\x00\x00\x00"
    chunk = len(header[4:]).to_bytes(4, "big") + header
    chunk += zlib.crc32(header).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\x00\x00\x00\x00IDAT5\xaf\x06\x1e"


MISBEHAVIOUR: dict[str, tuple[bytes, list[hosting.Behaviour], str]] = {
    "/good.jpg": (picture(1), [], "stored"),
    "/png.jpg": (picture(2, "PNG"), [], "stored"),
    "/again.jpg": (picture(1), [], "duplicate"),
    "/near.jpg": (encoded(scene(1, (100, 75)), quality=60), [], "near-duplicate"),
    "/gone.jpg": (b"", [hosting.status(404)], "404"),
    "/html.jpg": (b"<html></html>", [], "not a picture"),
    "/typed.jpg": (
        b"",
        [hosting.saying(200, b"<html>", Content_Type="text/html")],
        "not a picture",
    ),
    "/half.jpg": (picture(3), [hosting.cut_after(900)], "connection cut"),
    "/cut.jpg": (picture(4)[:900], [], "damaged"),
    "/empty.jpg": (b"", [hosting.saying(200)], "empty"),
    "/bomb.png": (bomb(), [], "too many pixels"),
    "/drip.jpg": (picture(5), [hosting.slowly(0.05, 10)], "timeout"),
    "/endless.jpg": (b"", [hosting.endless], "too large"),
    "/circle.jpg": (b"", [hosting.redirect_to("/circle.jpg")], "redirects"),
    "/moved.jpg": (b"", [hosting.redirect_to("/target.jpg")], "stored"),
    "/asked429.jpg": (
        picture(7),
        [hosting.saying(429, Retry_After="0"), hosting.serve],
        "stored",
    ),
    "/busy.jpg": (picture(8), [hosting.status(429), hosting.serve], "stored"),
    "/always429.jpg": (b"", [hosting.status(429)], "429"),
    "/twice500.jpg": (
        picture(9),
        [*[hosting.status(500)] * 2, hosting.serve],
        "stored",
    ),
    "/always500.jpg": (b"", [hosting.status(500)], "500"),
    "/reset.jpg": (picture(10), [hosting.reset, hosting.serve], "stored"),
    "/../../etc/evil.jpg": (picture(11), [], "stored"),
    "http://": (b"", [], "not an address"),
    "http://me:secret@127.0.0.1/a.jpg": (b"", [], "not an address"),
}


def test_a_server_that_misbehaves_is_counted_by_reason(
    paths: Paths, urls: Callable[..., list[str]], run: Collect, tmp_path: Path
) -> None:
    for path, (content, behaviours, _) in MISBEHAVIOUR.items():
        paths[path] = content
        if behaviours:
            paths[path] = list(behaviours)
    paths["/target.jpg"] = picture(6)
    said = run(urls(*MISBEHAVIOUR))
    expected: dict[str, int] = {}
    for _, _, outcome in MISBEHAVIOUR.values():
        expected[outcome] = expected.get(outcome, 0) + 1
    assert said["outcomes"] == expected
    assert (said["stored"], said["labels"]) == (8, {"Gzhel": 8})

    output = tmp_path / "out"
    manifest = rows(output / "manifest.csv")
    assert sorted(row["file"] for row in manifest) == stored(output)
    for row in manifest:
        with Image.open(output / row["file"]) as image:
            assert image.format == ("PNG" if "png" in row["url"] else "JPEG")
            assert row["file"].endswith(".png" if "png" in row["url"] else ".jpg")
            assert image.size == (int(row["width"]), int(row["height"])) == (120, 90)
        assert (output / row["file"]).stat().st_size == int(row["bytes"])
    assert len(read_folder(output, 1)) == 8
    failures = {row["url"]: row["reason"] for row in rows(output / "failures.csv")}
    for path, (_, _, outcome) in MISBEHAVIOUR.items():
        url = path if "://" in path else paths.address(path)
        assert failures.get(url, "stored") == outcome

    # Once more: what may pass is asked for again, and nothing else.
    paths.asked.clear()
    said = run(urls(*MISBEHAVIOUR))
    assert set(paths.asked) == {
        *("/half.jpg", "/drip.jpg", "/always429.jpg", "/always500.jpg")
    }
    assert said["stored"] == 0
    assert said["outcomes"]["stored before"] == 8
    assert rows(output / "manifest.csv") == manifest


def test_what_passes_in_the_meantime_is_stored_by_the_next_run(
    paths: Paths, urls: Callable[..., list[str]], run: Collect
) -> None:
    paths["/a"] = picture(1)
    paths["/a"] = [*[hosting.status(503)] * 3, hosting.serve]
    assert run(urls("/a"), status=1)["outcomes"] == {"503": 1}
    assert run(urls("/a"))["outcomes"] == {"stored": 1}
    assert run(urls("/a"))["outcomes"] == {"stored before": 1}
    assert paths.asked == {"/a": 4}


def test_limits_count_for_the_next_run_as_they_are_then(
    paths: Paths, urls: Callable[..., list[str]], run: Collect
) -> None:
    paths["/small"] = picture(1)
    paths["/large"] = bytes(200_000)
    arguments = urls("/small", "/large")
    said = run([*arguments, "--min_side", "100"], status=1)
    assert said["outcomes"] == {"too small": 1, "too large": 1}
    run([*arguments, "--min_side", "95"], status=1)
    assert paths.asked == {"/small": 1, "/large": 1}
    said = run([*arguments, "--min_side", "90", "--max_mb", "1"])
    assert said["outcomes"] == {"stored": 1, "not a picture": 1}


def test_private_addresses_are_refused_and_asked_for_when_allowed(
    paths: Paths, urls: Callable[..., list[str]], run: Collect
) -> None:
    paths["/a"] = picture(1)
    arguments = urls("/a")
    careful = [name for name in arguments if name != "--allow_private"]
    assert run(careful, status=1)["outcomes"] == {"private address": 1}
    assert not paths.asked
    assert run(arguments)["outcomes"] == {"stored": 1}


def test_many_pictures_with_many_workers(
    paths: Paths, urls: Callable[..., list[str]], run: Collect, tmp_path: Path
) -> None:
    names = [f"/{number}.jpg" for number in range(300)]
    for number, name in enumerate(names):
        paths[name] = picture(number)
    paths.delay_s = 0.005
    arguments = [*urls(*names), "--workers", "8", "--per_host", "3"]
    assert run(arguments)["outcomes"] == {"stored": 300}
    assert 1 < paths.most_at_once <= 3
    assert set(paths.asked.values()) == {1}
    manifest = rows(tmp_path / "out" / "manifest.csv")
    assert [row["url"] for row in manifest] == [paths.address(name) for name in names]


def test_no_more_is_asked_for_than_the_limit_lacks(
    paths: Paths, urls: Callable[..., list[str]], run: Collect, tmp_path: Path
) -> None:
    for number in range(30):
        paths[f"/{number}"] = picture(number)
    paths["/1"] = picture(0)
    paths["/2"] = [hosting.status(404)]
    names = [f"/{number}" for number in range(30)]
    said = run([*urls(*names), "--limit", "5", "--workers", "4"])
    assert (said["stored"], said["outcomes"]["limit reached"]) == (5, 23)
    assert sorted(paths.asked) == [f"/{number}" for number in range(7)]
    # The next run only lacks what was removed, and does not want that back.
    (tmp_path / "out" / rows(tmp_path / "out" / "manifest.csv")[0]["file"]).unlink()
    said = run([*urls(*names), "--limit", "6"])
    assert (said["stored"], said["labels"]) == (2, {"Gzhel": 6})
    assert sorted(paths.asked) == sorted(f"/{number}" for number in range(9))
    # Nothing is lacking: all that is new is given back at once.
    said = run([*urls(*names), "--limit", "6"])
    assert (said["stored"], said["outcomes"]["limit reached"]) == (0, 21)


def test_what_is_kept_does_not_depend_on_who_is_quicker(
    paths: Paths, urls: Callable[..., list[str]], run: Collect, tmp_path: Path
) -> None:
    paths["/slow"] = picture(1)
    paths["/slow"] = [hosting.slowly(0.05, 600)]
    paths["/quick"] = picture(1)
    assert run(urls("/slow", "/quick"))["outcomes"] == {"stored": 1, "duplicate": 1}
    (row,) = rows(tmp_path / "out" / "manifest.csv")
    assert row["url"] == paths.address("/slow")


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edgeclf.collecting.command", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(count: int, paths: Paths) -> None:
    deadline = time.monotonic() + 20
    while paths.asked.total() < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_killed_run_is_gone_on_with(
    paths: Paths, urls: Callable[..., list[str]], run: Collect, tmp_path: Path
) -> None:
    names = [f"/{number}" for number in range(120)]
    for number, name in enumerate(names):
        paths[name] = picture(number)
    paths["/3"] = [hosting.status(404)]
    paths["/5"] = [hosting.silent]  # those behind it wait for their turn
    paths.delay_s = 0.01
    arguments = [*urls(*names), "--workers", "4", "--per_host", "4"]
    arguments[arguments.index("--timeout") + 1] = "20"
    output = tmp_path / "out"
    for count in (25, 50):
        with start(arguments) as process:
            wait_for(count, paths)
            process.kill()
        for path in map(output.joinpath, stored(output)):
            with Image.open(path) as image:
                image.load()
    # A torn line in each of the files that are appended to.
    for name in ("manifest.csv", ".collect/journal.jsonl"):
        with (output / name).open("a") as file:
            file.write('{"outcome": "sto')
    (output / ".collect" / "spool" / "half.part").write_bytes(b"half")
    paths["/5"] = [hosting.serve]
    said = run(arguments)
    assert said["labels"] == {"Gzhel": 119}
    assert said["outcomes"].get("stored before", 0) + said["stored"] == 119
    repeated = [name for name, count in paths.asked.items() if count > 1]
    # In flight when it was killed, in the pipe of the server or of the client: no more
    # than one a worker and kill.
    assert len(repeated) <= 8
    manifest = rows(output / "manifest.csv")
    assert sorted(row["file"] for row in manifest) == stored(output)
    assert len(manifest) == len({row["url"] for row in manifest}) == 119
    assert not (output / ".collect" / "spool").exists()


def test_a_move_that_was_cut_short_is_finished(
    paths: Paths, urls: Callable[..., list[str]], run: Collect, tmp_path: Path
) -> None:
    from edgeclf.collecting.spool import Spool

    paths["/a"] = picture(1)
    run(urls("/a"))
    output = tmp_path / "out"
    (row,) = rows(output / "manifest.csv")
    path = output / row["file"]
    content = path.read_bytes()
    path.unlink()
    Spool(output / ".collect" / "spool").write(paths.address("/a"), content)
    lines = (output / "manifest.csv").read_text().splitlines(keepends=True)
    (output / "manifest.csv").write_text(lines[0])
    assert run(urls("/a"))["outcomes"] == {"stored before": 1}
    assert path.read_bytes() == content
    assert rows(output / "manifest.csv") == [row]
    assert paths.asked == {"/a": 1}


def test_ctrl_c_says_how_to_go_on(
    paths: Paths, urls: Callable[..., list[str]], run: Collect, tmp_path: Path
) -> None:
    names = [f"/{number}" for number in range(40)]
    for number, name in enumerate(names):
        paths[name] = picture(number)
    paths["/20"] = [hosting.silent]
    arguments = urls(*names)
    arguments[arguments.index("--timeout") + 1] = "20"
    with start(arguments) as process:
        wait_for(30, paths)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "The same command goes on" in said
    assert "Traceback" not in said
    assert (tmp_path / "out" / "failures.csv").exists()
    paths["/20"] = [hosting.serve]
    assert run(arguments)["labels"] == {"Gzhel": 40}


def test_two_runs_into_one_folder_are_refused(
    paths: Paths,
    urls: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths["/a"] = [hosting.silent]
    arguments = urls("/a")
    slow = list(arguments)
    slow[slow.index("--timeout") + 1] = "20"
    with start(slow) as process:
        wait_for(1, paths)
        assert main(arguments) == 1
        process.kill()
    assert "Expected to be the only one that uses" in capsys.readouterr().err


def test_pictures_that_lie_there_do_not_come_again(
    paths: Paths, urls: Callable[..., list[str]], run: Collect, tmp_path: Path
) -> None:
    other = tmp_path / "out" / "Iznik"
    other.mkdir(parents=True)
    (other / "mine.png").write_bytes(picture(1, "PNG"))
    (other / "broken.png").write_bytes(b"broken")
    paths["/a"], paths["/b"] = picture(1), picture(2)
    said = run(urls("/a", "/b"))
    assert said["outcomes"] == {"near-duplicate": 1, "stored": 1}
    assert said["labels"] == {"Gzhel": 1}


def test_names_from_outside_stay_in_their_folder(paths: Paths, tmp_path: Path) -> None:
    identifiers = ["../../evil", "a/b", "A", "a", "ł" * 200, "..", "\0", "x" * 300, ""]
    found = []
    for number, identifier in enumerate(identifiers):
        paths[f"/{number}"] = picture(number)
        title = 'line\nbreak, "quoted" \ud800'
        url = paths.address(f"/{number}")
        found.append(Found(url, ("Gzhel",), "urls", identifier, title=title))
    paths["/bad"] = picture(99)
    for label in ("..", "a/b", "", ".x", "two\nlines", "a\u2028b", "\udcff", "x" * 300):
        found.append(Found(paths.address("/bad") + f"?{len(found)}", (label,), "urls"))
    web = Web(allow_private=True, manners=Manners(attempts=1))
    result = collect([Source("test", iter(found))], tmp_path / "out", web)
    assert result.outcomes == {"stored": len(identifiers), "not a folder name": 8}
    names = stored(tmp_path / "out")
    assert len(names) == len(identifiers)
    assert all(name.startswith("Gzhel/urls-") and len(name) < 120 for name in names)
    assert names == stored(tmp_path / "out")
    titles = {row["title"] for row in rows(tmp_path / "out" / "manifest.csv")}
    assert titles == {'line break, "quoted" ?'}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_picture_of_several_labels_lies_in_each(paths: Paths, tmp_path: Path) -> None:
    paths["/a"], paths["/b"] = picture(1), picture(2)
    found = [
        Found(paths.address("/a"), ("blue", "human"), "unsplash", "a1"),
        Found(paths.address("/b"), ("blue", "tree"), "unsplash", "b1"),
    ]
    web = Web(allow_private=True)
    result = collect([Source("test", found)], tmp_path / "out", web, limit=1)
    assert stored(tmp_path / "out") == [
        "blue/unsplash-a1.jpg",
        "human/unsplash-a1.jpg",
        "tree/unsplash-b1.jpg",
    ]
    assert len(rows(tmp_path / "out" / "manifest.csv")) == 3
    assert result.counts == {"blue": 1, "human": 1, "tree": 1}


def test_a_label_that_can_be_no_folder_does_not_cost_the_others(
    paths: Paths, tmp_path: Path
) -> None:
    paths["/a"] = picture(1)
    found = [Found(paths.address("/a"), ("a/b", "blue"), "unsplash", "a1")]
    result = collect([Source("x", found)], tmp_path / "out", Web(allow_private=True))
    assert result.outcomes == {"stored": 1}
    assert stored(tmp_path / "out") == ["blue/unsplash-a1.jpg"]


def test_a_picture_of_two_queries_goes_to_the_first_that_lacks_it(
    paths: Paths, tmp_path: Path
) -> None:
    for number in range(4):
        paths[f"/{number}"] = picture(number)
    addresses = [paths.address(f"/{number}") for number in range(4)]
    output = tmp_path / "out"
    for _ in range(2):
        sources = [
            Source(label, [Found(url, (label,), "urls") for url in addresses], label)
            for label in ("x", "y")
        ]
        web = Web(allow_private=True)
        result = collect(sources, output, web, limit=2, num_workers=1)
        assert result.counts == {"x": 2, "y": 2}
    assert [row["url"] for row in rows(output / "manifest.csv")] == addresses
    assert paths.asked == {f"/{number}": 1 for number in range(4)}


def test_a_list_of_labels_gives_a_picture_to_each(
    paths: Paths, urls: Callable[..., list[str]], run: Collect, tmp_path: Path
) -> None:
    paths["/a"] = picture(1)
    arguments = urls("/a")
    place = arguments.index("--label")
    del arguments[place : place + 2]
    url = paths.address("/a")
    (tmp_path / "urls.txt").write_text(f"url,label\n{url},x\n{url},y\n{url},x\n")
    assert run(arguments)["labels"] == {"x": 1, "y": 1}
    manifest = tmp_path / "out" / "manifest.csv"
    (found,) = read_urls(manifest)
    assert (found.url, found.labels) == (url, ("x", "y"))
    # And of a collection that stored no picture.
    lines = [f"file,url,label\n,{url},x;y\n", f"file,url,label\nx;y/1.jpg,{url},x;y\n"]
    for text, labels in zip(lines, (("x", "y"), ("x;y",)), strict=True):
        manifest.write_text(text)
        assert read_urls(manifest)[0].labels == labels


def test_what_others_wrote_is_no_formula(paths: Paths, tmp_path: Path) -> None:
    paths["/a"] = picture(1)
    url, evil = paths.address("/a"), ' =HYPERLINK("http://x")'
    found = Found(url, ("=x",), "urls", evil, evil, evil, "@ann", "+1", "-1")
    collect([Source("x", [found])], tmp_path / "out", Web(allow_private=True))
    (row,) = rows(tmp_path / "out" / "manifest.csv")
    names = ("identifier", "page", "title", "author", "license", "license_url")
    safe = f"'{evil.strip()}"
    assert [row[name] for name in names] == [safe, safe, safe, "'@ann", "'+1", "'-1"]
    assert (tmp_path / "out" / row["file"]).is_file()


def test_a_run_that_finds_nothing_new_writes_nothing_new(
    paths: Paths, urls: Callable[..., list[str]], run: Collect, tmp_path: Path
) -> None:
    arguments = urls("/a")
    paths["/a"] = [hosting.status(500)]
    journal = tmp_path / "out" / ".collect" / "journal.jsonl"
    sizes = []
    for _ in range(3):
        run(arguments, status=1)
        sizes.append(journal.stat().st_size)
    assert len(set(sizes)) == 1
    assert paths.asked == {"/a": 9}


def test_a_picture_that_waits_is_kept_elsewhere_too(
    paths: Paths, tmp_path: Path
) -> None:
    from edgeclf.collecting.spool import Spool

    kept: list[bytes] = []
    url = paths.address("/a")
    Spool(tmp_path / ".collect" / "spool").write(url, picture(1))
    web = Web(allow_private=True)
    source = Source("x", [Found(url, ("x",), "urls")])
    assert collect([source], tmp_path, web, keep=kept.append).num_stored == 1
    assert (kept, paths.asked) == ([picture(1)], {})


def test_a_source_that_fails_does_not_stop_the_others(
    paths: Paths, tmp_path: Path
) -> None:
    paths["/a"], paths["/b"] = picture(1), picture(2)

    def failing() -> Iterator[Found]:
        yield Found(paths.address("/a"), ("x",), "urls")
        raise DownloadError("It is down.")

    sources = [
        Source("first", failing()),
        Source("second", [Found(paths.address("/b"), ("x",), "urls")]),
    ]
    result = collect(sources, tmp_path / "out", Web(allow_private=True))
    assert result.failed_sources == ["first: It is down."]
    assert (result.num_stored, result.is_success) == (2, True)


def test_a_source_is_left_when_its_label_is_full(paths: Paths, tmp_path: Path) -> None:
    taken: list[int] = []

    def endless() -> Iterator[Found]:
        number = 0
        while True:
            paths[f"/{number}"] = picture(number)
            taken.append(number)
            yield Found(paths.address(f"/{number}"), ("x",), "urls")
            number += 1

    web = Web(allow_private=True)
    result = collect([Source("all", endless(), "x")], tmp_path / "out", web, limit=9)
    assert result.num_stored == 9
    assert len(taken) <= 11
    assert paths.asked.total() == 9


def test_pictures_may_be_kept_elsewhere(paths: Paths, tmp_path: Path) -> None:
    kept: list[bytes] = []
    for number in range(5):
        paths[f"/{number}"] = picture(number)
    found = [Found(paths.address(f"/{n}"), ("a", "b"), "unsplash") for n in range(5)]
    for expected in ({"stored": 5}, {"stored before": 5}):
        web = Web(allow_private=True)
        result = collect([Source("x", found)], tmp_path / "o", web, keep=kept.append)
        assert result.outcomes == expected
        assert result.counts == {"a": 5, "b": 5}
    assert sorted(kept) == sorted(picture(number) for number in range(5))
    assert stored(tmp_path / "o") == []
    manifest = rows(tmp_path / "o" / "manifest.csv")
    assert [(row["file"], row["label"]) for row in manifest] == [("", "a;b")] * 5


def test_an_edited_manifest_keeps_its_columns(
    paths: Paths, urls: Callable[..., list[str]], run: Collect, tmp_path: Path
) -> None:
    paths["/a"], paths["/b"] = picture(1), picture(2)
    run(urls("/a"))
    file = tmp_path / "out" / "manifest.csv"
    (row,) = rows(file)
    columns = ["note", *reversed(row)]
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, columns)
        writer.writeheader()
        writer.writerow({**row, "note": "nice"})
    run(urls("/a", "/b"))
    first, second = rows(file)
    assert first == {**row, "note": "nice"}
    assert (second["url"], second["note"]) == (paths.address("/b"), "")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("manifest.csv", "file;label\n", "Expected the columns file, label"),
        (
            "manifest.csv",
            f"{','.join(COLUMNS)}\n{'x' * 200_000}\n",
            "after line 1 a row that cannot be read",
        ),
        (".collect/journal.jsonl", "{}\n", "another line 1"),
        (".collect/journal.jsonl", "nonsense\n", "another line 1"),
    ],
)
def test_damaged_records_are_named(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / ".collect").mkdir()
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=said):
        collect([], tmp_path, Web(allow_private=True))


def test_a_list_may_be_a_table(tmp_path: Path) -> None:
    file = tmp_path / "My list.tsv"
    file.write_text(
        "\ufefflabel\tURL\tauthor\tlicense\n"
        "Gzhel\thttp://a.example/1\tA. B.\tCC BY 4.0\n"
        "Iznik\thttp://a.example/2\t\t\n"
        "Iznik\t\t\t\n",
        encoding="utf-8",
    )
    first, second = read_urls(file)
    assert first == Found(
        "http://a.example/1", ("Gzhel",), "urls", author="A. B.", license="CC BY 4.0"
    )
    assert second == Found("http://a.example/2", ("Iznik",), "urls")
    assert {found.labels for found in read_urls(file, "all")} == {("all",)}
    file.write_text("# first\n\n http://a.example/1#x \nhttp://a.example/2?url=3,4\n")
    assert [found.url for found in read_urls(file)] == [
        "http://a.example/1#x",
        "http://a.example/2?url=3,4",
    ]
    assert read_urls(file)[0].labels == ("My list",)
    data = "data:image/png;base64," + "A" * 200_000
    file.write_text(f"{data}\nhttp://a.example/1\n")
    assert [found.url for found in read_urls(file)] == [data, "http://a.example/1"]
    file.write_text("url\nhttp://a.example/1\n")
    assert [found.url for found in read_urls(file)] == ["http://a.example/1"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Expected addresses in"),
        (b"# nothing\n\n", "Expected addresses in"),
        (b"url,label\nhttp://a.example/1,../x\n", "Expected names of class folders"),
        (b"url,label\n", "Received: only the header"),
        (
            b"sea\nsky\n",
            "one address a line.* Received: 'sea' and so on",
        ),
        (b"http://a\xff", "Expected a list of addresses in UTF-8"),
    ],
)
def test_lists_that_are_none_are_refused(
    tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=said):
        read_urls(file)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_urls(tmp_path / "none.txt")
    with pytest.raises(FileNotFoundError, match="no regular file"):
        read_urls("/dev/null")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of the arguments --query --urls --unsplash is required"),
        (["--query", "a", "--urls", "b"], "not allowed with argument"),
        (["--query", "../x=words"], "Expected a label that can be the name"),
        (["--query", "=words"], "Expected LABEL=WORDS or WORDS"),
        (["--query", " "], "Expected LABEL=WORDS or WORDS"),
        (["--query", "a", "--label", ".x"], "leading dot"),
        (["--urls", "a", "--label", "a/b"], "slash"),
        (["--urls", "a", "--limit", "0"], "whole number of 1 or more"),
        (["--urls", "a", "--max_mb", "0"], "Expected --max_mb of more than 0"),
        (["--urls", "a", "--timeout", "nan"], "Expected --timeout of more than 0"),
        (["--urls", "a", "--pause", "-1"], "Expected pause_s of 0 or more"),
        (["--urls", "a", "--no_store"], "--no_store only with --unsplash"),
        (["--unsplash", "a", "--label", "x"], "no --label with --unsplash"),
        (["--unsplash", "a", "--side", "0"], "Expected side of 1 or more"),
        (["--unsplash", "a", "--license", "by"], "no --license by with --unsplash"),
        (["--query", "a", "--source", "yahoo"], "expected one of openverse"),
    ],
)
def test_wrong_usage_is_named(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--output", str(tmp_path / "out")])
    assert caught.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["limit", "num_workers", "min_side"])
def test_numbers_have_a_range(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"Expected {name} of 1 or more"):
        collect([], tmp_path, Web(allow_private=True), **{name: 0})


def test_nothing_found_is_a_failure(
    paths: Paths, urls: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(urls("/gone")) == 1
    printed = capsys.readouterr()
    assert printed.out == "404  1\n"
    assert "failures.csv" in printed.err
    assert "error: Expected pictures. Received: none." in printed.err


def test_what_fails_later_is_told_from_what_is_there(
    paths: Paths, urls: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    paths["/a"] = picture(1)
    assert main(urls("/a")) == 0
    assert "failures.csv" not in capsys.readouterr().err
    assert main(urls("/a", "/gone")) == 0
    assert "failures.csv" in capsys.readouterr().err


def test_private_addresses_name_the_option(
    urls: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [text for text in urls("/a") if text != "--allow_private"]
    assert main(arguments) == 1
    assert "only with --allow_private" in capsys.readouterr().err


def test_a_copy_names_what_it_repeats(
    paths: Paths, urls: Callable[..., list[str]], tmp_path: Path
) -> None:
    for name in ("/a", "/b"):
        paths[name] = picture(1)
    assert main(urls("/a", "/b")) == 0
    (row,) = rows(tmp_path / "out" / "failures.csv")
    (file,) = stored(tmp_path / "out")
    assert row["detail"] == f"{paths.address('/b')} is a duplicate of {file}."


def test_the_licence_is_asked_of_lists_too(
    paths: Paths,
    urls: Callable[..., list[str]],
    run: Collect,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in range(3):
        paths[f"/{number}"] = picture(number)
    licenses = ("CC BY 4.0", "CC BY-NC 2.0", "")
    table = [f"{paths.address(f'/{n}')},{name}" for n, name in enumerate(licenses)]
    arguments = [*urls("\n".join(("url,license", *table))), "--license=commercial"]
    assert run(arguments)["outcomes"] == {
        "stored": 1,
        "other licence": 1,
        "unknown licence": 1,
    }
    assert main([*urls("/0"), "--license=commercial"]) == 1
    assert "Expected a column license or license_url" in capsys.readouterr().err


def test_pictures_of_several_labels_are_counted_once(
    paths: Paths, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    paths["/a"] = picture(1)
    found = Found(paths.address("/a"), ("sea", "sky"), "urls")
    for _ in range(2):
        collect([Source("x", [found])], tmp_path / "out", Web(allow_private=True))
    assert "Already in the folder: 1 picture." in caplog.text


def test_a_limit_holds_for_pictures_that_are_kept_elsewhere(
    paths: Paths, tmp_path: Path
) -> None:
    for number in range(3):
        paths[f"/{number}"] = picture(number)
    labels = (("sea",), ("sea", "sky"), ("sky",))
    found = [Found(paths.address(f"/{n}"), ls, "urls") for n, ls in enumerate(labels)]
    web = Web(allow_private=True)
    result = collect(
        [Source("x", found)], tmp_path / "out", web, limit=1, keep=lambda _: None
    )
    assert result.counts == {"sea": 1, "sky": 1}
    labels = [row["label"] for row in rows(tmp_path / "out" / "manifest.csv")]
    assert labels == ["sea", "sky"]


def test_a_query_is_searched_and_the_licence_kept(
    paths: Paths,
    run: Collect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import edgeclf.collecting.openverse as openverse

    for number in range(3):
        paths[f"/{number}.jpg"] = picture(number)
    results = [
        {
            "id": f"id-{number}",
            "url": paths.address(f"/{number}.jpg"),
            "license": "by-sa",
            "license_version": "4.0",
            "license_url": "https://creativecommons.org/licenses/by-sa/4.0/",
            "creator": "A. Name",
        }
        for number in range(3)
    ]
    answer = json.dumps({"results": results, "page_count": 1, "result_count": 3})

    def api(handler: hosting.Handler, _: bytes) -> None:
        hosting.saying(200, answer.encode())(handler, b"")

    monkeypatch.setattr(openverse, "URL", paths.address("/api"), raising=True)

    def normally(handler: hosting.Handler, content: bytes) -> None:
        is_api = handler.path.startswith("/api")
        (api if is_api else paths._behave)(handler, content)

    paths.server.normally = normally
    arguments = ["--query", "Gzhel=gzhel porcelain", "--source", "openverse"]
    arguments += ["--output", str(tmp_path / "out"), *QUICK, "--limit", "2"]
    assert run(arguments)["labels"] == {"Gzhel": 2}
    manifest = rows(tmp_path / "out" / "manifest.csv")
    assert [row["file"] for row in manifest] == [
        "Gzhel/openverse-id-0.jpg",
        "Gzhel/openverse-id-1.jpg",
    ]
    assert {row["author"] for row in manifest} == {"A. Name"}
    assert all("BY-SA" in row["license"].upper() for row in manifest)
