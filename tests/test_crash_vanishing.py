"""Pictures and folders that vanish or change while a command reads them: a sentence."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from killing import KILLS, files_below, half_written, leftovers
from work import WORKS, Work, World

from edgeclf.__main__ import main

READERS = [
    work
    for work in WORKS
    if work.name.partition(" ")[0] not in ("export",)
    and work.name not in ("audit of a disk", "embed into csv", "embed into json")
]
# In the default run.
CHOSEN = {
    *("evaluate", "audit to quarantine", "compare", "prepare_data"),
    *("label_image --sort_into", "add_class to another file"),
}
TIMES = KILLS if KILLS > 4 else 1
PER_CLASS = 40

Meddle = Callable[[Path], object]


def vanish(path: Path) -> None:
    path.unlink()


def be_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def be_another(path: Path) -> None:
    path.write_bytes(path.with_name("zz.png").read_bytes())


def lose_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


MEDDLING: list[Meddle] = [vanish, be_cut, be_another, lose_folder]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"), PER_CLASS)


@contextmanager
def meddling(folder: Path, meddle: Meddle, seed: int) -> Iterator[None]:
    """Meddle with the pictures of a folder, in any order, while the block runs."""
    paths = sorted(folder.rglob("*.*"))
    random.Random(seed).shuffle(paths)  # noqa: S311 - no secret
    for path in {path.parent for path in paths}:
        shutil.copyfile(paths[0], path / "zz.png")
    ended = threading.Event()

    def run() -> None:
        for path in paths[: len(paths) // 2]:
            with suppress(OSError):
                meddle(path)
            if ended.wait(0.002):
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    ("work", "meddle"),
    [
        pytest.param(work, meddle, id=f"{work.name}, {meddle.__name__}")
        for number, work in enumerate(READERS)
        for place, meddle in enumerate(MEDDLING)
        if KILLS > 4 or (number % len(MEDDLING) == place and work.name in CHOSEN)
    ],
)
def test_what_vanishes_or_changes_is_a_sentence(
    work: Work,
    meddle: Meddle,
    world: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for seed in range(TIMES):
        to = tmp_path / f"out{seed}"
        to.mkdir()
        work.prepare(world, to)
        arguments = [str(each) for each in work.arguments(world, to)]
        # What is read is a copy that nobody else needs.
        for folder in (world.photos, world.folder / "messy", world.few):
            copy = tmp_path / f"{folder.name}{seed}"
            if folder.exists():
                shutil.copytree(folder, copy)
            arguments = [text.replace(str(folder), str(copy)) for text in arguments]
        read = tmp_path / f"photos{seed}"
        if f"{tmp_path}/messy{seed}" in arguments:
            read = tmp_path / f"messy{seed}"
        with meddling(read, meddle, seed):
            status = main(arguments)
        said = capsys.readouterr().err
        assert status in (0, 1)
        if status:
            assert "error: " in said or "Not moved" in said
        assert leftovers(to) == []
        if "quarantine" in work.name:  # that is where pictures go that are cut
            continue
        # A copy may be whole of a picture that was cut before it was copied.
        cut = {path.read_bytes() for path in files_below(read)}
        halves = [Path(line.partition(": ")[0]) for line in half_written(to)]
        assert [path for path in halves if path.read_bytes() not in cut] == []
