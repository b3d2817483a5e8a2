"""A full disk, and one that cannot be written to: a sentence, and nothing is lost.

Disks are mounted for it, in memory, which takes root; elsewhere this is left out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from disks import Disk, mounted
from killing import KILLS, content_of, half_written, leftovers
from work import WORKS, Work, World

from edgeclf.__main__ import main

FILLER = ("filler",)
MOST_LEFT = 40_000  # bytes: about as much as all outputs here

Run = Callable[[Work, Path], tuple[int, str]]
many_times = pytest.mark.skipif(KILLS <= 4, reason="takes long: EDGECLF_KILLS=50")
every_work = pytest.mark.parametrize("work", WORKS, ids=lambda work: work.name)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def run(world: World, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that writes to a folder; return its status and stderr."""

    def call(work: Work, to: Path) -> tuple[int, str]:
        status = main([str(each) for each in work.arguments(world, to)])
        return status, capsys.readouterr().err

    return call


def check_whole(folder: Path, before: dict[str, str]) -> None:
    """Whatever was there is there as it was, and nothing is half there."""
    now = content_of(folder, FILLER)
    assert {name: now.get(name) for name in before} == before
    assert leftovers(folder) == []
    wholes = [name for name in half_written(folder) if "vectors.json:" not in name]
    assert wholes == []  # (those are lines of JSON, not one)


@every_work
def test_a_read_only_disk_is_a_sentence(
    work: Work, disk: Disk, world: World, run: Run
) -> None:
    work.prepare(world, disk.folder)
    before = content_of(disk.folder)
    disk.be_read_only()
    status, said = run(work, disk.folder)
    assert (status, "Traceback" in said) == (work.read_only[0], False), said
    assert work.read_only[1] in said
    assert str(disk.folder) in said
    assert content_of(disk.folder) == before
    disk.be_writable()
    assert run(work, disk.folder)[0] == 0


@every_work
def test_a_full_disk_is_a_sentence(
    work: Work, disk: Disk, world: World, run: Run
) -> None:
    work.prepare(world, disk.folder)
    before = content_of(disk.folder)
    disk.fill()
    status, said = run(work, disk.folder)
    assert (status, "Traceback" in said) == (work.full[0], False), said
    assert work.full[1] in said
    if status:
        assert f"{disk.folder}/" in said
        check_whole(disk.folder, before)
    disk.make_room()
    assert run(work, disk.folder)[0] == 0

    # What is there by now stays when there is no room for another one.
    before = content_of(disk.folder)
    disk.fill()
    run(work, disk.folder)
    check_whole(disk.folder, {k: v for k, v in before.items() if ".sqlite" not in k})


@many_times
@every_work
def test_a_disk_that_fills_up_is_a_sentence(
    work: Work, tmp_path: Path, world: World, run: Run
) -> None:
    left = random.Random(work.name)  # noqa: S311 - no secret
    for number in range(max(1, KILLS // 4)):
        with mounted(tmp_path / f"disk{number}") as disk:
            work.prepare(world, disk.folder)
            before = content_of(disk.folder)
            disk.fill(but_bytes=left.randrange(MOST_LEFT))
            status, said = run(work, disk.folder)
            assert "Traceback" not in said
            if status:
                assert work.full[1] in said
                check_whole(disk.folder, before if "in place" not in work.name else {})
            disk.make_room()
            if not (status == 0 and "in place" in work.name):
                assert run(work, disk.folder)[0] == 0
