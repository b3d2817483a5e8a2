"""A Ray cluster of two nodes in a process of its own, to lose workers and nodes of.

`python tests/ray_cluster.py` prints its address, loses its second node when it reads a
line, and ends with its input.
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

ROOT = Path(__file__).resolve().parents[1]
NUM_CPUS = 2  # of each node


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
        assert self.address, "the cluster does not start"

    def lose_node(self) -> None:
        """Kill all processes of the second node."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "lost\n"

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

    options = {"num_cpus": NUM_CPUS, "object_store_memory": 100_000_000}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    nodes = [cluster.add_node(**options) for _ in range(num_nodes - 1)]
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    for _ in sys.stdin:
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        print("lost", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
