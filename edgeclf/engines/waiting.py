"""Wait for a cluster's results; say so where it is busy, and end where it is gone."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from edgeclf.engines.ray_cluster import Cluster
from edgeclf.errors import EdgeclfError

PATIENCE_S = 10.0
# Ray itself ends this process, without a word, after a minute without the head.
MAX_SILENCES = 3
AHEAD = 16  # results that may wait to be taken

logger = logging.getLogger("edgeclf")

_END = object()


def awaited(results: Iterable[Any], cluster: Cluster) -> Iterator[Any]:
    """Yield results; look after the cluster every ten seconds without one.

    Args:
        results: Asked for in a thread: Ray may wait for a cluster that is gone.
        cluster: Where they come from.

    Raises:
        EdgeclfError: The cluster's head has not answered three times.
        Exception: What `results` raises.
    """
    arrived: queue.Queue[Any] = queue.Queue(AHEAD)
    over = threading.Event()
    reader = threading.Thread(target=_read, args=(results, arrived, over), daemon=True)
    reader.start()
    silences = 0
    try:
        while True:
            arrival = _next(arrived)
            if arrival is None:
                silence = cluster.silence()
                silences = silences + 1 if silence else 0
                _complain(cluster, silences, silence)
                continue
            silences = 0
            error, result = arrival
            if error is not None:
                raise error
            if result is _END:
                return
            yield result
    finally:
        over.set()


def _next(arrived: queue.Queue[Any]) -> tuple[Exception | None, Any] | None:
    with contextlib.suppress(queue.Empty):
        return arrived.get(timeout=PATIENCE_S)  # type: ignore[no-any-return]
    return None


def _read(
    results: Iterable[Any], arrived: queue.Queue[Any], over: threading.Event
) -> None:
    last: tuple[Exception | None, Any] = (None, _END)
    try:
        for result in results:
            if not _put(arrived, (None, result), over):
                return
    except Exception as error:  # noqa: BLE001 - raised by who asks
        last = (error, None)
    _put(arrived, last, over)


def _put(arrived: queue.Queue[Any], what: Any, over: threading.Event) -> bool:
    """Put something into a queue; return False if nobody asks any more."""
    while not over.is_set():
        try:
            arrived.put(what, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False


def _complain(cluster: Cluster, silences: int, silence: str) -> None:
    if silences >= MAX_SILENCES:
        raise EdgeclfError(
            f"Expected the head of the Ray cluster at {cluster.address} to stay. "
            f"Received: {silence}, for half a minute. What is done is kept."
        )
    if silences:
        logger.warning(
            "No result for %.0f s, and the head of the Ray cluster at %s does not "
            "answer.",
            silences * PATIENCE_S,
            cluster.address,
        )
    else:
        _complain_if_busy(cluster)


def _complain_if_busy(cluster: Cluster) -> None:
    try:
        free, total = cluster.free_cpus, cluster.num_cpus
    except Exception:  # noqa: BLE001 - whatever Ray raises; the next look tells why
        return
    if free < cluster.cpu_share:
        logger.warning(
            "No result for %.0f s, and no processor of the Ray cluster is free (it has "
            "%g): waiting until one is, or a machine joins.",
            PATIENCE_S,
            total,
        )
