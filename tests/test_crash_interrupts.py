"""Ctrl-C at any moment: it ends within a second, and says how to go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import hosting
import misbehaving
import pytest
from killing import (
    KILLS,
    Ended,
    content_of,
    edgeclf,
    finished,
    half_written,
    leftovers,
    moments,
    started,
)
from misbehaving import Paths, picture
from work import WORKS, Work, World

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="asks Linux who handles a signal"
)

SECOND = 1.0
SLACK_S = 3.0  # beyond it, on a machine that does much else
TIMES = KILLS if KILLS > 4 else 1
PER_CLASS = 60 if KILLS > 4 else 20
LONGEST_S = 1.0  # moments are drawn within it, of what takes about as long
STAND_INS = Path(__file__).parent / "stand_ins"

# What is only looked at, and what begins again and again.
MORE = [
    Work("audit", lambda w, to: ["audit", w.photos, "--no_model", "--fail_on", "none"]),
    Work(
        "label_image",
        lambda w, to: ["label_image", "--model", w.model, "--image", w.photos],
    ),
    Work(
        "label_image by workers",
        lambda w, to: [
            *("label_image", "--model", w.model, "--image", w.photos, "--workers", 2)
        ],
    ),
    Work("embed", lambda w, to: ["embed", "--model", w.model, "--image", w.photos]),
    Work("doctor", lambda w, to: ["doctor", "--model", w.model], is_timed=True),
    Work("benchmark", lambda w, to: ["benchmark", w.model, "--runs", 2], is_timed=True),
    Work(
        "demo",
        lambda w, to: ["demo", "--per_class", 5, "--output", to / "demo"],
        is_timed=True,
    ),
]
# In the default run; with EDGECLF_KILLS=50 all are tried.
CHOSEN = {"audit to quarantine", "label_image --sort_into"}
ALL = [*WORKS, *MORE]
TRIED = [work for work in ALL if KILLS > 4 or work.name in CHOSEN]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"), PER_CLASS)


def takes_signals(process: subprocess.Popen[str]) -> bool:
    """Return whether a process has begun to see to signals, or has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            name, _, mask = line.partition(":")
            if name == "SigCgt":
                return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)
    return process.poll() is not None


def interrupted(
    command: list[str], after_s: float, number: int = signal.SIGINT, **options: object
) -> Ended:
    """Send a signal so many seconds after a command has begun to see to it."""
    process = started(command, **options)  # type: ignore[arg-type]
    try:
        while not takes_signals(process) and process.poll() is None:
            time.sleep(0.002)
        time.sleep(after_s)
        began = time.monotonic()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        stdout, stderr = process.communicate(timeout=60)
        return Ended(process.returncode, stdout, stderr, time.monotonic() - began)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def check_end(ended: Ended, number: int = signal.SIGINT) -> None:
    """It came in time, with one line that says how to go on."""
    word = "Interrupted" if number == signal.SIGINT else "Terminated"
    # -number: Python ends so after some interruptions; to a shell it is the same.
    assert ended.status in (128 + number, -number), ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if "error:" in line]
    assert len(lines) == 1, ended.stderr
    said = lines[0].rpartition("error: ")[2]
    assert said.startswith(f"{word}. ")
    assert "The same command" in said
    assert ended.after_s < SECOND + SLACK_S


def check_whole(folder: Path) -> None:
    """What was written is whole; vectors.json is lines of JSON, not one."""
    wholes = [name for name in half_written(folder) if "vectors.json:" not in name]
    assert wholes == []


def was_done(ended: Ended) -> bool:
    """Return whether the signal came when all was done: Python ends by it then."""
    return ended.status == 0 or (ended.status < 0 and "error: " not in ended.stderr)


@pytest.mark.parametrize("work", TRIED, ids=lambda work: work.name)
def test_an_interrupted_command_goes_on(
    work: Work, world: World, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    work.prepare(world, whole)
    undisturbed = finished(edgeclf(*work.arguments(world, whole)))
    assert undisturbed.status == 0, undisturbed.stderr
    num_interrupted = 0
    # The first moment is the very first that there is.
    for index, after_s in enumerate([0.0, *moments(TIMES - 1, 3, LONGEST_S)]):
        folder = tmp_path / f"out{index}"
        folder.mkdir()
        work.prepare(world, folder)
        number = signal.SIGTERM if index % 5 == 4 else signal.SIGINT
        command = edgeclf(*work.arguments(world, folder))
        ended = interrupted(command, after_s, number)
        if was_done(ended):
            continue
        num_interrupted += 1
        check_end(ended, number)
        check_whole(folder)
        again = finished(command)
        known = "that were added to it before" in again.stderr  # the class is there
        assert again.status == 0 or known, again.stderr
        assert sorted(content_of(folder)) == sorted(content_of(whole))
        assert leftovers(folder) == []
        if not work.is_timed:
            assert again.stdout.replace(str(folder), str(whole)) == undisturbed.stdout
    assert num_interrupted


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[Paths, list[str]]]:
    """A server with slow pictures, and the command that collects them."""
    with misbehaving.paths() as paths:
        for number in range(30):
            paths[f"/{number}"] = picture(number)
        paths["/20"] = [hosting.silent]
        paths.delay_s = 0.05
        urls = tmp_path / "urls.txt"
        urls.write_text("\n".join(paths.address(f"/{n}") for n in range(30)))
        yield (
            paths,
            edgeclf(
                *(
                    "collect",
                    "--urls",
                    urls,
                    "--output",
                    tmp_path / "out",
                    "--label",
                    "a",
                ),
                *(
                    "--allow_private",
                    "--timeout",
                    20,
                    "--per_host",
                    4,
                    "--backoff",
                    0.01,
                ),
            ),
        )


def test_an_interrupted_collection_goes_on(
    slow: tuple[Paths, list[str]], tmp_path: Path
) -> None:
    paths, command = slow
    for after_s in [0.0, *moments(max(1, TIMES - 1), 4, 1.5)]:
        check_end(interrupted(command, after_s))
    paths["/20"] = [hosting.serve]
    ended = finished([*command, "--json"])
    assert ended.status == 0, ended.stderr
    assert json.loads(ended.stdout)["labels"] == {"a": 30}
    assert leftovers(tmp_path / "out") == []


def test_a_camera_ends_with_a_moment_of_grace(world: World, tmp_path: Path) -> None:
    frames = sorted(world.photos.rglob("*.png"))[:3]
    env = {
        "PYTHONPATH": os.pathsep.join(
            [str(STAND_INS), os.environ.get("PYTHONPATH", "")]
        ),
        "PICTURES": os.pathsep.join(map(str, frames)),
        "AT_THE_END": "repeat",
    }
    command = edgeclf(
        *("label_image", "--model", world.model, "--camera", 0, "--every", 0.05),
        *("--sort_into", tmp_path / "sorted"),
    )
    ended = interrupted(command, 0.7, env=env)
    assert ended.status == 0, ended.stderr  # the usual end of it
    assert "Traceback" not in ended.stderr
    assert ended.after_s < SECOND + SLACK_S
    check_whole(tmp_path / "sorted")
    assert len(ended.stdout.splitlines()) > 1
