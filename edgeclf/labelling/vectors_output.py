"""Write the vectors of pictures: JSON lines, CSV, or a NumPy file."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from edgeclf.files import write_bytes
from edgeclf.inputs.paths import IMAGE_ENDINGS

LINE_FORMATS = ("json", "csv")
ARRAYS = "npz"
FORMATS = (*LINE_FORMATS, ARRAYS)

Vector = NDArray[np.float32]
Report = Callable[[str, "Vector | None", str], None]
"""Takes one picture's name and its vector, or None and the error."""


def format_of(path: str | None, wanted: str | None) -> str:
    """Return which of `FORMATS` is written.

    Args:
        path: Where to; None for stdout.
        wanted: What the user asked for; None: by the ending, else JSON lines.

    Raises:
        ValueError: A NumPy file is wanted on stdout, or the file has the ending of
            something else.
    """
    ending = "" if path is None else os.path.splitext(path)[1].lower()  # noqa: PTH122
    if ending in IMAGE_ENDINGS:
        raise ValueError(f"Expected --output with another ending. Received: {path}")
    if ending == ".npy":  # has no room for the names
        raise ValueError(f"Expected --output with the ending .npz. Received: {path}")
    chosen = wanted or (ending[1:] if ending[1:] in FORMATS else LINE_FORMATS[0])
    if path is None and chosen == ARRAYS:
        raise ValueError(f"Expected --output FILE with --format {chosen}.")
    return chosen


def line_reporter(output_format: str, stream: TextIO, depth: int) -> Report:
    """Return what writes a line for each picture, at once.

    JSON: `{"image": ..., "embedding": [...]}`, or with `error`. CSV: the columns image,
    error, and one for each of the `depth` numbers.
    """
    if output_format == "csv":
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("image", "error", *range(depth)))

        def report_row(name: str, vector: Vector | None, error: str) -> None:
            writer.writerow((name, error, *(() if vector is None else vector.tolist())))
            stream.flush()

        return report_row

    ascii_only = (stream.encoding or "").lower() not in ("utf-8", "utf8")

    def report(name: str, vector: Vector | None, error: str) -> None:
        line: dict[str, object] = {"image": name}
        if vector is None:
            line["error"] = error
        else:
            line["embedding"] = vector.tolist()
        stream.write(json.dumps(line, ensure_ascii=ascii_only) + "\n")
        stream.flush()

    return report


def write_arrays(path: str, names: Sequence[str], vectors: Sequence[Vector]) -> None:
    """Write a float32 matrix with a row for each picture, and the names.

    Args:
        path: The `npz` file, which holds them as `embeddings` and `images`.
        names: Of the pictures that have a vector, one at least.
        vectors: Theirs, of one length.

    Raises:
        OSError: The file cannot be written.
    """
    # In memory first: what packs the file prints errors of a full disk by itself.
    content = io.BytesIO()
    np.savez(content, embeddings=np.stack(vectors), images=np.array(names, np.str_))
    write_bytes(path, content.getvalue())
