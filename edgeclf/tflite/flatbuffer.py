"""Read a `.tflite` flatbuffer by field slot, without a schema package.

Slots are the positions of fields in the published schemas. Source:
tensorflow/lite/schema/schema.fbs (identifier TFL3) and
tflite-support metadata_schema.fbs (identifier M001).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    Table = Any  # flatbuffers.table.Table: flatbuffers is untyped

MODEL_IDENTIFIER = b"TFL3"
METADATA_IDENTIFIER = b"M001"


@contextmanager
def damage_reported() -> Iterator[None]:
    """Turn what reading damaged bytes raises into a `ModelError`."""
    try:
        yield
    except (
        struct.error,
        ValueError,
        TypeError,
        LookupError,
        OverflowError,
        MemoryError,
        RecursionError,
    ) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"The TFLite model is damaged: {error}.") from error


def root(content: bytes, identifier: bytes) -> Table:
    """Return the root table of a flatbuffer.

    Raises:
        ModelError: The file identifier is another one.
        MissingExtraError: The package flatbuffers is not installed.
    """
    if content[4:8] != identifier:
        raise ModelError(
            f"Expected a flatbuffer with the identifier {identifier.decode()}. "
            f"Received: {content[4:8]!r}, {len(content)} bytes."
        )
    try:
        from flatbuffers.table import Table  # only foreign files need it
    except ImportError as error:  # pragma: no cover - a dependency of edgeclf
        raise MissingExtraError(
            "Reading this model's metadata needs the package flatbuffers. Install it "
            "with: pip install flatbuffers"
        ) from error
    return Table(content, struct.unpack_from("<I", content)[0])


def field(table: Table, slot: int) -> int:
    """Return the position of a field in the buffer, 0 when it is absent."""
    offset = table.Offset(4 + 2 * slot)  # a vtable begins with two 16-bit sizes
    return int(table.Pos + offset) if offset else 0


def integer(table: Table, slot: int, code: str, default: int = 0) -> int:
    """Return a scalar field; `code` is its format in the module `struct`."""
    position = field(table, slot)
    if not position:
        return default
    return int(struct.unpack_from("<" + code, table.Bytes, position)[0])


def real(table: Table, slot: int) -> float:
    """Return a float field, 0 when it is absent."""
    position = field(table, slot)
    if not position:
        return 0.0
    return float(struct.unpack_from("<f", table.Bytes, position)[0])


def text(table: Table, slot: int) -> str | None:
    """Return a string field, None when it is absent."""
    position = field(table, slot)
    if not position:
        return None
    return bytes(table.String(position)).decode()


def subtable(table: Table, slot: int) -> Table | None:
    """Return a table field, None when it is absent."""
    position = field(table, slot)
    return type(table)(table.Bytes, table.Indirect(position)) if position else None


def subtables(table: Table, slot: int) -> list[Table]:
    """Return a field that is a vector of tables, empty when it is absent."""
    position = field(table, slot)
    if not position:
        return []
    start = int(table.Vector(position - table.Pos))
    count = int(table.VectorLen(position - table.Pos))
    if start + 4 * count > len(table.Bytes):
        raise ModelError(f"The TFLite model is cut short: {count} tables are named.")
    return [
        type(table)(table.Bytes, table.Indirect(start + 4 * index))
        for index in range(count)
    ]


def numbers(table: Table, slot: int, dtype: str) -> NDArray[Any]:
    """Return a field that is a vector of numbers, empty when it is absent."""
    position = field(table, slot)
    if not position:
        return np.empty(0, dtype)
    start = table.Vector(position - table.Pos)
    count = table.VectorLen(position - table.Pos)
    if not count:
        return np.empty(0, dtype)
    return np.frombuffer(table.Bytes, dtype, count, start)


def buffer_data(buffer: Table) -> bytes:
    """Return the data of a `Buffer`, which may lie outside the flatbuffer."""
    offset, size = integer(buffer, 1, "Q"), integer(buffer, 2, "Q")
    if offset > 1:  # 0: inside; 1: a placeholder while writing
        if offset + size > len(buffer.Bytes):
            raise ModelError("The TFLite model is cut short: a buffer is missing.")
        return bytes(buffer.Bytes[offset : offset + size])
    return numbers(buffer, 0, "u1").tobytes()
