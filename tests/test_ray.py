"""Labelling on a real Ray cluster of two nodes, some of which die.

`EDGECLF_RAY_PICTURES` says how many pictures; `make test-ray` takes 20,000.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import model_files as models
import numpy as np
import pytest
from killing import edgeclf, finished, started
from PIL import Image

pytest.importorskip("ray.data", reason="ray[data] is not installed: edgeclf[ray]")
pq = pytest.importorskip("pyarrow.parquet")

from ray_cluster import NUM_CPUS, RayCluster, heavy, ray_cluster  # noqa: E402

NUM_PICTURES = int(os.environ.get("EDGECLF_RAY_PICTURES", "2000"))
NUM_FILES = 50  # of different content
NUM_PARTITIONS = 40
LONGEST_S = 300.0


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, and pictures of which some are damaged."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "model.tflite").write_bytes(models.own())
    (folder / "pictures").mkdir()
    random = np.random.default_rng(5)
    for number in range(NUM_FILES):
        pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        if number % 10 == 7:
            path.write_bytes(path.read_bytes()[: 60 + number])
    for number in range(NUM_PICTURES):
        name = f"pictures/{number:06}.png"
        os.link(folder / f"{number % NUM_FILES}.png", folder / name)
    return folder


def label(job: Path, output: str, *options: object) -> list[str]:
    return edgeclf(
        *("label", job / "pictures", "--model", job / "model.tflite"),
        *("--output", job / output, "--partition_size", NUM_PICTURES // NUM_PARTITIONS),
        *options,
    )


def results(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*"))}


@pytest.fixture(scope="module")
def expected(job: Path) -> dict[str, bytes]:
    """What one worker of the local engine writes; every input is there once."""
    done = finished(label(job, "local", "--workers", 1))
    assert done.status == 1, done.stderr  # some pictures are damaged
    rows = pq.read_table(job / "local").to_pylist()
    paths = [f"{number:06}.png" for number in range(NUM_PICTURES)]
    assert sorted(row["path"].rpartition("/")[2] for row in rows) == paths
    damaged = [row for row in rows if row["error"]]
    assert len(damaged) == NUM_PICTURES * 5 // NUM_FILES
    assert len(results(job / "local")) == NUM_PARTITIONS
    return results(job / "local")


def wait_for(
    true: Callable[[], bool], process: subprocess.Popen[str], what: str
) -> None:
    until = time.monotonic() + LONGEST_S
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, f"no {what}"
        time.sleep(0.02)


@heavy
def test_ray_driver_killed_and_started_again_does_what_is_missing(
    cluster: RayCluster, job: Path, expected: dict[str, bytes]
) -> None:
    command = label(job, "again", "--engine", "ray", "--address", cluster.address)
    driver = started(command, env=cluster.environment)
    wait_for(lambda: len(results(job / "again")) > 2, driver, "partition")
    driver.kill()
    driver.communicate()
    kept = {path: path.stat().st_mtime_ns for path in (job / "again").glob("part-*")}
    done = finished(command, env=cluster.environment)
    assert done.status == 1, done.stderr
    assert results(job / "again") == expected
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in kept.items())


OTHER_JOB = """
import sys, ray
ray.init(sys.argv[1], log_to_driver=False)

@ray.remote(num_cpus=int(sys.argv[2]))
class Idler:
    def ready(self):
        return True

idlers = [Idler.remote() for _ in range(2)]
ray.get([idler.ready.remote() for idler in idlers])
print("ready", flush=True)
sys.stdin.read()
"""


@heavy
def test_ray_without_a_free_processor_says_so_and_goes_on_when_there_is_one(
    cluster: RayCluster, job: Path, expected: dict[str, bytes]
) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER_JOB, cluster.address, str(NUM_CPUS)],
        env=cluster.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None and other.stdout.readline() == "ready\n"
    command = label(job, "later", "--engine", "ray", "--address", cluster.address)
    driver = started(command, env=cluster.environment)
    assert driver.stderr is not None
    said = next(line for line in driver.stderr if "no processor" in line)
    assert "warning: No result for 10 s" in said
    other.communicate()
    _, stderr = driver.communicate(timeout=LONGEST_S)
    assert driver.returncode == 1, stderr
    assert results(job / "later") == expected


def test_ray_loses_a_worker_and_a_node_but_no_picture(
    cluster: RayCluster, job: Path, expected: dict[str, bytes]
) -> None:
    command = label(job, "lossy", "--engine", "ray", "--address", cluster.address)
    driver = started(command, env=cluster.environment)
    wait_for(lambda: bool(results(job / "lossy")), driver, "partition")
    os.kill(cluster.workers()[0], 9)
    cluster.lose_node()
    stdout, stderr = driver.communicate(timeout=LONGEST_S)
    cluster.add_node()
    assert driver.returncode == 1, stderr
    assert results(job / "lossy") == expected
    assert f"{NUM_PICTURES:,} pictures labelled" in stdout
    assert "Traceback" not in stderr and "ray" not in stderr.lower(), stderr


@heavy
def test_ray_without_its_head_ends_with_a_sentence(job: Path) -> None:
    with ray_cluster(1) as cluster:
        command = label(job, "headless", "--engine", "ray")
        command += ["--address", cluster.address]
        driver = started(command, env=cluster.environment)
        wait_for(lambda: bool(results(job / "headless")), driver, "partition")
        cluster.lose_head()
        _, stderr = driver.communicate(timeout=100)
    assert driver.returncode == 1
    assert f"error: Expected the head of the Ray cluster at {cluster.address}" in stderr
    assert "Traceback" not in stderr
