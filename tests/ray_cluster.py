"""A Ray cluster of two nodes in a process of its own, to lose workers and nodes of.

`python tests/ray_cluster.py` prints its address, loses its second node or adds another
one when it reads so, and ends with its input. `conftest.py` has one for all tests.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NUM_CPUS = 1  # of each node
BUSY = "Ray does not start within its own 30 s: this machine is busy"
NOT_STARTED = "timed out during startup"

# A cluster takes ten seconds to start on an idle machine, a job on it as long.
heavy = pytest.mark.skipif(
    "EDGECLF_RAY_PICTURES" not in os.environ, reason="minutes: make test-ray"
)


class RayCluster:
    """What a test does with the cluster.

    Attributes:
        address: `HOST:PORT`.
        environment: What processes that use the cluster must have.
    """

    def __init__(self, process: subprocess.Popen[str], environment: Mapping[str, str]):
        self._process = process
        self.environment = environment
        assert process.stdout is not None
        self.address = process.stdout.readline().strip()
        if not self.address:
            pytest.skip(BUSY)

    def lose_node(self) -> None:
        """Kill all processes of the second node."""
        self._tell("lose")

    def add_node(self) -> None:
        """Start another one, such as for the next test."""
        self._tell("add")

    def lose_head(self) -> None:
        """Kill what all nodes ask about each other."""
        below = descendants(self._process.pid)
        (head,) = (
            pid
            for pid, name in processes()
            if pid in below and name.partition(" ")[0].endswith("/gcs_server")
        )
        os.kill(head, signal.SIGKILL)

    def _tell(self, what: str) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def workers(self) -> list[int]:
        """Process ids of the actors that work, those that started first before."""
        found = [pid for pid, name in processes() if name.startswith("ray::MapWorker")]
        below = descendants(self._process.pid)
        return sorted(pid for pid in found if pid in below)


@contextlib.contextmanager
def ray_cluster(num_nodes: int = 2) -> Iterator[RayCluster]:
    """Run a cluster for the length of the block, with a home and files of its own."""
    # Not pytest's folder: Ray's sockets lie in it, and their names must be short.
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        environment = {
            **os.environ,
            "HOME": folder,
            "RAY_TMPDIR": folder,
            "RAY_USAGE_STATS_ENABLED": "0",
            # On few cores, workers that nobody asked for delay those asked for.
            "RAY_enable_worker_prestart": "0",
            "RAY_prestart_worker_first_driver": "0",
            "PYTHONPATH": str(ROOT),
        }
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(num_nodes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            start_new_session=True,
        )
        try:
            yield RayCluster(process, environment)
        finally:
            below = descendants(process.pid)
            process.communicate(timeout=30)
            for pid in below:  # none, if it ended well
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def processes() -> Iterator[tuple[int, str]]:
    """Yield the id and the title of each process."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            title = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
            yield int(folder.name), title.decode(errors="replace")


def descendants(pid: int) -> set[int]:
    """Return the ids of all processes below one."""
    parents: dict[int, int] = {}
    for other, _ in processes():
        with contextlib.suppress(OSError, IndexError, ValueError):
            stat = Path(f"/proc/{other}/stat").read_text()
            parents[other] = int(stat.rpartition(")")[2].split()[1])
    found: set[int] = set()
    while new := {c for c, p in parents.items() if p in found | {pid}} - found:
        found |= new
    return found


def main(num_nodes: int) -> None:
    """Start the nodes, and do as told."""
    from ray.cluster_utils import Cluster

    options: dict[str, Any] = {"num_cpus": NUM_CPUS, "object_store_memory": 100_000_000}
    head = {**options, "include_dashboard": False}  # whose start takes most of the time
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(**options) for _ in range(num_nodes - 1)]
    cluster.wait_for_nodes()
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line == "lose\n":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
        else:
            nodes.append(cluster.add_node(**options))
            cluster.wait_for_nodes()
        sys.stdout.write("done\n")
        sys.stdout.flush()
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
