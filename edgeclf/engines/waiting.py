"""Say so where a cluster has no processor free, instead of waiting without a word."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from edgeclf.engines.ray_cluster import Cluster

PATIENCE_S = 10.0

logger = logging.getLogger("edgeclf")


@contextlib.contextmanager
def complaining(cluster: Cluster) -> Iterator[Callable[[], None]]:
    """Look every ten seconds without a result whether a worker finds room at all.

    Yields:
        What to call with each result.
    """
    heard, over = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(PATIENCE_S):
            if not heard.is_set() and cluster.free_cpus < cluster.cpu_share:
                logger.warning(
                    "No result for %.0f s, and no processor of the Ray cluster is free "
                    "(it has %g): waiting until one is, or a machine joins.",
                    PATIENCE_S,
                    cluster.num_cpus,
                )
            heard.clear()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield heard.set
    finally:
        over.set()
        watcher.join()
