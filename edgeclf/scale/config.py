"""What is labelled, how, and where to; and what came of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeclf.labels import Labels
from edgeclf.scale.places import absolute, is_url


@dataclass(frozen=True)
class LabelConfig:
    """One job: pictures in, a Parquet dataset out.

    Attributes:
        source: A folder, a Parquet file or a folder of such, a list of paths (`.txt`,
            `.csv`; `-` for stdin), on this machine or in a store of fsspec.
        output: The folder of results, here or in a store: new, or of the same job.
        model: Path of the `.tflite` file.
        labels: As for `Classifier`.
        bottleneck: Whether to write what the model's last layer sees, as `Embedder`
            returns it. It costs a second inference.
        top_k: As for `Classifier.classify`, like the next four.
        score_threshold: See there.
        allow: See there.
        deny: See there.
        reject: See there.
        region: As for `Classifier.classify`.
        rotation: Likewise.
        model_arguments: What else `Classifier` takes, by name.
        column: Of a table: where the paths or pictures are. Default: see
            `edgeclf.scale.tables.Table`.
        partition_size: Pictures in one file of results. Default: that of the job;
            of a new one 1000, or fewer if there are fewer than 256,000.
        storage_options: For the stores of source and output, as fsspec takes them.
        allow_private: Whether web addresses may lead to private networks.
        redo_errors: Label those pictures again that have an error.

    Raises:
        ValueError: A value is outside its range.
    """

    source: str
    output: str
    model: str
    labels: Labels | None = None
    bottleneck: bool = False
    top_k: int | None = None
    score_threshold: float | None = None
    allow: Sequence[str] | None = None
    deny: Sequence[str] | None = None
    reject: bool = False
    region: Sequence[float] | None = None
    rotation: int = 0
    model_arguments: Mapping[str, Any] = field(default_factory=dict)
    column: str | None = None
    partition_size: int | None = None
    storage_options: Mapping[str, Any] = field(default_factory=dict)
    allow_private: bool = False
    redo_errors: bool = False

    def __post_init__(self) -> None:
        for name in ("source", "output"):
            value = os.fspath(getattr(self, name))
            if not value:
                raise ValueError(f"Expected the {name}'s name. Received: {name}=''")
            if value.lower().startswith("file://"):
                value = value[len("file://") :]
            object.__setattr__(self, name, value)
        if self.partition_size is not None and self.partition_size < 1:
            raise ValueError(
                "Expected 1 picture or more in a partition. "
                f"Received: partition_size={self.partition_size}"
            )

    @property
    def place(self) -> str:
        """The output by a name that does not depend on the working directory."""
        if is_url(self.output):
            return self.output
        return absolute(str(Path.cwd()), self.output)


@dataclass(frozen=True)
class LabelResult:
    """What a run of a job did.

    Attributes:
        num_inputs: Inputs of the job so far, over all of its runs.
        num_new: Those that this run found and no run before.
        num_done: Pictures that this run labelled, those with an error included.
        num_errors: How many of those have an error.
        num_missing: Inputs that have no row yet, or with `redo_errors` that of
            before: a store or a disk did not answer.
        missing_partitions: The numbers of the partitions that they belong to.
        failure: What the first of these failed with; "" if none is missing.
        unreadable_folders: How many folders of the source may not be read.
        seconds: What it took.
    """

    num_inputs: int
    num_new: int
    num_done: int
    num_errors: int
    num_missing: int
    missing_partitions: tuple[int, ...]
    failure: str
    unreadable_folders: int
    seconds: float

    @property
    def pictures_per_second(self) -> float:
        """How many pictures a second were labelled; 0 where none were."""
        return self.num_done / self.seconds if self.num_done else 0.0

    @property
    def is_complete(self) -> bool:
        """Whether every input has a row without an error that this run has seen."""
        return not (self.num_errors or self.num_missing or self.unreadable_folders)
