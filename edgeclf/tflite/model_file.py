"""Parse a `.tflite` flatbuffer into plain tuples, trusting no byte of it.

What is read here is what interpreters read when they load a model, so that nothing in
it can send them outside the file. Slots are the positions of fields in the published
schema. Source: tensorflow/lite/schema/schema.fbs (identifier TFL3); the layout of
tables and vectors: https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError

ALIGNMENT = 4  # of tables, and of the lengths of vectors
MAX_TABLES = 100_000  # large models have some thousand; it bounds the time

_INT32 = struct.Struct("<i")
_UINT32 = struct.Struct("<I")
_TWO_UINT16 = struct.Struct("<2H")

Read: TypeAlias = "Callable[[Reader, int], Any]"
Field: TypeAlias = "tuple[int, Read, Any]"  # slot, how to read it, default


class Quantization(NamedTuple):
    """Scale and zero point of a tensor, or of each slice along `dimension`."""

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    dimension: int


class Dimension(NamedTuple):
    """How one dimension of a sparse tensor is stored; `format` 0 is dense."""

    format: int
    dense_size: int
    segments_type: int
    segments: Fields | None
    indices_type: int
    indices: Fields | None


class Sparsity(NamedTuple):
    """How a constant lies in its buffer that leaves zeros out."""

    traversal_order: tuple[int, ...]
    block_map: tuple[int, ...]
    dimensions: Sequence[Dimension]


class Tensor(NamedTuple):
    """A tensor as the file declares it; `signature` has -1 where a size may vary."""

    shape: tuple[int, ...]
    type: int
    buffer: int
    name: str
    quantization: Quantization | None
    is_variable: bool
    sparsity: Sparsity | None
    signature: tuple[int, ...]


class Operator(NamedTuple):
    """A node of a graph; input -1 is an optional one that is left out."""

    code: int  # of the schema's BuiltinOperator
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: int
    options: Fields | None
    custom_options: slice
    intermediates: tuple[int, ...]
    custom_offset: int
    custom_size: int
    options_2: Fields | None


class SubGraph(NamedTuple):
    """Tensors, and the operators between them in the order of execution."""

    tensors: Sequence[Tensor]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: Sequence[Operator]
    name: slice


class Buffer(NamedTuple):
    """Where a constant lies in the file: inside the flatbuffer, or behind it."""

    data: slice
    offset: int
    size: int


class OperatorCode(NamedTuple):
    """Which operator; old files have its number in the 8-bit field only."""

    old_code: int
    custom_name: slice
    code: int


class Metadata(NamedTuple):
    """A named buffer."""

    name: slice
    buffer: int


class TensorMap(NamedTuple):
    """A tensor by the name that a signature gives it."""

    name: str
    tensor: int


class Signature(NamedTuple):
    """An entry point of the model."""

    inputs: Sequence[TensorMap]
    outputs: Sequence[TensorMap]
    key: str
    subgraph: int


class Model(NamedTuple):
    """Everything that an interpreter reads of a file."""

    operator_codes: Sequence[OperatorCode]
    subgraphs: Sequence[SubGraph]
    buffers: Sequence[Buffer]
    metadata_buffers: tuple[int, ...]
    metadata: Sequence[Metadata]
    signatures: Sequence[Signature]


class Reader:
    """Tables and vectors of one file.

    Reading outside the file raises `struct.error`; offsets only lead forwards, so that
    no table can hold itself.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._vtables: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._tables_left = MAX_TABLES
        self._elements_left = len(content)

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
        # No two fields share a vector: there are not more elements than bytes.
        self._elements_left -= count
        if self._elements_left < 0:
            raise ModelError(
                f"The TFLite model is damaged: {count} elements are named."
            )
        return start + 4, count

    def indirect(self, position: int) -> int:
        """Return where the offset at a position leads."""
        return position + int(self.unpack(_UINT32, position))

    def unpack(self, code: struct.Struct, position: int) -> Any:
        """Return one number."""
        return code.unpack_from(self.content, position)[0]


class Fields(NamedTuple):
    """A table of which the reader knows the fields: one of a union's."""

    reader: Reader
    position: int
    offsets: tuple[int, ...]

    def number(self, slot: int, code: str = "i", default: float = 0) -> Any:
        """Return a field; `code` is its format in the module `struct`."""
        position = self._position(slot)
        return _scalar(code)(self.reader, position) if position else default

    def array(self, slot: int, dtype: str = "<i4") -> NDArray[Any]:
        """Return a field that is a vector of numbers, empty when it is absent."""
        position = self._position(slot)
        return _array(dtype)(self.reader, position) if position else np.empty(0, dtype)

    def _position(self, slot: int) -> int:
        offset = self.offsets[slot] if slot < len(self.offsets) else 0
        return self.position + offset if offset else 0


def _scalar(code: str) -> Read:
    number = struct.Struct("<" + code)
    return lambda reader, position: reader.unpack(number, position)


def _integers(reader: Reader, position: int) -> tuple[int, ...]:
    start, count = reader.vector(position)
    return struct.unpack_from(f"<{count}i", reader.content, start)


def _array(dtype: str) -> Read:
    def read(reader: Reader, position: int) -> NDArray[Any]:
        start, count = reader.vector(position)
        if not count:
            return np.empty(0, dtype)
        return np.frombuffer(reader.content, dtype, count, start)

    return read


def _span(reader: Reader, position: int) -> slice:
    """Return where bytes lie; they may lie there for several fields."""
    start = reader.indirect(position)
    stop = start + 4 + int(reader.unpack(_UINT32, start))
    if stop > len(reader.content):
        raise ModelError(f"The TFLite model is cut short: it ends before {stop}.")
    return slice(start + 4, stop)


def _text(reader: Reader, position: int) -> str:
    return reader.content[_span(reader, position)].decode()


def _union(reader: Reader, position: int) -> Fields:
    start = reader.indirect(position)
    return Fields(reader, start, reader.table(start))


def _subtable(make: Callable[..., Any], fields: Sequence[Field]) -> Read:
    table = _table_of(make, fields)
    return lambda reader, position: table(reader, reader.indirect(position))


def _subtables(make: Callable[..., Any], fields: Sequence[Field]) -> Read:
    table = _table_of(make, fields)

    def read(reader: Reader, position: int) -> list[Any]:
        start, count = reader.vector(position)
        offsets = struct.unpack_from(f"<{count}I", reader.content, start)
        return [
            table(reader, start + 4 * index + offset)
            for index, offset in enumerate(offsets)
        ]

    return read


def _table_of(make: Callable[..., Any], fields: Sequence[Field]) -> Read:
    """Return what reads a table: the fields, in this order, given to `make`."""

    def read(reader: Reader, position: int) -> Any:
        offsets = reader.table(position)
        known = len(offsets)
        return make(
            *[
                read_field(reader, position + offsets[slot])
                if slot < known and offsets[slot]
                else default
                for slot, read_field, default in fields
            ]
        )

    return read


_NOTHING = slice(0, 0)
_BYTE, _INT, _UINT = _scalar("b"), _scalar("i"), _scalar("I")
_UBYTE, _UINT64 = _scalar("B"), _scalar("Q")

_DIMENSION = [
    (0, _BYTE, 0),
    (1, _INT, 0),
    (2, _UBYTE, 0),
    (3, _union, None),
    (4, _UBYTE, 0),
    (5, _union, None),
]
_SPARSITY = [
    (0, _integers, ()),
    (1, _integers, ()),
    (2, _subtables(Dimension, _DIMENSION), ()),
]
_QUANTIZATION = [
    (2, _array("<f4"), np.empty(0, np.float32)),
    (3, _array("<i8"), np.empty(0, np.int64)),
    (6, _INT, 0),
]
_TENSOR = [
    (0, _integers, ()),
    (1, _BYTE, 0),
    (2, _UINT, 0),
    (3, _text, ""),
    (4, _subtable(Quantization, _QUANTIZATION), None),
    (5, _scalar("?"), False),
    (6, _subtable(Sparsity, _SPARSITY), None),
    (7, _integers, ()),
]
_OPERATOR = [
    (0, _UINT, 0),
    (1, _integers, ()),
    (2, _integers, ()),
    (3, _UBYTE, 0),
    (4, _union, None),
    (5, _span, _NOTHING),
    (8, _integers, ()),
    (9, _UINT64, 0),
    (10, _UINT64, 0),
    (12, _union, None),
]
_SUBGRAPH = [
    (0, _subtables(Tensor, _TENSOR), ()),
    (1, _integers, ()),
    (2, _integers, ()),
    (3, _subtables(Operator, _OPERATOR), ()),
    (4, _span, _NOTHING),
]
_BUFFER = [(0, _span, _NOTHING), (1, _UINT64, 0), (2, _UINT64, 0)]
_TENSOR_MAP = [(0, _text, ""), (1, _UINT, 0)]
_SIGNATURE = [
    (0, _subtables(TensorMap, _TENSOR_MAP), ()),
    (1, _subtables(TensorMap, _TENSOR_MAP), ()),
    (2, _text, ""),
    (4, _UINT, 0),
]
_MODEL = _table_of(
    Model,
    [
        (
            1,
            _subtables(
                OperatorCode, [(0, _BYTE, 0), (1, _span, _NOTHING), (3, _INT, 0)]
            ),
            (),
        ),
        (2, _subtables(SubGraph, _SUBGRAPH), ()),
        (4, _subtables(Buffer, _BUFFER), ()),
        (5, _integers, ()),
        (6, _subtables(Metadata, [(0, _span, _NOTHING), (1, _UINT, 0)]), ()),
        (7, _subtables(Signature, _SIGNATURE), ()),
    ],
)


def parse(content: bytes) -> Model:
    """Parse a model.

    Raises:
        ModelError, struct.error, LookupError, ValueError: An offset leads outside the
            file, or to what cannot be read.
    """
    reader = Reader(content)
    model: Model = _MODEL(reader, reader.indirect(0))
    codes = [max(code.old_code, code.code) for code in model.operator_codes]
    graphs = [
        graph._replace(
            operators=[
                operator._replace(code=codes[operator.code])
                for operator in graph.operators
            ]
        )
        for graph in model.subgraphs
    ]
    return model._replace(subgraphs=graphs)
