"""Read a flatbuffer by field slot, without a schema package, trusting no byte of it.

Slots are the positions of fields in a published schema. Source of the layout of tables
and vectors: https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError

MODEL_IDENTIFIER = b"TFL3"
METADATA_IDENTIFIER = b"M001"
ALIGNMENT = 4  # of tables, and of the lengths of vectors
MAX_TABLES = 100_000  # large models have some thousand; it bounds the time
MAX_ELEMENTS = 16 << 20  # letters of names, and numbers, 36 bytes each in Python

_INT32 = struct.Struct("<i")
_UINT32 = struct.Struct("<I")
_TWO_UINT16 = struct.Struct("<2H")


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
        struct.error: The file is cut short.
    """
    if content[4:8] != identifier:
        raise ModelError(
            f"Expected a flatbuffer with the identifier {identifier.decode()}. "
            f"Received: {content[4:8]!r}, {len(content)} bytes."
        )
    reader = Reader(content)
    return Table(reader, reader.indirect(0))


class Reader:
    """Tables and vectors of one file.

    Reading outside the file raises `struct.error`; offsets only lead forwards, so that
    no table can hold itself.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._vtables: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._tables_left = MAX_TABLES
        self._elements_left = min(len(content), MAX_ELEMENTS)

    def table(self, position: int) -> tuple[int, ...]:
        """Return the offsets of a table's fields from its position, 0 for absent."""
        start = position - self.unpack(_INT32, position)
        vtable = self._vtables.get(start)
        if vtable is None:
            vtable = self._vtables[start] = self._vtable(start)
        size, offsets = vtable
        self._tables_left -= 1
        end = position + size
        if position % ALIGNMENT or end > len(self.content) or self._tables_left < 0:
            raise ModelError(f"The TFLite model is damaged: a table at {position}.")
        return offsets

    def _vtable(self, start: int) -> tuple[int, tuple[int, ...]]:
        if start < 0:
            raise ModelError(f"The TFLite model is damaged: an offset to {start}.")
        length, size = _TWO_UINT16.unpack_from(self.content, start)
        offsets = struct.unpack_from(
            f"<{max(length - 4, 0) // 2}H", self.content, start + 4
        )
        if length < 4 or length % 2 or max(offsets, default=0) >= size:
            raise ModelError(f"The TFLite model is damaged: a vtable at {start}.")
        return size, offsets

    def vector(self, position: int) -> tuple[int, int]:
        """Return start and length of the vector that a field refers to."""
        start = self.indirect(position)
        if start % ALIGNMENT:
            raise ModelError(f"The TFLite model is damaged: a vector at {start}.")
        count = self.unpack(_UINT32, start)
        self._count(count)
        return start + 4, count

    def tables(self, position: int) -> list[int]:
        """Return where the tables lie that a field refers to."""
        start, count = self.vector(position)
        offsets = struct.unpack_from(f"<{count}I", self.content, start)
        return [start + 4 * index + offset for index, offset in enumerate(offsets)]

    def array(self, position: int, dtype: str) -> NDArray[Any]:
        """Return the numbers that a field refers to."""
        start, count = self.vector(position)
        if not count:
            return np.empty(0, dtype)
        return np.frombuffer(self.content, dtype, count, start)

    def span(self, position: int) -> slice:
        """Return where bytes lie; they may lie there for several fields."""
        start = self.indirect(position)
        stop = start + 4 + int(self.unpack(_UINT32, start))
        if stop > len(self.content):
            raise ModelError(f"The TFLite model is cut short: it ends before {stop}.")
        return slice(start + 4, stop)

    def text(self, position: int) -> str:
        """Return the string that a field refers to."""
        span = self.span(position)
        self._count(span.stop - span.start)
        return self.content[span].decode(errors="replace")  # a name need not be UTF-8

    def indirect(self, position: int) -> int:
        """Return where the offset at a position leads."""
        return position + int(self.unpack(_UINT32, position))

    def unpack(self, code: struct.Struct, position: int) -> Any:
        """Return one number."""
        return code.unpack_from(self.content, position)[0]

    def _count(self, elements: int) -> None:
        """Bound what is read: a file may name the same bytes again and again.

        Four bytes or more are an element of a vector, so that files of any size may
        share some strings.
        """
        self._elements_left -= elements
        if self._elements_left < 0:
            raise ModelError(
                f"The TFLite model is damaged: {elements} elements are named."
            )


class Table:
    """A table of which the reader knows the fields."""

    def __init__(self, reader: Reader, position: int) -> None:
        self.reader = reader
        self.start = position
        self._offsets = reader.table(position)

    def position(self, slot: int) -> int:
        """Return where a field lies in the file, 0 when it is absent."""
        offset = self._offsets[slot] if slot < len(self._offsets) else 0
        return self.start + offset if offset else 0

    def number(self, slot: int, code: str = "i", default: float = 0) -> Any:
        """Return a scalar field; `code` is its format in the module `struct`."""
        position = self.position(slot)
        if not position:
            return default
        return struct.unpack_from(f"<{code}", self.reader.content, position)[0]

    def array(self, slot: int, dtype: str = "<i4") -> NDArray[Any]:
        """Return a field that is a vector of numbers, empty when it is absent."""
        position = self.position(slot)
        return self.reader.array(position, dtype) if position else np.empty(0, dtype)

    def text(self, slot: int) -> str | None:
        """Return a string field, None when it is absent."""
        position = self.position(slot)
        return self.reader.text(position) if position else None

    def table(self, slot: int) -> Table | None:
        """Return a table field, None when it is absent."""
        position = self.position(slot)
        reader = self.reader
        return Table(reader, reader.indirect(position)) if position else None

    def tables(self, slot: int) -> list[Table]:
        """Return a field that is a vector of tables, empty when it is absent."""
        position = self.position(slot)
        places = self.reader.tables(position) if position else []
        return [Table(self.reader, place) for place in places]
