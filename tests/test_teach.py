"""Teach through the web app: what it does with pictures, names and folders."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from PIL import Image
from teaching import Teacher, jpeg, teaching
from web_server import environment, refused

from edgeclf.data.folders import read_folder
from edgeclf.data.listing import list_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server of this module teaches in."""
    return tmp_path_factory.mktemp("teach") / "projects"


@pytest.fixture(scope="module")
def teacher(folder: Path) -> Iterator[Teacher]:
    with teaching(folder) as found:
        yield found


def test_from_nothing_to_a_model_that_label_image_uses(
    teacher: Teacher, folder: Path, tmp_path: Path
) -> None:
    teacher.make("Colours", {"red": 12, "green": 12, "blue": 12})
    teacher.call("POST", "/Colours/training", json={})
    told = teacher.events("Colours")
    stages = list(dict.fromkeys(status["stage"] for status in told))
    assert told[-1]["state"] == "done", told[-1]
    assert {"head", "quantize"} & set(stages)  # of what it tells some is over at once
    result = told[-1]["result"]
    assert result["labels"] == ["blue", "green", "red"]
    assert result["accuracy_low"] <= result["accuracy"] <= result["accuracy_high"]
    assert sum(map(sum, result["confusion_matrix"])) == result["num_test"]

    answer = teacher.call("POST", "/Colours/classify", files={"image": jpeg("red", 99)})
    assert answer.json()["results"][0]["categories"][0]["label"] == "red"
    shown = teacher.call(
        "POST", "/Colours/heatmap?label=red", files={"image": jpeg("red", 99)}
    )
    assert shown.headers["content-type"] == "image/png", shown.text
    assert shown.content.startswith(b"\x89PNG")
    of_none = {"image": jpeg("red", 99)}
    answer = teacher.call("POST", "/Colours/heatmap?label=x", files=of_none)
    assert answer.status_code == 422

    model = teacher.call("GET", "/Colours/model.tflite")
    assert "Colours.tflite" in model.headers["content-disposition"]
    (tmp_path / "m.tflite").write_bytes(model.content)
    (tmp_path / "a.jpg").write_bytes(jpeg("blue", 98))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edgeclf.label_image", "--model", "m.tflite"),
            *("--image", "a.jpg", "--top_k", "1"),
        ],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("blue ")
    assert teacher.call("GET", "/Colours/labels.txt").text == "blue\ngreen\nred\n"
    report = teacher.call("GET", "/Colours/report.html")
    assert "sandbox" in report.headers["content-security-policy"]
    assert str(folder) not in report.text
    # The pictures are ordinary class folders.
    assert len(read_folder(folder / "Colours")) == 36
    assert set(list_folder(folder / "Colours").counts) == {"red", "green", "blue"}

    details = teacher.get("/Colours")
    assert details["model"]["is_current"]
    teacher.add("Colours", "red", [jpeg("red", 50)])
    assert not teacher.get("/Colours")["model"]["is_current"]


def test_names_are_checked(teacher: Teacher) -> None:
    teacher.make("Names", {})
    for name in (
        *("", " ", ".", "..", ".git", "_x", "a/b", "a\\b", "a\0", "a\nb", "a.", "a "),
        *("x" * 101, "ł" * 101, "\ud800", " a", "unknown", "__MACOSX"),
    ):
        for method, path in (("POST", "/Names/classes"), ("POST", "")):
            if name == "unknown" and not path:
                continue
            body = b'{"name": "%s"}' % b"".join(
                b"\\u%04x" % ord(letter) for letter in name
            )
            answer = teacher.call(
                method, path, content=body, headers={"content-type": "application/json"}
            )
            assert answer.status_code == 422, (name, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
    for name in ("Gżel ł", "a.b", "猫", "_background"):
        answer = teacher.call("POST", "/Names/classes", json={"name": name})
        assert answer.status_code == 201, answer.text
    decomposed = "e\u0301"
    made = teacher.call("POST", "/Names/classes", json={"name": decomposed}).json()
    assert made["name"] == "\u00e9"
    assert teacher.get("/Names")["background"] == "_background"
    # What other disks, and people, take for one name is one.
    for name in ("猫", "A.B", "\u00c9", "GŻEL Ł"):
        again = teacher.call("POST", "/Names/classes", json={"name": name})
        assert again.status_code == 409, name
    assert teacher.call("POST", "", json={"name": "NAMES"}).status_code == 409
    case = teacher.call("PATCH", "/Names/classes/a.b", json={"name": "A.B"})
    assert case.json()["name"] == "A.B"


def test_no_name_leads_out_of_the_folder(teacher: Teacher, folder: Path) -> None:
    teacher.make("Inside", {"red": 2})
    secret = folder.parent / "secret" / "red"
    secret.mkdir(parents=True)
    (secret / "a.jpg").write_bytes(jpeg("red", 5))
    (folder / "Inside" / "red" / "link.jpg").symlink_to(secret / "a.jpg")
    (folder / "Inside" / "elsewhere").symlink_to(secret)
    listed = teacher.get("/Inside")
    rows = {entry["name"]: entry["pictures"] for entry in listed["classes"]}
    (link,) = (row["id"] for row in rows["red"] if row["name"] == "link.jpg")
    paths = [f"/Inside/classes/red/pictures/{link}"]
    paths += [f"/Inside/classes/elsewhere/pictures/{rows['elsewhere'][0]['id']}"]
    for name in ("..", "../secret", "/etc", str(secret), "..\\secret", "a\0b", "."):
        for encoded in (quote(name, safe=""), quote(quote(name, safe=""), safe="")):
            paths += [
                f"/{encoded}",
                f"/{encoded}/model.tflite",
                f"/Inside/classes/{encoded}/pictures/x",
                f"/Inside/classes/red/pictures/{encoded}",
                f"/Inside/classes/red/pictures/{encoded}/thumbnail",
            ]
    paths += ["/%2e%2e%2fsecret", "/Inside/classes/%2e%2e/pictures/x", "/%ed%a0%80"]
    for path in paths:
        for method in ("GET", "DELETE"):
            status = raw_status(teacher, method, path)
            assert status in (400, 404, 405, 409), (method, path, status)
    assert raw_status(teacher, "DELETE", "/Inside/classes/elsewhere") == 204
    assert (secret / "a.jpg").read_bytes() == jpeg("red", 5)
    refused_name = teacher.post_pictures("Inside", "..", [jpeg()])
    assert refused_name.status_code in (404, 405)


def raw_status(teacher: Teacher, method: str, path: str) -> int:
    """Send a path as it stands: other clients would tidy it."""
    host, _, port = teacher.server.url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    with contextlib.closing(connection):
        connection.request(method, f"/v1/teach/projects{path}")
        return connection.getresponse().status


def test_pictures_are_checked_and_named_by_their_content(
    teacher: Teacher, folder: Path
) -> None:
    teacher.make("Pictures", {"red": 1, "green": 0})
    animated = io.BytesIO()
    frames = [Image.new("RGB", (9, 9), color) for color in ("red", "blue")]
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:])
    png = io.BytesIO()
    Image.new("RGB", (9, 9)).save(png, "PNG")
    whole = jpeg("red", 1)
    answer = teacher.add(
        "Pictures",
        "red",
        [whole, whole, jpeg("red", 0), b"text", animated.getvalue(), whole[:600]],
    )
    assert len(answer["added"]) == 1
    assert answer["duplicates"] == 2
    assert [entry["image"] for entry in answer["errors"]] == [
        "3.jpg",
        "4.jpg",
        "5.jpg",
    ]
    assert answer["num_pictures"] == 2
    digest = hashlib.sha256(whole).hexdigest()[:24]
    path = folder / "Pictures" / "red" / f"{digest}.jpg"
    assert path.read_bytes() == whole
    assert answer["added"] == [{"id": digest, "name": path.name}]
    named = teacher.add("Pictures", "red", [png.getvalue()])["added"][0]["name"]
    assert named.endswith(".png")  # whatever it was called
    twice = teacher.add("Pictures", "green", [whole])
    assert "red" in twice["warnings"][0]["warning"]

    there = f"/Pictures/classes/red/pictures/{digest}"
    assert teacher.call("GET", there).content == whole
    small = teacher.call("GET", f"{there}/thumbnail")
    with Image.open(io.BytesIO(small.content)) as image:
        assert image.format == "JPEG"
        assert max(image.size) <= 160
    headers = {"If-None-Match": small.headers["etag"]}
    assert teacher.call("GET", f"{there}/thumbnail", headers=headers).status_code == 304
    assert teacher.call("DELETE", there).status_code == 204
    assert not path.exists()
    assert teacher.call("GET", there).status_code == 404


def test_renaming_and_deleting(teacher: Teacher, folder: Path) -> None:
    teacher.make("Rename", {"red": 3, "green": 2})
    path = "/Rename/classes/red"
    taken = teacher.call("PATCH", path, json={"name": "green"})
    assert taken.status_code == 409
    renamed = teacher.call("PATCH", path, json={"name": "Rot"}).json()
    assert (renamed["name"], renamed["num_pictures"]) == ("Rot", 3)
    assert teacher.call("DELETE", "/Rename/classes/Rot").status_code == 204
    assert sorted(path.name for path in (folder / "Rename").iterdir()) == [
        ".edgeclf",
        "green",
    ]
    assert teacher.call("DELETE", "/Rename").status_code == 204
    assert not (folder / "Rename").exists()
    assert teacher.call("DELETE", "/Rename").status_code == 404


def test_pictures_are_read_while_their_class_is_renamed(teacher: Teacher) -> None:
    teacher.make("Moving", {"a": 3})
    ids = [row["id"] for row in teacher.get("/Moving")["classes"][0]["pictures"]]
    faults: list[str] = []
    ended = threading.Event()

    def read() -> None:
        with httpx.Client(base_url=teacher.client.base_url, timeout=30) as client:
            while not ended.is_set():
                for row in ids:
                    for ending in ("", "/thumbnail"):
                        path = f"/projects/Moving/classes/a/pictures/{row}{ending}"
                        answer = client.get(path)
                        if answer.status_code not in (200, 404):
                            faults.append(answer.text)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        for old, new in ("ab", "ba"):
            path = f"/Moving/classes/{old}"
            teacher.call("PATCH", path, json={"name": new}).raise_for_status()
    ended.set()
    for thread in threads:
        thread.join()
    assert not faults


def test_too_little_is_said_before_training(teacher: Teacher) -> None:
    teacher.make("Little", {"red": 2})
    answer = teacher.call("POST", "/Little/training", json={})
    assert answer.status_code == 422
    assert "two classes" in answer.json()["detail"]
    teacher.call("POST", "/Little/classes", json={"name": "blue"})
    teacher.add("Little", "blue", [jpeg("blue")])
    answer = teacher.call("POST", "/Little/training", json={})
    assert "1 in blue" in answer.json()["detail"]
    assert teacher.call("GET", "/Little/training").status_code == 404


def test_few_pictures_are_enough(teacher: Teacher) -> None:
    teacher.make("Few", {"red": 2, "blue": 5})
    status = teacher.train("Few")
    assert status["state"] == "done", status
    assert status["message"]
    model = teacher.get("/Few")["model"]
    assert model["labels"] == ["blue", "red"]


def test_many_at_once_leave_what_is_listed_on_the_disk(
    teacher: Teacher, folder: Path
) -> None:
    teacher.make("Many", {"a": 0, "b": 0, "c": 0})
    faults: list[str] = []

    def work(number: int) -> None:
        with httpx.Client(base_url=teacher.client.base_url, timeout=30) as client:
            mine = Teacher.__new__(Teacher)
            mine.server, mine.client = teacher.server, client
            for step in range(12):
                # Both add the same pictures, and each renames what the other uses.
                for label in ("a", "b"):
                    answer = mine.post_pictures("Many", label, [jpeg("red", step)])
                    if answer.status_code not in (200, 404):
                        faults.append(answer.text)
                names = ("c", "d") if (step + number) % 2 else ("d", "c")
                answer = mine.call(
                    "PATCH", f"/Many/classes/{names[0]}", json={"name": names[1]}
                )
                if answer.status_code not in (200, 404, 409):
                    faults.append(answer.text)
                listed = mine.get("/Many")["classes"][0]["pictures"]
                if step % 4 == 3 and listed:
                    row = listed[number % len(listed)]["id"]
                    answer = mine.call("DELETE", f"/Many/classes/a/pictures/{row}")
                    if answer.status_code not in (204, 404):
                        faults.append(answer.text)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    listed = teacher.get("/Many?all=1")
    for entry in listed["classes"]:
        on_disk = {path.name for path in (folder / "Many" / entry["name"]).iterdir()}
        assert {row["name"] for row in entry["pictures"]} == on_disk
        assert entry["num_pictures"] == len(on_disk)
    assert {entry["name"] for entry in listed["classes"]} in (
        {"a", "b", "c"},
        {"a", "b", "d"},
    )
    rows = {entry["name"]: entry["num_pictures"] for entry in listed["classes"]}
    assert rows["b"] == 12  # each picture once, whoever was first


def test_a_second_server_is_refused(teacher: Teacher, folder: Path) -> None:
    done = refused("--teach", folder)
    assert done.returncode == 1
    assert "another one has it" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_of_one_of_its_projects_is_refused(
    teacher: Teacher, folder: Path
) -> None:
    teacher.make("Alone", {"red": 2, "green": 2})
    done = refused("--teach", folder / "Alone")
    assert done.returncode == 1
    assert f"another one has {folder.resolve()}" in done.stderr
    (folder.parent / "others").mkdir()
    with teaching(folder.parent / "others" / "One"):
        done = refused("--teach", folder.parent / "others")
        assert "another one has" in done.stderr
        with teaching(folder.parent / "others" / "Two"):  # both of one folder
            pass


def test_folders_that_are_there_open_as_projects(tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    for name in ("red/IMG 1.JPG", "red/deep/er/ü#?%.jpeg", "blue & co/2.png"):
        path = folder / "Old one" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg("red", len(name)))
    (folder / "Old one" / "red" / "notes.txt").write_text("no picture")
    (folder / "Old one" / ".hidden").mkdir()
    (folder / "Old one" / "cover.jpg").write_bytes(jpeg("red", 76))  # of no class
    odd = os.fsencode(folder / "Old one" / "red") + b"/\xff.jpg"
    Path(os.fsdecode(odd)).write_bytes(jpeg("red", 77))
    (folder / ".not").mkdir()
    with teaching(folder) as teacher:
        (project,) = teacher.get("")["projects"]
        assert (project["name"], project["num_pictures"]) == ("Old one", 4)
        classes = teacher.get("/Old%20one")["classes"]
        assert [entry["name"] for entry in classes] == ["blue & co", "red"]
        for entry in classes:
            for row in entry["pictures"]:
                label = quote(entry["name"])
                path = f"/Old%20one/classes/{label}/pictures/{row['id']}"
                assert teacher.call("GET", path).status_code == 200
        # What is there under another name is not added again.
        again = teacher.add("Old%20one", "red", [jpeg("red", len("red/IMG 1.JPG"))])
        assert (again["added"], again["duplicates"]) == ([], 1)


def test_a_dataset_is_the_only_project(color_folder: Path) -> None:
    with teaching(color_folder) as teacher:
        (project,) = teacher.get("")["projects"]
        assert (project["name"], project["num_classes"]) == ("colors", 3)
        made = teacher.call("POST", "", json={"name": "other"})
        assert made.status_code == 409
        assert teacher.call("DELETE", "/colors").status_code == 409
        assert teacher.train("colors")["state"] == "done"
    assert len(read_folder(color_folder)) == 9
    with teaching(color_folder) as teacher:  # also when it was taught in
        assert teacher.get("/colors")["model"]["is_current"]
