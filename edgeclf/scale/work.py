"""What a worker does, on every engine: label the pictures of one partition."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from edgeclf.classifier import Classifier
from edgeclf.console import sentence
from edgeclf.decoder import ImageSource
from edgeclf.embedder import Embedder
from edgeclf.errors import ImageError
from edgeclf.image import load
from edgeclf.labelling.workers import PICTURE_ERRORS, named
from edgeclf.results import label_of
from edgeclf.scale.partitions import Partitions
from edgeclf.scale.pictures import Opener, Picture, begun
from edgeclf.scale.places import UnreachableError, joined
from edgeclf.scale.rows import Row, count_errors, decoded, encoded


class Partition(NamedTuple):
    """What an engine hands to a worker.

    Attributes:
        number: Of the partition.
        num_inputs: How many inputs it has.
        redo: Whether it is done already, and only pictures with an error are done
            again.
    """

    number: int
    num_inputs: int
    redo: bool = False


class Done(NamedTuple):
    """What became of a partition.

    Attributes:
        partition: Which one.
        num_done: Pictures that were labelled, those with an error included.
        num_errors: How many have an error.
        failure: Why there is no file of results; "" if there is one.
    """

    partition: Partition
    num_done: int
    num_errors: int
    failure: str = ""


@dataclass(frozen=True)
class Labelling:
    """How pictures are labelled.

    Attributes:
        model_name: What errors call the model.
        model: Content of the `.tflite` file: workers need no disk in common for it.
        labels: The names of its classes, if they are not its own.
        arguments: What else `Classifier` takes.
        choice: What `Classifier.classify` takes: how many labels, and which.
        view: What it takes of region and rotation.
        bottleneck: Whether bottlenecks are wanted too.
    """

    model_name: str
    model: bytes
    labels: tuple[str, ...] | None
    arguments: Mapping[str, Any]
    choice: Mapping[str, Any]
    view: Mapping[str, Any]
    bottleneck: bool

    def classifier(self) -> Classifier:
        """Open the model; what it raises, `Classifier` tells."""
        return Classifier(self._file(), labels=self.labels, **self.arguments)

    def embedder(self) -> Embedder | None:
        """Open the model for its bottlenecks, if they are wanted."""
        if not self.bottleneck:
            return None
        return Embedder(self._file(), **self.arguments)

    def _file(self) -> io.BytesIO:
        file: Any = io.BytesIO(self.model)
        file.name = self.model_name
        return file  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Start:
    """Starts a worker; called once in its process.

    Attributes:
        labelling: How.
        opener: Where the pictures are.
        output: The folder of results.
        metadata: For the schema of the results.
    """

    labelling: Labelling
    opener: Opener
    output: str
    metadata: Mapping[str, str]

    def __call__(self) -> Worker:
        """Load the model."""
        return Worker(self)


class Worker:
    """Labels partitions, one after the other."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._store = start.opener.store
        self._partitions = Partitions(self._store, start.output)
        self._classifier = start.labelling.classifier()
        self._embedder = start.labelling.embedder()

    def __call__(self, partition: Partition) -> Done:
        """Label the pictures of a partition and write their file.

        The file has the same bytes whoever writes it, and however often.

        Raises:
            OSError: The results cannot be written on this machine.
        """
        path = joined(self._start.output, results_name(partition.number))
        try:
            if partition.redo and not count_errors(self._store, path):
                return Done(partition, 0, 0)
            names = self._partitions.inputs(partition.number)
            # What has its labels keeps them: its picture may be gone.
            kept: list[Row | None] = [None] * len(names)
            if partition.redo:
                before = decoded(self._store, path)
                kept = [row if row.error is None else None for row in before]
            todo = [name for name, row in zip(names, kept, strict=True) if row is None]
            new = map(self._row, self._start.opener.pictures(todo))
            rows = [row if row is not None else next(new) for row in kept]
            content = encoded(
                rows,
                self._start.metadata,
                bottleneck=self._start.labelling.bottleneck,
            )
            self._store.write(path, content)
        except UnreachableError as error:
            return Done(partition, 0, 0, str(error))
        num_errors = sum(row.error is not None for row in rows)
        return Done(partition, len(todo), num_errors)

    def _row(self, picture: Picture) -> Row:
        path, source, error = picture
        if source is None:
            return Row(path, None, None, error)
        try:
            if isinstance(source, bytes):
                return self._labelled(path, named(source, path))
            with open(source, "rb") as file:  # noqa: PTH123
                return self._labelled(path, file)
        except PICTURE_ERRORS as reason:
            self._start.opener.check_disk(reason, path)
            text = sentence(reason)
            if isinstance(source, str):
                if isinstance(reason, ImageError):
                    self._start.opener.check_readable(source)
                text = text.replace(source, path)
            return Row(path, None, None, begun(path, text))

    def _labelled(self, path: str, image: ImageSource) -> Row:
        labelling = self._start.labelling
        size = self._classifier.input_size
        view = labelling.view
        if self._embedder is not None and size is not None:
            # Decoded once: that takes most of the time.
            image = load(image, size, resize=self._classifier.resize, **view)
            view = {}
        categories = self._classifier.classify(image, **labelling.choice, **view)
        vector = None
        if self._embedder is not None:
            vector = self._embedder.embed(image, **view)
        return Row(
            path,
            [label_of(category) for category in categories],
            [category.score for category in categories],
            None,
            vector,
        )


def results_name(number: int) -> str:
    """Return the name of a partition's file of results."""
    return f"part-{number:07}.parquet"
