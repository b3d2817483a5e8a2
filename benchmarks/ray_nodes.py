"""Run a Ray cluster of several nodes on this machine until stdin ends.

Each node is a raylet with processors and an object store of its own, as on machines of
their own. The first line of stdout is the cluster's address.

    python -m benchmarks.ray_nodes --nodes 2 --cpus 1
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.measure import ROOT, CommandError, environment, positive

OBJECT_STORE_BYTES = 100_000_000


@contextmanager
def cluster(nodes: int, cpus: int) -> Iterator[str]:
    """Start a cluster and yield its address; it ends with the block.

    Args:
        nodes: How many.
        cpus: Processors that each has, as Ray counts them.

    Raises:
        CommandError: It cannot be started.
    """
    command = [sys.executable, "-m", "benchmarks.ray_nodes"]
    command += ["--nodes", str(nodes), "--cpus", str(cpus)]
    with ExitStack() as stack:
        # Ray's sockets lie there, and their names must be short.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray"))
        settings = {
            "HOME": folder,
            "RAY_TMPDIR": folder,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**environment(), **settings},
        )
        stack.enter_context(process)
        for line in process.stdout or ():
            if line.startswith("{"):  # Ray has its say there too
                yield json.loads(line)["address"]
                break
        else:
            raise CommandError(
                "Expected a Ray cluster within half a minute, which is what Ray gives "
                "itself. Received: none. Try again when the machine is less busy."
            )


def main() -> int:
    """Start the cluster, wait, stop it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=positive, required=True)
    parser.add_argument("--cpus", type=positive, required=True)
    args = parser.parse_args()

    from ray.cluster_utils import Cluster

    node = {"num_cpus": args.cpus, "object_store_memory": OBJECT_STORE_BYTES}
    head = {**node, "include_dashboard": False}  # whose start takes most of the time
    started = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(args.nodes - 1):
            started.add_node(**node)
        started.wait_for_nodes()
        print(json.dumps({"address": started.address}), flush=True)
        sys.stdin.read()
    finally:
        started.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
