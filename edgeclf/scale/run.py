"""Label all pictures of a source into a Parquet dataset, and go on where one stopped.

```
OUTPUT/
  part-0000000.parquet            path, labels, scores, error[, bottleneck]
  part-0000001.parquet
  _edgeclf/
    job.json                      source, model, options
    inputs/inputs-0000000.parquet which inputs part-0000000 has: name, row
```

First the source is listed, and what is in no partition yet is cut into new ones, by
rising name. Then an engine has every partition labelled that has no file of results.
So an input is in exactly one partition, and each is written in one step: a run that was
stopped or killed anywhere goes on when it is started again. Inputs that have vanished
keep their rows; one whose content changes under the same name is not labelled again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path

import edgeclf
from edgeclf.engines.engine import Engine
from edgeclf.engines.local import LocalEngine
from edgeclf.errors import DatasetError, EdgeclfError
from edgeclf.scale import job as jobs
from edgeclf.scale import parquet_extra
from edgeclf.scale.answers import deciding, labelling_of, tried
from edgeclf.scale.config import LabelConfig, LabelResult
from edgeclf.scale.listing import Source
from edgeclf.scale.partitions import Inventory, Partitions, cut, default_size, numbered
from edgeclf.scale.pictures import Opener
from edgeclf.scale.places import Store
from edgeclf.scale.work import Done, Partition, Start

# Partitions, one after the other, whose store or disk does not answer: it will not.
MAX_FAILURES = 20

Advance = Callable[[int], None]
"""Takes how many more pictures are done."""


def label(
    config: LabelConfig,
    engine: Engine | None = None,
    begin: Callable[[int], Advance] | None = None,
) -> LabelResult:
    """Label what is not labelled yet.

    Args:
        config: What, how and where to.
        engine: Who does the work. Default: the cores of this machine; see
            `LocalEngine` for what a program needs for that.
        begin: Called when it is known how many pictures are to be done; what it
            returns is called with the number of those that each partition has.

    Returns:
        What was done. Partitions that are missing, because a store or a disk did not
        answer, are done by the next call.

    Raises:
        DatasetError: The source holds no pictures or is damaged, or the output was
            begun with something else.
        EdgeclfError: Another process works on the output; workers died; a store
            is not known.
        MissingExtraError: pyarrow, fsspec, a store's package or the engine's is
            missing.
        ModelError, LabelError, TypeError, ValueError: As `Classifier`.
        OSError: The source cannot be listed, or results cannot be written.
    """
    return Job(config).run(engine, begin)


class Job:
    """What is to be labelled, with a model that has been tried; see `label`.

    Attributes:
        input_size: `(height, width)` of the model's input; None if it takes any.

    Raises:
        FileNotFoundError: There is no such model or source.
        MissingExtraError, ModelError, LabelError: As `label`.
        TypeError, ValueError: An argument does not fit the model.
    """

    def __init__(self, config: LabelConfig) -> None:
        parquet_extra.require()
        self._config = config
        self._output = config.place
        self._store = Store(config.storage_options)
        self._partitions = Partitions(self._store, self._output)
        self._labelling = labelling_of(config)
        self.input_size = tried(self._labelling)
        self._source = Source(
            config.source, str(Path.cwd()), self._store, config.column
        )
        self._source.check()
        self._answers = deciding(config, self._labelling, self._source)

    def run(
        self,
        engine: Engine | None = None,
        begin: Callable[[int], Advance] | None = None,
    ) -> LabelResult:
        """Label what is not labelled yet; see `label` for all of it."""
        started = time.monotonic()
        self._begun()  # refuses a folder of something else before it is touched
        with jobs.held(self._output):
            begun = self._begun()
            start = self._start()
            sizes, num_new = self._plan(begun)
            todo = self._todo(sizes)
            advance = begin(sum(each.num_inputs for each in todo)) if begin else _ignore
            engine = LocalEngine() if engine is None else engine
            results = self._work(engine, start, todo, advance)
        failed = [done for done in results if done.failure]
        return LabelResult(
            num_inputs=sum(sizes.values()),
            num_new=num_new,
            num_done=sum(done.num_done for done in results),
            num_errors=sum(done.num_errors for done in results),
            num_missing=sum(done.partition.num_inputs for done in failed),
            missing_partitions=tuple(sorted(done.partition.number for done in failed)),
            failure=failed[0].failure if failed else "",
            unreadable_folders=self._source.unreadable,
            seconds=time.monotonic() - started,
        )

    def _begun(self) -> jobs.Begun | None:
        """Return what the output was begun with, if this fits; None if it is new."""
        begun = jobs.read_job(self._store, self._output)
        if begun is not None:
            jobs.check_same(self._config.output, begun.answers, self._answers)
            # Its own spelling: `photos` and `./photos` are the same inputs.
            self._source.argument, self._source.folder = begun.source, begun.folder
        return begun

    def _start(self) -> Start:
        source = self._source
        table = source.table()
        if table is not None and source.holds(self._output):
            raise DatasetError(
                f"Expected --output outside of {source.argument}, so that results are "
                f"not taken for inputs. Received: {self._config.output}"
            )
        opener = Opener(
            self._store,
            source.folders,
            source.root,
            table,
            self._config.allow_private,
        )
        metadata = {
            "edgeclf.version": edgeclf.__version__,
            "edgeclf.model": Path(self._labelling.model_name).name,
            "edgeclf.model_sha256": self._answers["model"],
        }
        return Start(self._labelling, opener, self._output, metadata)

    def _plan(self, begun: jobs.Begun | None) -> tuple[dict[int, int], int]:
        """Put new inputs into partitions.

        Returns:
            The number of inputs in each partition, and how many inputs are new.
        """
        sizes: dict[int, int] = {}
        with closing(Inventory()) as inventory:
            for number, names in self._partitions.all():
                sizes[number] = inventory.add(iter(names), is_new=False)
            inventory.add(self._source.names(), is_new=True)
            num_new = inventory.sort()
            if not sizes and not num_new:
                raise DatasetError(
                    f"Expected pictures in {self._config.source}, or their paths. "
                    "Received: none."
                )
            size = self._size(begun, num_new)
            first = max(sizes, default=-1) + 1
            for number, chunk in enumerate(cut(inventory.new(), size), first):
                self._partitions.add(number, chunk)
                sizes[number] = len(chunk)
        return sizes, num_new

    def _size(self, begun: jobs.Begun | None, num_new: int) -> int:
        """Return the size of new partitions; begin the output if it is new."""
        chosen = self._config.partition_size
        if begun is None:
            size = default_size(num_new) if chosen is None else chosen
            begun = jobs.Begun(
                self._answers, self._source.argument, self._source.folder, size
            )
            jobs.write_job(self._store, self._output, begun)
        return chosen or begun.partition_size

    def _todo(self, sizes: dict[int, int]) -> list[Partition]:
        done = set(numbered("part", self._store.names(self._output)))
        redo = self._config.redo_errors
        return [
            Partition(number, size, number in done)
            for number, size in sizes.items()
            if redo or number not in done
        ]

    def _work(
        self, engine: Engine, start: Start, todo: list[Partition], advance: Advance
    ) -> list[Done]:
        """Have partitions labelled; return what became of each."""
        results: list[Done] = []
        failures = 0
        with closing(_closable(engine.map(start, todo))) as all_done:
            for done in all_done:
                results.append(done)
                advance(done.partition.num_inputs)
                failures = failures + 1 if done.failure else 0
                if failures == MAX_FAILURES:
                    raise EdgeclfError(
                        f"{failures} partitions in a row could not be labelled: "
                        f"{done.failure} What is done is kept."
                    )
        return results


def _closable(results: Iterator[Done]) -> Generator[Done, None, None]:
    yield from results


def _ignore(_: int) -> None:
    pass
