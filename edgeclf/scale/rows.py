"""The rows of the results, as a Parquet file whose bytes they alone decide."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeclf.scale.partitions import COMPRESSION
from edgeclf.scale.places import Store
from edgeclf.scale.tables import open_table

ERRORS = "edgeclf.errors"  # how many rows of a file have one


class Row(NamedTuple):
    """What became of one picture.

    Attributes:
        path: What the source calls it.
        labels: The best first; None if there is an error.
        scores: Theirs, in [0, 1].
        error: A sentence; None when all went well.
        bottleneck: float32 of shape `(depth,)`; None if not wanted, or for an error.
    """

    path: str
    labels: Sequence[str] | None
    scores: Sequence[float] | None
    error: str | None
    bottleneck: NDArray[np.float32] | None = None


def encoded(
    rows: Sequence[Row], metadata: Mapping[str, str], *, bottleneck: bool
) -> bytes:
    """Return a Parquet file.

    Args:
        rows: Of one partition, in order.
        metadata: For the schema.
        bottleneck: Whether there is a column of that name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {
        "path": pa.array([row.path for row in rows], pa.string()),
        "labels": pa.array([row.labels for row in rows], pa.list_(pa.string())),
        "scores": pa.array([row.scores for row in rows], pa.list_(pa.float32())),
        "error": pa.array([_text(row.error) for row in rows], pa.string()),
    }
    if bottleneck:
        vectors = [row.bottleneck for row in rows]
        columns["bottleneck"] = pa.array(vectors, pa.list_(pa.float32()))
    num_errors = sum(row.error is not None for row in rows)
    schema_metadata = {**metadata, ERRORS: str(num_errors)}
    table = pa.table(columns).replace_schema_metadata(schema_metadata)
    content = io.BytesIO()
    pq.write_table(table, content, compression=COMPRESSION)
    return content.getvalue()


def count_errors(store: Store, path: str) -> int:
    """Return how many rows of a file of `encoded` have an error.

    Raises:
        DatasetError: It is damaged.
        OSError: It cannot be read.
    """
    with open_table(store, path) as file:
        return int(file.schema_arrow.metadata[ERRORS.encode()])


def decoded(store: Store, path: str) -> list[Row]:
    """Return the rows of a file of `encoded`, in order.

    Raises:
        DatasetError: It is damaged.
        OSError: It cannot be read.
    """
    with open_table(store, path) as file:
        rows = file.read(use_threads=False).to_pylist()
    for row in rows:
        if row.get("bottleneck") is not None:
            row["bottleneck"] = np.array(row["bottleneck"], np.float32)
    return [Row(**row) for row in rows]


def readable(name: bytes) -> str:
    r"""Return a name as text that UTF-8 can say; other bytes are written `\xff`."""
    return name.decode("utf-8", "backslashreplace")


def _text(error: str | None) -> str | None:
    return None if error is None else readable(os.fsencode(error))
