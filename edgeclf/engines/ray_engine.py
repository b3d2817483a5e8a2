"""Work on many items with Ray Data: a pool of actors on a cluster of machines.

Ray schedules, retries and starts workers again; nothing of that is done here.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from edgeclf.engines import ray_extra
from edgeclf.engines.ray_cluster import Cluster, joined
from edgeclf.engines.waiting import awaited
from edgeclf.errors import EdgeclfError

Item = TypeVar("Item")
Result = TypeVar("Result")

# How often a worker is started again, before its items are taken to be what kills it.
# It may also be lost with its machine, which is nobody's fault.
MAX_RESTARTS = 20


class RayEngine:
    """Workers on a Ray cluster; see `engine.Engine`.

    Args:
        address: `HOST:PORT` of a cluster that this machine is part of, or `auto`; None
            for a cluster of its own, which ends with the work.
        num_workers: How many workers; None for one per processor of the cluster.

    Raises:
        MissingExtraError: Ray is not installed.
    """

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
            results = _dataset(cluster, start, items).iter_rows()
            try:
                for row in awaited(results, cluster):
                    error, result = pickle.loads(row["result"])  # noqa: S301
                    if error is not None:
                        raise _explained(error)
                    yield result
            except cluster.ray.exceptions.RayError as error:
                raise _sentence(error) from error


def _dataset(
    cluster: Cluster, start: Callable[[], Callable[[Any], Any]], items: Sequence[Any]
) -> Any:
    """Return the results to be, as a Ray dataset of one block per item."""
    ray = cluster.ray
    context = ray.data.DataContext.get_current()
    context.print_on_execution_start = False
    # Ray holds work back until the results to expect fit its memory; ours are small.
    context.target_max_block_size = 1 << 20
    context.max_consecutive_actor_init_deaths = MAX_RESTARTS
    rows = [{"item": pickle.dumps(item)} for item in items]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
    with warnings.catch_warnings():  # of what goes in Ray 2.64
        warnings.simplefilter("ignore", DeprecationWarning)
        return dataset.map_batches(
            _worker_class(),
            # Through the object store: once per machine, not with every item.
            fn_constructor_args=(ray.put(ray.cloudpickle.dumps(start)),),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=cluster.num_workers),
            num_cpus=cluster.cpu_share,
            max_restarts=MAX_RESTARTS,
            max_task_retries=-1,  # also for each second that a machine does not answer
        )


def _worker_class() -> type:
    """Return the actors' class.

    A class made in a function travels by value, so it starts on a machine without
    edgeclf too, and can say there what is missing.
    """

    class Worker:
        """Starts at the first item: an error then is an item's error."""

        def __init__(self, start: Any) -> None:
            self._start = start
            self._work: Any = None

        def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
            import ray.cloudpickle

            error = result = None
            try:
                if self._work is None:
                    self._work = pickle.loads(ray.get(self._start))()  # noqa: S301
                [item] = batch["item"]
                result = self._work(pickle.loads(item))  # noqa: S301
            except Exception as raised:  # noqa: BLE001 - the driver raises it
                error = raised
            dumps: Any = ray.cloudpickle.dumps  # which has no types
            return {"result": [dumps((error, result))]}

    return Worker


def _explained(error: Exception) -> Exception:
    """Return an item's error; what a machine of the cluster lacks, as a sentence."""
    if isinstance(error, EdgeclfError) or not isinstance(error, ImportError):
        return error
    return EdgeclfError(
        f"Expected edgeclf's dependencies on every machine of the cluster. Received "
        f'there: {error}. Install them there with: pip install "edgeclf[ray]"'
    )


def _sentence(error: Exception) -> EdgeclfError:
    """Return an error of Ray's own as one of ours."""
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return EdgeclfError(
        f"Expected workers that stay alive, or do when started again {MAX_RESTARTS} "
        f"times. Received from Ray: {first} Too little memory is the usual cause; try "
        "fewer --workers."
    )
