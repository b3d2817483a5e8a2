"""Work on many items with Ray Data: a pool of actors on a cluster of machines.

Ray schedules, retries and starts workers again; nothing of that is done here.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from edgeclf.engines import ray_extra
from edgeclf.engines.ray_cluster import joined

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_RETRIES = 5


class RayEngine:
    """One worker per processor of a cluster; see `engine.Engine`."""

    def __init__(
        self, address: str | None = None, num_workers: int | None = None
    ) -> None:
        ray_extra.require()
        self._address = address
        self._num_workers = num_workers

    def map(
        self,
        start: Callable[[], Callable[[Item], Result]],
        items: Sequence[Item],
    ) -> Iterator[Result]:
        """Yield the result of each item; see `engine.Engine.map`."""
        if not items:
            return
        with joined(self._address, self._num_workers) as cluster:
            ray = cluster.ray
            rows = [{"item": pickle.dumps(item)} for item in items]
            dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
            dataset = dataset.map_batches(
                _worker_class(),
                fn_constructor_args=(ray.put(ray.cloudpickle.dumps(start)),),
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(
                    min_size=1,
                    max_size=cluster.num_workers,
                    initial_size=cluster.num_workers,
                    max_tasks_in_flight_per_actor=2,
                ),
                num_cpus=cluster.num_cpus_each,
                scheduling_strategy="SPREAD",
                max_restarts=-1,
                max_task_retries=MAX_RETRIES,
            )
            for row in dataset.iter_rows():
                error, result = pickle.loads(row["result"])
                if error is not None:
                    raise error
                yield result


def _worker_class() -> type:
    # A class inside a function travels by value, so that a machine without edgeclf
    # can say so itself.
    class Worker:
        def __init__(self, start: Any) -> None:
            import ray

            self._start = ray.get(start)
            self._work = None

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            import pickle

            import numpy as np

            results = np.empty(1, object)
            try:
                if self._work is None:
                    self._work = pickle.loads(self._start)()
                results[0] = pickle.dumps((None, self._work(pickle.loads(batch["item"][0]))))
            except Exception as error:
                results[0] = pickle.dumps((error, None))
            return {"result": results}

    return Worker
