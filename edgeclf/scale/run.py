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

import hashlib
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

import edgeclf
from edgeclf.engines.engine import Engine
from edgeclf.engines.local import LocalEngine
from edgeclf.errors import DatasetError, EdgeclfError
from edgeclf.labels import given_labels
from edgeclf.scale import job as jobs
from edgeclf.scale import parquet_extra
from edgeclf.scale.config import LabelConfig, LabelResult
from edgeclf.scale.listing import Source
from edgeclf.scale.partitions import Inventory, Partitions, cut, default_size, numbered
from edgeclf.scale.pictures import Opener
from edgeclf.scale.places import Store
from edgeclf.scale.work import Done, Labelling, Partition, Start

# Partitions, one after the other, whose store or disk does not answer: it will not.
MAX_FAILURES = 20

Advance = Callable[[int], None]
"""Takes how many more pictures are done."""

logger = logging.getLogger("edgeclf")


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
    parquet_extra.require()
    started = time.monotonic()
    labelling = _labelling(config)
    source = Source(
        config.source, str(Path.cwd()), Store(config.storage_options), config.column
    )
    source.check()
    with jobs.held(config.place):
        run = _Run(config, labelling, source)
        todo = run.plan()
        advance = begin(sum(each.num_inputs for each in todo)) if begin else _ignore
        results = run.work(LocalEngine() if engine is None else engine, todo, advance)
    return LabelResult(
        num_inputs=run.num_inputs,
        num_new=run.num_new,
        num_done=sum(done.num_done for done in results),
        num_errors=sum(done.num_errors for done in results),
        **_missing(results),
        unreadable_folders=source.unreadable,
        seconds=time.monotonic() - started,
    )


class _Run:
    """One run of a job."""

    def __init__(
        self, config: LabelConfig, labelling: Labelling, source: Source
    ) -> None:
        self._config = config
        self._output = config.place
        self._store = Store(config.storage_options)
        self._source = source
        self._labelling = labelling
        self._partitions = Partitions(self._store, self._output)
        self.num_inputs = self.num_new = 0
        self._answers = _answers(config, labelling, source)
        self._job = jobs.read_job(self._store, self._output)
        if self._job is not None:
            jobs.check_same(config.output, self._job["answers"], self._answers)
            # Its own spelling: `photos` and `./photos` are the same inputs.
            source.argument = self._job["source"]
            source.folder = self._job["folder"]
        self._opener = Opener(
            self._store,
            source.folders,
            source.root,
            source.table(),
            config.allow_private,
        )

    def plan(self) -> list[Partition]:
        """Put new inputs into partitions; return the partitions to work on."""
        sizes: dict[int, int] = {}
        with closing(Inventory()) as inventory:
            for number in self._partitions.numbers():
                names = self._partitions.inputs(number)
                sizes[number] = inventory.add(iter(names), is_new=False)
            inventory.add(self._source.names(), is_new=True)
            self.num_new = inventory.count_new()
            if not sizes and not self.num_new:
                raise self._nothing()
            size = self._size()
            first = max(sizes, default=-1) + 1
            for number, chunk in enumerate(cut(inventory.new(), size), first):
                self._partitions.add(number, chunk)
                sizes[number] = len(chunk)
        self.num_inputs = sum(sizes.values())
        done = set(numbered("part", self._store.names(self._output)))
        redo = self._config.redo_errors
        return [
            Partition(number, size, number in done)
            for number, size in sizes.items()
            if redo or number not in done
        ]

    def work(
        self, engine: Engine, todo: list[Partition], advance: Advance
    ) -> list[Done]:
        """Have partitions labelled; return what became of each."""
        start = Start(
            self._labelling,
            self._opener,
            self._output,
            {
                "edgeclf.version": edgeclf.__version__,
                "edgeclf.model": Path(self._labelling.model_name).name,
                "edgeclf.model_sha256": self._answers["model"],
            },
        )
        results: list[Done] = []
        failures = 0
        with closing(_closable(engine.map(start, todo))) as all_done:
            for done in all_done:
                results.append(done)
                advance(done.partition.num_inputs)
                failures = failures + 1 if done.failure else 0
                if done.failure and failures == 1:
                    logger.warning("%s", done.failure)
                if failures >= MAX_FAILURES:
                    raise EdgeclfError(
                        f"{failures} partitions in a row could not be labelled: "
                        f"{done.failure} What is done is kept."
                    )
        return results

    def _size(self) -> int:
        """Return the size of new partitions; begin the job if it is new."""
        chosen = self._config.partition_size
        if self._job is None:
            size = default_size(self.num_new) if chosen is None else chosen
            self._job = {
                "answers": self._answers,
                "source": self._source.argument,
                "folder": self._source.folder,
                "partition_size": size,
                "edgeclf": edgeclf.__version__,
                "model": Path(self._labelling.model_name).name,
            }
            jobs.write_job(self._store, self._output, self._job)
        return int(chosen or self._job["partition_size"])

    def _nothing(self) -> EdgeclfError:
        return DatasetError(
            f"Expected pictures in {self._config.source}, or their paths. "
            "Received: none."
        )


def _labelling(config: LabelConfig) -> Labelling:
    """Read and try the model: refuse now what would be every picture's error."""
    labels = None if config.labels is None else given_labels(config.labels)[0]
    labelling = Labelling(
        model_name=os.fspath(config.model),
        model=Path(config.model).read_bytes(),
        labels=labels,
        arguments=dict(config.model_arguments),
        choice={
            "top_k": config.top_k,
            "score_threshold": config.score_threshold,
            "allow": config.allow and sorted(config.allow),
            "deny": config.deny and sorted(config.deny),
            "reject": config.reject,
        },
        view={"region": config.region, "rotation": config.rotation},
        bottleneck=config.bottleneck,
    )
    with labelling.classifier() as classifier:
        classifier.classify(np.zeros((1, 1, 3), np.uint8), **labelling.choice)
    if embedder := labelling.embedder():
        embedder.close()
    return labelling


def _answers(
    config: LabelConfig, labelling: Labelling, source: Source
) -> dict[str, Any]:
    """Return everything that decides what is written."""
    arguments = {
        name: value
        for name, value in labelling.arguments.items()
        if value is not None and name != "num_threads"
    }
    given = {
        "model": hashlib.sha256(labelling.model).hexdigest(),
        "labels": labelling.labels,
        "bottleneck": config.bottleneck,
        "source": source.place,
        "column": config.column,
        **labelling.choice,
        **labelling.view,
        **arguments,
    }
    return {name: value for name, value in given.items() if value not in (None, False)}


def _missing(results: list[Done]) -> dict[str, Any]:
    failed = [done for done in results if done.failure]
    return {
        "num_missing": sum(done.partition.num_inputs for done in failed),
        "missing_partitions": tuple(sorted(done.partition.number for done in failed)),
        "failure": failed[0].failure if failed else "",
    }


def _closable(results: Iterator[Done]) -> Generator[Done, None, None]:
    yield from results


def _ignore(_: int) -> None:
    pass
