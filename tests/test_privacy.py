"""Every command as a new user's process: what it asks the network and writes where."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import hosting
import misbehaving
import model_files as models
import pytest
import tiny
from watching import Place, Watched, files_below, noted, without_network

from edgeclf.__main__ import COMMANDS

TRAIN = "--architecture tiny.tflite --num_workers 1"

# Command, options, the files it is asked to write (patterns, in the working folder).
OFFLINE = {
    "retrain": (
        f"--image_dir photos --output_graph model.tflite {TRAIN}",
        r"model\..*",
    ),
    "evaluate": ("model.tflite photos --report measured.html", r"measured\..*"),
    "audit": (f"photos {TRAIN}", ""),
    "compare": (
        "--image_dir photos --architectures tiny.tflite --views 1 --output_dir chosen",
        r"chosen/.*",
    ),
    "tune": (
        f"--image_dir photos --views 1 --no_descent --solvers discriminant {TRAIN}",
        "",
    ),
    "add_class": (
        "model.tflite --images photos/red --label more --output more.tflite",
        r"more\.tflite",
    ),
    "label_image": (
        "--model model.tflite --image photos --sort_into sorted",
        r"sorted/.*",
    ),
    "label": ("photos --model model.tflite --output labels", r"labels/.*"),
    "embed": (
        "--model model.tflite --image photos --output vectors.npz",
        r"vectors\.npz",
    ),
    "benchmark": ("model.tflite --runs 2", ""),
    "doctor": ("--model model.tflite", ""),
    "export": ("model.tflite --output c_source", r"c_source.*"),
    "prepare_data": (
        "--csv table.csv --images photos --output prepared --label_column decor",
        r"prepared/.*",
    ),
    "augment": ("photos --output copies --copies 1", r"copies/.*"),
    "demo": ("--per_class 5 --output demo", r"demo/.*"),
}
ASKED = {"collect", "bot", "serve", "convert"}  # tests of their own
CACHE = ".cache/edgeclf/"


def furnish(place: Place) -> None:
    """Put pictures, a table of them and a backbone into the working folder."""
    photos = tiny.write_folder(place.work / "photos", 8)
    (place.work / "tiny.tflite").write_bytes(tiny.backbone_file())
    with (place.work / "table.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "decor"])
        for path in sorted(photos.glob("*/*.png")):
            rows.writerow([path.relative_to(photos).as_posix(), path.parent.name])


def ran(place: Place, prefix: Sequence[str]) -> dict[str, tuple[Watched, set[str]]]:
    """Run every command that needs no network; with what was new after each."""
    furnish(place)
    came = {}
    for name, (options, _) in OFFLINE.items():
        if name == "label" and importlib.util.find_spec("pyarrow") is None:
            continue
        before = files_below(place.work)
        done = place.run(name, *options.split(), prefix=prefix)
        came[name] = done, files_below(place.work) - before
    return came


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place.below(tmp_path_factory.mktemp("offline"))


@pytest.fixture(scope="module")
def commands(place: Place) -> dict[str, tuple[Watched, set[str]]]:
    """All of `OFFLINE`, without any network where this user may take it away."""
    return ran(place, without_network())


def came_of(
    commands: dict[str, tuple[Watched, set[str]]], name: str
) -> tuple[Watched, set[str]]:
    if name not in commands:
        pytest.skip("pyarrow is not installed: edgeclf[parquet]")
    return commands[name]


def test_every_command_is_tried_here() -> None:
    assert not set(OFFLINE) & ASKED
    assert set(OFFLINE) | ASKED == set(COMMANDS)


@pytest.mark.parametrize("name", OFFLINE)
def test_command_works_without_the_network_and_asks_for_none(
    commands: dict[str, tuple[Watched, set[str]]], name: str
) -> None:
    done, _ = came_of(commands, name)
    assert done.status == 0, done.said
    assert done.network == []


@pytest.mark.parametrize("name", OFFLINE)
def test_command_writes_what_it_is_asked_to_and_its_cache_alone(
    commands: dict[str, tuple[Watched, set[str]]], place: Place, name: str
) -> None:
    done, new = came_of(commands, name)
    expected = OFFLINE[name][1]
    assert bool(new) == bool(expected)
    assert [path for path in new if not re.fullmatch(expected, path)] == []
    allowed = (place.home / CACHE, place.temporary, place.work, Path("/dev"))
    elsewhere = [
        path
        for path in done.written
        if not any(path.is_relative_to(folder) for folder in allowed)
        and path.parent.name != "__pycache__"  # benchmark has Python keep what it reads
    ]
    assert elsewhere == []


def test_home_has_nothing_but_the_cache_and_nothing_temporary_stays(
    commands: dict[str, tuple[Watched, set[str]]], place: Place
) -> None:
    assert commands
    at_home = files_below(place.home)
    assert at_home  # bottlenecks
    assert [path for path in at_home if not path.startswith(CACHE)] == []
    assert files_below(place.temporary) == set()


def test_models_are_the_same_with_and_without_the_network(
    commands: dict[str, tuple[Watched, set[str]]], place: Place, tmp_path: Path
) -> None:
    if not without_network():
        pytest.skip("this user cannot take a command's network away")
    assert commands
    online = Place.below(tmp_path)
    furnish(online)
    options, _ = OFFLINE["retrain"]
    assert online.run("retrain", *options.split()).status == 0
    content = (online.work / "model.tflite").read_bytes()
    assert content == (place.work / "model.tflite").read_bytes()


def test_the_watch_sees_what_a_command_asks_for(tmp_path: Path) -> None:
    """The tests above would pass too if nothing were noted."""
    place = Place.below(tmp_path)
    furnish(place)
    with hosting.running() as server:
        server.files["/a.png"] = (place.work / "photos/red/000.png").read_bytes()
        url = f"{server.address}/a.png"
        (place.work / "model.tflite").write_bytes(models.own())
        options = ("--model", "model.tflite", "--image", url, "--allow_private")
        done = place.run("embed", *options, "--output", "out.npz")
        port = server.server_address[1]
    assert done.status == 0, done.said
    assert ["socket.getaddrinfo", "127.0.0.1", str(port)] in done.network
    assert ["socket.connect", "2", f"('127.0.0.1', {port})"] in done.network
    assert any(path.parent == place.work for path in done.written)


def test_a_backbone_that_is_not_there_is_asked_for_at_its_own_host_alone(
    tmp_path: Path,
) -> None:
    place = Place.below(tmp_path)
    furnish(place)
    with hosting.running() as server:
        mirror = {"EDGECLF_MIRROR": server.address}
        options = ("--image_dir", "photos", "--num_workers", "1", "--views", "1")
        done = place.run("retrain", *options, "--no_report", environment=mirror)
        port = server.server_address[1]
        asked = [path for path, _ in server.requests]
    assert done.status == 0, done.said
    assert "mobilenet_v2_1.00_224_torchvision" in done.said  # what it takes instead
    assert asked
    assert {path.rpartition("/")[2] for path in asked} == {"mobilenet_v1_0.5_224.tgz"}
    assert addresses(done.network) == {("127.0.0.1", port)}


def test_collecting_reaches_the_listed_hosts_alone(tmp_path: Path) -> None:
    place = Place.below(tmp_path)
    with hosting.running() as server:
        server.files["/a.jpg"] = misbehaving.picture(1)
        (place.work / "list.txt").write_text(f"{server.address}/a.jpg\n")
        done = place.run(
            *("collect", "--urls", "list.txt", "--label", "one"),
            *("--output", "found", "--allow_private"),
        )
        port = server.server_address[1]
    assert done.status == 0, done.said
    assert addresses(done.network) == {("127.0.0.1", port)}
    new = files_below(place.work) - {"list.txt"}
    assert [path for path in new if not path.startswith("found/")] == []
    assert files_below(place.home) == set()


def test_the_server_listens_and_asks_for_nothing(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed: edgeclf[web]")
    from web_server import serving

    place = Place.below(tmp_path)
    furnish(place)
    (place.work / "model.tflite").write_bytes(models.own())
    log = tmp_path / "watch.jsonl"
    log.touch()
    options = ("--model", place.work / "model.tflite")
    with serving(*options, env=place.variables(log)) as server:
        request = urllib.request.Request(
            f"{server.url}/v1/classify",
            (place.work / "photos/red/000.png").read_bytes(),
            {"Content-Type": "image/png"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert json.load(answer)["results"][0]["categories"]
        for path in ("/", "/model", "/api", "/metrics"):
            with urllib.request.urlopen(server.url + path, timeout=20) as answer:
                assert answer.status == 200
    network, written = noted(log)
    # It looks up the address at which it listens, and reaches nobody.
    assert {tuple(entry[:2]) for entry in network} <= {
        ("socket.getaddrinfo", "127.0.0.1")
    }
    assert written == []
    assert files_below(place.home) == set()


def test_the_bot_reaches_telegram_alone(tmp_path: Path) -> None:
    pytest.importorskip("telegram", reason="it is not installed: edgeclf[bot]")
    from bot_api import BotApi
    from bot_chats import TOKEN

    place = Place.below(tmp_path)
    (place.work / "model.tflite").write_bytes(models.own())
    log = tmp_path / "watch.jsonl"
    with (
        BotApi() as api,
        subprocess.Popen(
            [
                *(sys.executable, "-m", "edgeclf", "bot", "--model", "model.tflite"),
                *("--api_url", api.url),
            ],
            cwd=place.work,
            env={**place.variables(log), "EDGECLF_TELEGRAM_TOKEN": TOKEN},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        try:
            api.wait_for(lambda: api.polls > 0, 20, "it did not start")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        port = int(re.search(r":(\d+)", api.url)[1])
    network, _ = noted(log)
    assert addresses(network) == {("127.0.0.1", port)}
    state = ".local/state/edgeclf/bots/"
    assert files_below(place.home)
    assert [
        name for name in files_below(place.home) if not name.startswith(state)
    ] == []
    assert files_below(place.work) == {"model.tflite"}


def addresses(network: list[list[str]]) -> set[tuple[str, int]]:
    """Return hosts and ports that were reached, lookups included."""
    found = set()
    for event, *details in network:
        if event == "socket.connect":
            if details[0] == "1":  # a socket in the file system
                continue
            host, port = re.match(r"\('([^']+)', (\d+)", details[1]).groups()
            found.add((host, int(port)))
        elif event == "socket.getaddrinfo":
            found.add((details[0], int(details[1])))
        elif event == "socket.gethostbyaddr" and details[0] == socket.gethostname():
            continue  # its own name
        elif event != "urllib.Request":  # it connects, too
            found.add((f"{event} {details}", 0))
    return found
