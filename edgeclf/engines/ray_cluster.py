"""Join a Ray cluster, or start one here, and leave it again."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgeclf.engines import ray_extra
from edgeclf.errors import EdgeclfError


@dataclass(frozen=True)
class Cluster:
    """What the pool of workers needs to know.

    Attributes:
        ray: The module, connected.
        num_workers: How many workers to start.
        num_cpus_each: What each asks of the cluster's processors.
    """

    ray: Any
    num_workers: int
    num_cpus_each: float


@contextlib.contextmanager
def joined(address: str | None, num_workers: int | None) -> Iterator[Cluster]:
    ray = ray_extra.require()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {
            "address": "local",
            "num_cpus": num_workers,
            "include_dashboard": False,
            "object_store_memory": 200_000_000,
        }
    else:
        options["address"] = address
    ray.init(**options)
    try:
        cpus = [
            node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]
        ]
        total = sum(cpus)
        workers = num_workers or int(total)
        left = total - max(cpus) or total
        each = int(min(0.5, left / workers) * 10_000) / 10_000
        yield Cluster(ray, workers, each)
    finally:
        ray.shutdown()
