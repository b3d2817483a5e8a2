"""A server that teaches, killed at any moment: what it has answered stays true."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import tiny
from killing import KILLS, content_of, half_written, leftovers, moments
from teaching import Teacher, jpeg
from test_teach_training import children, is_alive, wait_until
from web_server import WebServer

TIMES = KILLS if KILLS > 4 else 1  # each takes seconds
SLACK_S = 3.0  # on a machine that does much else
SIGNALS = [signal.SIGINT, signal.SIGTERM][: 2 if KILLS > 4 else 1]
WHOM = ("both", "child", "server")
BATCHES, BATCH = 6, 4
OURS = ".edgeclf"


class GoneError(Exception):
    """The server was killed while it was asked."""


class Script:
    """What somebody does in the workshop, step by step; each can be done again.

    Attributes:
        at: The step that comes next: those before were answered.
        answered: Name of each picture that the server has said to have, with its class.
    """

    def __init__(self) -> None:
        self.at = 0
        self.answered: dict[str, str] = {}
        self.steps: list[Callable[[Teacher], object]] = [self._make]
        self.steps += [
            lambda teacher, color=color: self._ask(
                teacher, "POST", "/P/classes", (201, 409), json={"name": color}
            )
            for color in ("red", "blue", "gone")
        ]
        for number in range(BATCHES):
            for color in ("red", "blue"):
                self.steps.append(
                    lambda teacher, color=color, number=number: self._add(
                        teacher, color, number
                    )
                )
        self.steps += [
            lambda teacher: self._add(teacher, "gone", 0),
            self._train,
            self._rename,
            self._delete_picture,
            self._delete_class,
            self._train,
        ]

    def go_on(self, teacher: Teacher) -> None:
        """Do what is left to do.

        Raises:
            GoneError: The server went.
        """
        try:
            while self.at < len(self.steps):
                self.steps[self.at](teacher)
                self.at += 1
        except (httpx.HTTPError, OSError) as error:
            raise GoneError from error

    def _ask(
        self,
        teacher: Teacher,
        method: str,
        path: str,
        expected: tuple[int, ...],
        **more: Any,
    ) -> httpx.Response:
        answer = teacher.call(method, path, **more)
        assert answer.status_code in expected, answer.text
        return answer

    def _make(self, teacher: Teacher) -> None:
        self._ask(teacher, "POST", "", (201, 409), json={"name": "P"})

    def _add(self, teacher: Teacher, color: str, number: int) -> None:
        contents = [
            jpeg(color, seed) for seed in range(BATCH * number, BATCH * (number + 1))
        ]
        rows = teacher.post_pictures("P", color, contents)
        assert rows.status_code == 200, rows.text
        listed = teacher.get("/P?all=1")["classes"]
        self.answered |= {
            picture["name"]: entry["name"]
            for entry in listed
            for picture in entry["pictures"]
        }

    def _train(self, teacher: Teacher) -> None:
        begun = teacher.call("POST", "/P/training", json={})
        assert begun.status_code in (202, 409), begun.text
        status = teacher.wait("P")
        if status["state"] == "failed" and "ended the training" in status["message"]:
            raise GoneError
        assert status["state"] == "done", status

    def _rename(self, teacher: Teacher) -> None:
        self._ask(teacher, "PATCH", "/P/classes/red", (200, 404), json={"name": "Rot"})
        self.answered = {
            name: "Rot" if label == "red" else label
            for name, label in self.answered.items()
        }

    def _delete_picture(self, teacher: Teacher) -> None:
        name = min(name for name, label in self.answered.items() if label == "blue")
        picture = name.partition(".")[0]
        self._ask(teacher, "DELETE", f"/P/classes/blue/pictures/{picture}", (204, 404))

    def _delete_class(self, teacher: Teacher) -> None:
        self._ask(teacher, "DELETE", "/P/classes/gone", (204, 404))


def serving(folder: Path) -> WebServer:
    backbone = folder.parent / "backbone.tflite"
    if not backbone.exists():
        backbone.write_bytes(tiny.backbone_file())
    server = WebServer("--teach", folder, "--architecture", backbone)
    server.wait_for_start()
    assert server.url, server.log()
    return server


def follow(server: WebServer, script: Script) -> None:
    teacher = Teacher(server)
    with teacher.client:
        script.go_on(teacher)


def pictures(project: Path) -> dict[str, str]:
    return content_of(project, (f"{OURS}/*",))


def model_of(project: Path) -> bytes:
    current = (project / OURS / "current").read_text().strip()
    return (project / OURS / current / "model.tflite").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, str], bytes, float]:
    """What the script comes to, and how long it takes."""
    folder = tmp_path_factory.mktemp("undisturbed") / "projects"
    server = serving(folder)
    began = time.monotonic()
    follow(server, Script())
    took_s = time.monotonic() - began
    assert server.end() == 0
    return pictures(folder / "P"), model_of(folder / "P"), took_s


def check_left(folder: Path, script: Script) -> None:
    """What a kill leaves: nothing half, and no picture lost or twice."""
    project = folder / "P"
    if not project.exists():
        assert script.at == 0
        return
    assert [name for name in half_written(project) if "/run-" not in name] == []
    current = project / OURS / "current"
    if current.exists():
        run = project / OURS / current.read_text().strip()
        assert half_written(run) == []
        assert (run / "model.tflite").exists()
    there = pictures(project)
    names = [Path(name).name for name in there]
    assert len(names) == len(set(names))
    if script.at < len(script.steps) - 3:  # nothing is deleted yet
        assert script.answered.keys() <= set(names)


def test_killed_anywhere_and_gone_on_with_is_the_same(
    undisturbed: tuple[dict[str, str], bytes, float], tmp_path: Path
) -> None:
    wanted, model, took_s = undisturbed
    for number, after_s in enumerate(moments(TIMES, 1, took_s)):
        whom = WHOM[number % len(WHOM)]
        folder = tmp_path / f"projects{number}"
        script, server = Script(), serving(folder)
        killer = threading.Timer(after_s, kill, (server, whom))
        killer.start()
        with suppress(GoneError):
            follow(server, script)
        killer.join()
        if whom != "child":
            server.process.wait()
            check_left(folder, script)
            assert "Traceback" not in server.log()
            server = serving(folder)
            assert leftovers(folder) == []
        follow(server, script)
        assert server.end() == 0
        assert "Traceback" not in server.log()
        assert pictures(folder / "P") == wanted, f"{whom} killed after {after_s} s"
        assert model_of(folder / "P") == model
        assert leftovers(folder) == []
        shutil.rmtree(folder)


def kill(server: WebServer, whom: str) -> None:
    """End the server, its training process, or both, without a word."""
    below = children(server.process.pid)
    if whom != "child":
        server.process.kill()
    if whom != "server":
        for pid in below:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_server_ends_within_a_second(
    number: signal.Signals, tmp_path: Path
) -> None:
    folder = tmp_path / "projects"
    server = serving(folder)
    teacher = Teacher(server)
    with teacher.client:
        teacher.make("P", {"red": 12, "blue": 12})
        teacher.call("POST", "/P/training", json={}).raise_for_status()
        wait_until(lambda: children(server.process.pid))
        (below,) = children(server.process.pid)
        began = time.monotonic()
        assert server.end(number) == (130 if number == signal.SIGINT else 0)
        took_s = time.monotonic() - began
    assert not is_alive(below)
    assert took_s < 1 + SLACK_S
    if number == signal.SIGINT:
        assert server.log().count("Stopped. Pictures and models stay.") == 1
        assert "a training that was under way is to be begun again" in server.log()
    assert "Traceback" not in server.log()
    server = serving(folder)
    teacher = Teacher(server)
    with teacher.client:
        status = teacher.get("/P/training")
        assert status["state"] in ("failed", "done")
        assert teacher.train("P")["state"] == "done"
    assert server.end() == 0
