"""Trainings through the web app: ended, queued, killed, begun again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from disks import mounted
from teaching import Teacher, jpeg, teaching
from web_server import refused, serving

from edgeclf.data.folders import read_folder
from edgeclf.web.teach import child
from edgeclf.web.teach.project import Project
from edgeclf.web.teach.training import Trainer

MANY = {"red": 40, "blue": 40}


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    done = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(line) for line in done.stdout.split()]


def wait_until(is_so: Callable[[], object], timeout_s: float = 10) -> None:
    end_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end_s, "it took too long"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def fill(project: Path, classes: dict[str, int]) -> None:
    for label, count in classes.items():
        (project / label).mkdir(parents=True)
        for seed in range(count):
            (project / label / f"{seed}.jpg").write_bytes(jpeg(label, seed))


def test_cancelled_queued_and_under_way(tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    fill(folder / "Large", MANY)
    fill(folder / "Small", {"red": 4, "blue": 4})
    with teaching(folder) as teacher:
        assert teacher.call("POST", "/Large/training", json={}).status_code == 202
        queued = teacher.call("POST", "/Small/training", json={}).json()
        assert (queued["state"], queued["result"]) == ("queued", None)
        assert "1 other" in queued["message"]
        again = teacher.call("POST", "/Large/training", json={})
        assert again.status_code == 409
        assert again.json()["training"]["state"] == "running"
        assert teacher.call("DELETE", "/Large/training").status_code == 204
        assert teacher.get("/Large/training")["state"] == "cancelled"
        assert teacher.get("/Large")["model"] is None
        assert teacher.call("DELETE", "/Large/training").status_code == 404
        assert teacher.wait("Small")["state"] == "done"
        assert list((folder / "Large" / ".edgeclf").glob("run-*")) == []
        # While it trains, everything may change; the model is of what was there.
        teacher.call("POST", "/Large/training", json={})
        renamed = teacher.call("PATCH", "/Large/classes/red", json={"name": "rot"})
        assert renamed.status_code == 200
        assert teacher.call("DELETE", "/Large/classes/blue").status_code == 204
        status = teacher.wait("Large")
        assert status["state"] == "done", status
        assert status["result"]["labels"] == ["blue", "red"]
        assert not teacher.get("/Large")["model"]["is_current"]


def test_the_model_in_use_stays_until_another_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    fill(folder / "P", {"red": 6, "blue": 6})
    with teaching(folder) as teacher:
        teacher.train("P")
        old = teacher.call("GET", "/P/model.tflite").content
        teacher.call("POST", "/P/classes", json={"name": "green"})
        teacher.add("P", "green", [jpeg("green", seed) for seed in range(6)])
        failures: list[str] = []
        ended = threading.Event()

        def classify() -> None:
            with httpx.Client(base_url=teacher.client.base_url, timeout=30) as client:
                while not ended.is_set():
                    path = "/projects/P/classify"
                    answer = client.post(path, files={"image": jpeg("red", 99)})
                    if answer.status_code != 200:
                        failures.append(answer.text)

        thread = threading.Thread(target=classify)
        thread.start()
        status = teacher.train("P")
        ended.set()
        thread.join()
        assert status["state"] == "done"
        assert not failures
        new = teacher.call("GET", "/P/model.tflite").content
        assert new != old
        answer = teacher.call("POST", "/P/classify", files={"image": jpeg("green", 9)})
        assert answer.json()["results"][0]["categories"][0]["label"] == "green"
        (run,) = (folder / "P" / ".edgeclf").glob("run-*")
        assert not (run / "pictures").exists()
    with teaching(folder) as teacher:  # a restart loses nothing
        assert teacher.get("/P")["model"]["is_current"]
        assert teacher.get("/P/training")["state"] == "done"
        assert teacher.call("GET", "/P/model.tflite").content == new


def test_what_a_model_came_to_stays_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    fill(folder / "P", MANY)
    with teaching(folder) as teacher:
        result = teacher.train("P")["result"]
        assert result["confusion_matrix"]
        assert teacher.get("/P")["model"]["result"] == result
        teacher.call("POST", "/P/training", json={})
        assert teacher.call("DELETE", "/P/training").status_code == 204
        assert teacher.get("/P/training")["result"] is None
        assert teacher.get("/P")["model"]["result"] == result
        assert teacher.get("")["is_single"] is False
    with teaching(folder) as teacher:
        assert teacher.get("/P")["training"]["state"] == "cancelled"
        assert teacher.get("/P")["model"]["result"] == result


def test_why_a_training_failed_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    with teaching(folder) as teacher:
        teacher.make("My P", {"red": 2, "of blue": 0, "single": 1})
        teacher.add("My P", "of blue", [jpeg("red", seed) for seed in range(2)])
        status = teacher.train("My P")
        assert status["state"] == "failed"
        assert status["message"] == (
            "Expected at least two classes with usable pictures in My P. Received: "
            "none. Class single has 1 picture only and is left out: add more to it. "
            "The same picture stands in several classes, all copies left out: a "
            "picture in of blue, a picture in red. Class of blue has no usable "
            "picture: left out. And 1 more."
        )
        # A class of one picture holds nothing else up.
        teacher.make("Q", {"red": 2, "blue": 2, "single": 1})
        broken = jpeg("red", 7)[:-300]
        (folder / "Q" / "red" / f"{'a' * 24}.jpg").write_bytes(broken)
        status = teacher.train("Q")
        assert status["state"] == "done", status
        assert status["result"]["labels"] == ["blue", "red"]
        assert "single has 1 picture only" in status["message"]
        assert "Left out a picture in red: " in status["message"]
        assert "aaaa" not in status["message"]
        assert teacher.get("/Q")["model"]["is_current"]


@pytest.mark.parametrize("after_s", [0.05, 1.0])
def test_killed_while_training(tmp_path: Path, after_s: float) -> None:
    folder = tmp_path / "projects"
    fill(folder / "P", MANY)
    with teaching(folder) as teacher:
        teacher.call("POST", "/P/training", json={})
        time.sleep(after_s)
        below = children(teacher.server.process.pid)
        assert below
        teacher.server.process.kill()
        teacher.server.process.wait()
        wait_until(lambda: not any(map(is_alive, below)))
    with teaching(folder) as teacher:
        status = teacher.get("/P/training")
        assert status["state"] in ("failed", "done")
        if status["state"] == "failed":
            assert "interrupted" in status["message"]
            assert not list((folder / "P" / ".edgeclf").glob("run-*"))
        assert teacher.train("P")["state"] == "done"
    assert len(read_folder(folder / "P")) == 80


def test_killed_right_after_training(tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    fill(folder / "P", {"red": 12, "blue": 12})
    with teaching(folder) as teacher:
        done = teacher.train("P")
    ours = folder / "P" / ".edgeclf"
    # As a kill leaves it between the model's publication and the word of it.
    run = (ours / "current").read_text().strip()
    for name, state in ((run, "done"), ("run-another", "failed")):
        running = {"state": "running", "message": "Learning.", "run": name}
        (ours / "status.json").write_text(json.dumps(running))
        with teaching(folder) as teacher:
            status = teacher.get("/P/training")
            assert status["state"] == state
            assert (status["result"] == done["result"]) == (state == "done")
    assert "interrupted" in status["message"]


def test_dates_of_any_year(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:  # others keep no such dates
        folder = disk.folder / "projects"
        fill(folder / "P", {"red": 2})
        paths = sorted((folder / "P" / "red").iterdir())
        for path, date_s in zip(paths, (-(10**10), 10**12), strict=True):
            os.utime(path, (date_s, date_s))
        with teaching(folder) as teacher:
            (project,) = teacher.get("")["projects"]
            assert project["modified"].startswith("9999")
            assert teacher.get("/P")["num_pictures"] == 2


def test_a_training_that_crashes_is_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    fill(folder / "P", MANY)
    with teaching(folder) as teacher:
        teacher.call("POST", "/P/training", json={})
        wait_until(lambda: children(teacher.server.process.pid))
        (pid,) = children(teacher.server.process.pid)
        os.kill(pid, signal.SIGKILL)
        status = teacher.wait("P")
        assert status["state"] == "failed"
        assert "memory" in status["message"]
        assert teacher.train("P")["state"] == "done"


SAYS_HALF = """
import os, signal
print('{"event": "prog', end="", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
GOES_ONCE = """
import pathlib, sys
if not pathlib.Path("gone").exists():
    pathlib.Path("gone").touch()
    sys.exit()
print('{"event": "failed", "message": "The second has heard it."}', flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("source", "said"), [(SAYS_HALF, "memory"), (GOES_ONCE, "second")]
)
def test_a_process_that_goes_leaves_no_training_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    (tmp_path / "goes_away.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(child, "_MODULE", "goes_away")
    fill(tmp_path / "P", {"red": 2, "blue": 2})
    project = Project(tmp_path / "P")
    trainer = Trainer(None, lambda project: None)
    trainer.start(project)
    wait_until(lambda: (trainer.status(project) or {})["state"] == "failed")
    assert said in (trainer.status(project) or {})["message"]
    trainer.close()


def test_files_whose_names_are_not_text(tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    fill(folder / "P", {"red": 12, "blue": 12})
    for seed in range(12):  # some are held out, and not taken for blue
        odd = os.fsencode(folder / "P" / "blue") + b"/\xff%d.jpg" % seed
        Path(os.fsdecode(odd)).write_bytes(jpeg("red", 100 + seed))
    odd = os.fsencode(folder / "P" / "red") + b"/\xfe.jpg"
    Path(os.fsdecode(odd)).write_bytes(b"no picture")
    with teaching(folder) as teacher:
        status = teacher.train("P")
        assert status["state"] == "done"
        assert "\ufffd.jpg" in status["message"]
        wrong = [row for row in status["result"]["misclassified"] if row["label"]]
        assert any("\ufffd" in row["name"] for row in wrong)
        for row in wrong:
            path = f"/P/classes/{row['label']}/pictures/{row['id']}"
            assert teacher.call("GET", path).status_code == 200
        assert teacher.get("/P")["training"]["state"] == "done"


def test_killed_while_pictures_are_added(tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    fill(folder / "P", {"red": 2, "blue": 2})
    answered: set[str] = set()
    with teaching(folder) as teacher:

        def add(start: int) -> None:
            with httpx.Client(base_url=teacher.client.base_url, timeout=30) as client:
                mine = Teacher.__new__(Teacher)
                mine.server, mine.client = teacher.server, client
                for seed in range(start, start + 1000):
                    try:
                        added = mine.add("P", "red", [jpeg("red", seed)])["added"]
                    except httpx.HTTPError:
                        return
                    answered.update(row["name"] for row in added)

        threads = [threading.Thread(target=add, args=(at,)) for at in (1000, 3000)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answered) > 10)
        teacher.server.process.kill()
        for thread in threads:
            thread.join()
    # What a kill in the midst of writing leaves is passed over, and then removed.
    left = folder / "P" / "red" / ".abc.jpg.x.part"
    left.write_bytes(b"half")
    names = {example.path.name for example in read_folder(folder / "P")}
    assert answered <= names
    with teaching(folder) as teacher:
        assert not left.exists()
        listed = teacher.get("/P?all=1")["classes"][1]["pictures"]
        assert answered <= {row["name"] for row in listed}
        assert teacher.train("P")["state"] == "done"


def test_a_full_disk_is_a_problem(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 6 << 20) as disk:
        folder = disk.folder / "projects"
        with teaching(folder) as teacher:
            teacher.make("P", {"red": 2, "blue": 2})
            disk.fill()
            answer = teacher.post_pictures("P", "red", [jpeg("red", 50)])
            assert answer.status_code == 507, answer.text
            assert "full" in answer.json()["detail"]
            begun = teacher.call("POST", "/P/training", json={})
            assert begun.status_code in (202, 507)
            if begun.status_code == 202:
                assert teacher.wait("P")["state"] == "failed"
            disk.make_room()
            assert [*(folder / "P" / "red").glob(".*")] == []
            assert len(teacher.add("P", "red", [jpeg("red", 50)])["added"]) == 1
            assert teacher.train("P")["state"] == "done"


def test_a_read_only_disk_is_a_problem(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 6 << 20) as disk:
        folder = disk.folder / "projects"
        with teaching(folder) as teacher:
            teacher.make("P", {"red": 2, "blue": 2})
            disk.be_read_only()
            answers = [
                teacher.post_pictures("P", "red", [jpeg("red", 50)]),
                teacher.call("PATCH", "/P/classes/red", json={"name": "Rot"}),
                teacher.call("DELETE", "/P/classes/red"),
                teacher.call("POST", "", json={"name": "Q"}),
            ]
            for answer in answers:
                assert answer.status_code == 500, answer.text
                assert "read-only" in answer.json()["detail"].lower()
            begun = teacher.call("POST", "/P/training", json={})
            if begun.status_code == 202:
                assert teacher.wait("P")["state"] == "failed"
            assert teacher.get("/P")["num_pictures"] == 4
            disk.be_writable()
            assert len(teacher.add("P", "red", [jpeg("red", 50)])["added"]) == 1
            assert teacher.train("P")["state"] == "done"
            assert "Traceback" not in teacher.server.log()
        disk.be_read_only()
        said = refused("--teach", folder)
        assert said.returncode == 1
        assert "Read-only file system" in said.stderr


def test_without_a_network_the_bundled_backbone_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    fill(folder / "P", {"red": 1, "blue": 1})
    nowhere = {"EDGECLF_MIRROR": "http://127.0.0.1:9", "EDGECLF_HOME": str(tmp_path)}
    with serving("--teach", folder, env=nowhere) as server:
        teacher = Teacher(server)
        with teacher.client:
            teacher.add("P", "red", [jpeg("red", 1)])  # it prepares while one adds
            wait_until(lambda: "mobilenet_v2" in server.log(), 20)
