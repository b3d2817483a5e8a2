"""The Ray engine alone: results, errors, Ctrl-C, and no cluster at the address."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import model_files as models
import pytest
from killing import Ended, edgeclf, finished, started
from PIL import Image

from edgeclf.errors import EdgeclfError

pytest.importorskip("ray.data", reason="ray[data] is not installed: edgeclf[ray]")

from ray_cluster import BUSY, NOT_STARTED, ROOT, descendants, heavy

from edgeclf.engines import ray_cluster
from edgeclf.engines.ray_cluster import joined

TOY = """
import os, sys, time
from edgeclf.engines.ray_cluster import joined
from edgeclf.engines.ray_engine import RayEngine
from edgeclf.errors import DatasetError

def start():
    print("a worker's own line")
    def work(item):
        if item == "raise":
            raise DatasetError("Expected a number. Received: raise.")
        if item == "die":
            os.kill(os.getpid(), 9)
        time.sleep(0.01)
        return item, os.getpid()
    return work

if __name__ == "__main__":
    engine, items = RayEngine(num_workers=2), list(range(30))
    with joined(None, 2):
        answers = list(engine.map(start, items))
        print(sorted(item for item, _ in answers) == items)
        print(len({pid for _, pid in answers}), os.getpid() in dict(answers).values())
        list(engine.map(start, [*items, sys.argv[1]]))
"""


def toy(folder: Path, last_item: str) -> Ended:
    path = folder / "toy.py"
    path.write_text(TOY, encoding="utf-8")
    known = {"HOME": str(folder), "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    done = finished([sys.executable, "-P", str(path), last_item], env=known)
    if NOT_STARTED in done.stderr:
        pytest.skip(BUSY)
    return done


def label(folder: Path, *options: object) -> list[str]:
    (folder / "model.tflite").write_bytes(models.own())
    return edgeclf(
        *("label", folder / "pictures", "--model", folder / "model.tflite"),
        *("--output", folder / "out", "--engine", "ray", *options),
    )


def test_ray_engine_maps_and_raises_what_the_work_raised(tmp_path: Path) -> None:
    done = toy(tmp_path, "raise")
    assert done.stdout == "True\n2 False\n"
    last = done.stderr.splitlines()[-1]
    assert last == "edgeclf.errors.DatasetError: Expected a number. Received: raise."
    assert "a worker's own line" not in done.stderr


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """An address at which there is no Ray cluster."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host_port = f"127.0.0.1:{server.getsockname()[1]}"
        if request.param == "closed":
            server.close()
        if request.param == "web":
            threading.Thread(target=answer_as_web, args=(server,), daemon=True).start()
        yield host_port


def answer_as_web(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 505 HTTP Version Not Supported\r\n\r\n")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("closed", "Connection refused"),
        ("silent", "timed out"),
        ("web", "an answer in another protocol"),
    ],
    indirect=["address"],
)
def test_ray_engine_no_cluster_at_the_address(
    address: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "KNOCK_TIMEOUT_S", 0.5)
    began = time.monotonic()
    with (
        pytest.raises(
            EdgeclfError,
            match=f"Expected a Ray cluster at {address}. Received: {reason}. ",
        ),
        joined(address, None),
    ):
        pass
    assert time.monotonic() - began < 30  # of Ray's own: 120


# ray:// asks a server for Ray's clients, through which Ray Data is not tried.
@pytest.mark.parametrize(
    "address",
    ["nonsense", "host", "host:port", "ray://host:1", "local", "host:1/x", "[::1"],
)
def test_ray_engine_address_is_a_host_and_a_port(address: str) -> None:
    message = f"Expected HOST:PORT or auto .* Received: {re.escape(address)}."
    with pytest.raises(EdgeclfError, match=message), joined(address, None):
        pass


def test_label_without_ray_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "ray.py").write_text("raise ImportError('no ray here')")
    known = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = finished(label(tmp_path), env=known)
    assert done.status == 1
    assert done.stderr == (
        "error: Expected ray[data], which spreads the work (no ray here). "
        'Install it with: pip install "edgeclf[ray]"\n'
    )


def test_label_address_is_of_ray(tmp_path: Path) -> None:
    done = finished(label(tmp_path, "--engine", "local", "--address", "auto"))
    assert done.status == 2
    assert "Expected --engine ray with --address" in done.stderr


def test_label_by_ray_ends_by_interrupt_and_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for number in range(300):
        path = tmp_path / "pictures" / f"{number}.png"
        Image.new("RGB", (9, 9), (number % 256, 9, 9)).save(path)
    command = label(tmp_path, "--workers", 1, "--partition_size", 1)
    process = started(command, env={"HOME": str(tmp_path)})
    while not list((tmp_path / "out").glob("part-*")):
        if process.poll() is not None:
            _, stderr = process.communicate()
            assert NOT_STARTED in stderr, stderr
            pytest.skip(BUSY)
        time.sleep(0.02)
    below = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.endswith(
        "Interrupted. The same command goes on where this one stopped.\n"
    )
    assert below
    until = time.monotonic() + 90  # Ray's agents look for it every half a minute
    while any(Path(f"/proc/{pid}").exists() for pid in below):
        assert time.monotonic() < until
        time.sleep(0.1)


@heavy
def test_ray_engine_gives_up_on_an_item_that_kills_its_workers(tmp_path: Path) -> None:
    done = toy(tmp_path, "die")
    assert done.status == 1
    assert "EdgeclfError: Expected workers that stay alive" in done.stderr
