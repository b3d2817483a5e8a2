"""`edgeclf collect` killed at any moment, and gone on with: as if nothing had been."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hosting
import misbehaving
import pytest
import tag_data
import tiny
from disks import mounted
from killing import (
    KILLS,
    Ended,
    content_of,
    edgeclf,
    finished,
    half_written,
    killed,
    leftovers,
    moments,
)
from misbehaving import Paths, encoded, picture, scene
from tag_tables import write_unsplash

TIMES = KILLS if KILLS > 4 else 1
KINDS = ["urls", "query", "no_store"][: 3 if KILLS > 4 else 1]  # each takes seconds
COUNT = 40
QUICK = ["--allow_private", "--attempts", "2", "--backoff", "0.01", "--workers", "4"]
QUICK += ["--per_host", "4", "--timeout", "20"]


class Kind(NamedTuple):
    """A way to collect.

    Attributes:
        command: Of the folder that is collected into.
        env: Its variables.
    """

    command: Callable[[Path], list[str]]
    env: dict[str, str]


@pytest.fixture(scope="module")
def paths() -> Iterator[Paths]:
    """Pictures, copies of some, and some that are not there."""
    with misbehaving.paths() as running:
        for number in range(COUNT):
            running[f"/{number}"] = picture(number)
        running["/7"] = picture(1)
        running["/8"] = encoded(scene(2, (100, 75)), quality=60)
        running["/9"] = [hosting.status(404)]
        running["/10"] = b"<html></html>"
        running.delay_s = 0.02
        yield running


@pytest.fixture(scope="module")
def kinds(paths: Paths, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    folder = tmp_path_factory.mktemp("lists")
    table = folder / "urls.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("url", "label"))
        for number in range(COUNT):
            label = "both" if number % 5 == 0 else ("sea", "sky")[number % 2]
            rows.writerow((paths.address(f"/{number}"), label))
            if label == "both":
                rows.writerow((paths.address(f"/{number}"), "sea"))
    results = [
        {"id": f"id-{number}", "url": paths.address(f"/{number}"), "license": "cc0"}
        for number in range(COUNT)
    ]
    page = {"results": results, "page_count": 1, "result_count": COUNT}
    answer = hosting.saying(200, json.dumps(page).encode())
    behave = paths.server.normally

    def normally(handler: hosting.Handler, content: bytes) -> None:
        asked = answer if handler.path.startswith("/api") else behave
        asked(handler, content)

    paths.server.normally = normally
    query = ["--query", "Gzhel=gzhel", "--source", "openverse", "--limit", "25"]
    service = {"EDGECLF_OPENVERSE_URL": paths.address("/api")}

    def listed(output: Path) -> list[str]:
        return edgeclf("collect", "--urls", table, "--output", output, *QUICK)

    def searched(output: Path) -> list[str]:
        return edgeclf("collect", *query, "--output", output, *QUICK)

    tables = unsplash_tables(paths, folder)
    backbone = folder / "tiny.tflite"
    backbone.write_bytes(tiny.backbone_file())

    def not_stored(output: Path) -> list[str]:
        return edgeclf(
            *("collect", "--unsplash", tables, "--no_store", "--views", "2"),
            *("--output", output, "--architecture", backbone),
            *("--bottleneck_dir", output / "bottlenecks", *QUICK),
        )

    return {
        "urls": Kind(listed, {}),
        "query": Kind(searched, service),
        "no_store": Kind(not_stored, {}),
    }


def unsplash_tables(paths: Paths, folder: Path) -> Path:
    """Tables of photos that the server has."""
    pictures = folder / "pictures"
    tag_data.write_pictures(pictures, COUNT)
    rows, addresses = [], {}
    for number in range(COUNT):
        photo = f"photo{number:03}"
        content = (pictures / f"{number:03}.png").read_bytes()
        # What `edgeclf.collecting.unsplash.resized` asks a server for.
        paths[f"/{photo}?w=128&h=128&fit=max&fm=jpg&q=85"] = content
        rows += [(photo, tag, "", "", "t") for tag in tag_data.tags_of(number)]
        addresses[photo] = paths.address(f"/{photo}")
    return write_unsplash(folder / "tables", addresses, rows)


def run(kind: Kind, output: Path) -> Ended:
    return finished(kind.command(output), env=kind.env)


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return sorted(csv.DictReader(file), key=lambda row: (row["file"], row["url"]))


def outcome(output: Path) -> dict[str, Any]:
    """Return all that a run has come to, whatever the order it was written in."""
    failures = (output / "failures.csv").read_text("utf-8").splitlines()
    found: dict[str, Any] = {
        "pictures": content_of(output, ("*.csv", ".collect/*", "bottlenecks/*")),
        "manifest": rows_of(output),
        "failures": failures,
        "spool": (output / ".collect" / "spool").exists(),
    }
    cache = output / "bottlenecks" / "bottlenecks.sqlite"
    if cache.exists():
        with contextlib.closing(sqlite3.connect(cache)) as connection:
            entries = connection.execute("SELECT key, checksum FROM entries")
            found["cache"] = sorted(entries)
    return found


def check_half(output: Path) -> None:
    """What a kill leaves: no half picture, and a row for none that is not there."""
    if not output.exists():
        return
    assert [name for name in half_written(output) if "/.collect/" not in name] == []
    if (output / "manifest.csv").exists():
        named = [row["file"] for row in rows_of(output) if row["bytes"]]
        assert all((output / name).is_file() for name in named if name)
        assert all(count == 1 for name, count in Counter(named).items() if name)


@pytest.mark.parametrize("name", KINDS)
def test_killed_anywhere_and_gone_on_with_is_the_same(
    name: str, kinds: dict[str, Kind], tmp_path: Path
) -> None:
    kind = kinds[name]
    undisturbed = tmp_path / "undisturbed"
    began = time.monotonic()
    assert run(kind, undisturbed).status == 0
    took_s = time.monotonic() - began
    wanted = outcome(undisturbed)
    assert len(wanted["manifest"]) > 20
    num_killed = 0
    for number, after_s in enumerate(moments(TIMES, len(name), took_s)):
        output = tmp_path / f"out{number}"
        ended = killed(kind.command(output), after_s, env=kind.env)
        num_killed += ended.was_killed
        check_half(output)
        again = run(kind, output)
        assert again.status == 0, again.stderr
        assert outcome(output) == wanted, f"killed after {after_s} s"
        assert leftovers(output) == []
        shutil.rmtree(output)
    assert num_killed


@pytest.mark.skipif(KILLS <= 4, reason="takes long: EDGECLF_KILLS=50")
def test_killed_again_and_again_it_gets_there(
    kinds: dict[str, Kind], paths: Paths, tmp_path: Path
) -> None:
    kind, output = kinds["urls"], tmp_path / "out"
    paths.asked.clear()
    kills = max(2, TIMES)
    for after_s in moments(kills, 5, 0.6):
        killed(kind.command(output), 0.4 + after_s, env=kind.env)
        check_half(output)
    assert run(kind, output).status == 0
    # Asked again are those that were on their way at a kill, and no others.
    asked = {path: count for path, count in paths.asked.items() if count > 1}
    asked.pop("/9", None)
    assert sum(count - 1 for count in asked.values()) <= 8 * kills
    clean = tmp_path / "clean"
    assert run(kind, clean).status == 0
    assert outcome(output) == outcome(clean)


@pytest.mark.parametrize("name", KINDS)
def test_a_disk_that_fills_up_or_is_read_only_is_a_sentence(
    name: str, kinds: dict[str, Kind], tmp_path: Path
) -> None:
    kind = kinds[name]
    undisturbed = tmp_path / "undisturbed"
    assert run(kind, undisturbed).status == 0
    wanted = outcome(undisturbed)
    with mounted(tmp_path / "disk", 2 << 20) as disk:
        output = disk.folder / "out"
        for left in (0, 8_192, 30_000):
            disk.fill(but_bytes=left)
            ended = run(kind, output)
            assert ended.status == 1, ended.stderr
            assert re.search("No space left|disk is full", ended.stderr)
            assert "Traceback" not in ended.stderr
            check_half(output)
            disk.make_room()
        disk.be_read_only()
        ended = run(kind, output)
        assert (ended.status, "Traceback" in ended.stderr) == (1, False)
        assert re.search("Read-only file system|cannot be written", ended.stderr)
        disk.be_writable()
        again = run(kind, output)
        assert again.status == 0, again.stderr
        assert outcome(output) == wanted
        assert leftovers(output) == []
