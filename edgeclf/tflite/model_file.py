"""Parse a `.tflite` flatbuffer into plain objects, trusting no byte of it.

What is read here is what interpreters read when they load a model, so that nothing in
it can send them outside the file. Source of the fields:
tensorflow/lite/schema/schema.fbs (identifier TFL3).

The classes only name what is read. They are no tuples and no dataclasses: making
twelve of these takes longer than checking a model.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.tflite.flatbuffer import MODEL_IDENTIFIER, Reader, Table, root

Read: TypeAlias = "Callable[[Reader, int], Any]"
Field: TypeAlias = "tuple[int, Read, Any]"  # slot, how to read it, default


class Quantization:
    """Scale and zero point of a tensor, or of each slice along `dimension`."""

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    dimension: int


class Dimension:
    """How one dimension of a sparse tensor is stored; `format` 0 is dense."""

    format: int
    dense_size: int
    segments_type: int
    segments: Table | None
    indices_type: int
    indices: Table | None


class Sparsity:
    """How a constant lies in its buffer that leaves zeros out."""

    traversal_order: tuple[int, ...]
    block_map: tuple[int, ...]
    dimensions: Sequence[Dimension]


class Tensor:
    """A tensor as the file declares it.

    `signature` has -1 where a size may vary. Without `has_rank` an empty shape may be
    that of a tensor whose dimensions are not known; old files never have it.
    """

    shape: tuple[int, ...]
    type: int
    buffer: int
    name: str
    quantization: Quantization | None
    is_variable: bool
    sparsity: Sparsity | None
    signature: tuple[int, ...]
    has_rank: bool


class Operator:
    """A node of a graph; input -1 is an optional one that is left out."""

    code: int  # of the schema's BuiltinOperator
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: int
    options: Table | None
    custom_options: slice
    intermediates: tuple[int, ...]
    custom_offset: int
    custom_size: int
    options_2: Table | None


class SubGraph:
    """Tensors, and the operators between them in the order of execution."""

    tensors: Sequence[Tensor]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: Sequence[Operator]
    name: slice


class Buffer:
    """Where a constant lies in the file: inside the flatbuffer, or behind it."""

    data: slice
    offset: int
    size: int

    def place(self, file_bytes: int) -> slice:
        """Return where it lies, in a file of this size.

        Raises:
            ModelError: It would end outside the file.
        """
        if self.offset <= 1:  # 0: inside; 1: a placeholder while writing
            return self.data
        if self.offset + self.size > file_bytes:
            raise ModelError("The TFLite model is cut short: a buffer is missing.")
        return slice(self.offset, self.offset + self.size)


class OperatorCode:
    """Which operator; old files have its number in the 8-bit field only."""

    old_code: int
    custom_name: slice
    code: int


class Metadata:
    """A named buffer."""

    name: slice
    buffer: int


class TensorMap:
    """A tensor by the name that a signature gives it."""

    name: str
    tensor: int


class Signature:
    """An entry point of the model."""

    inputs: Sequence[TensorMap]
    outputs: Sequence[TensorMap]
    key: str
    subgraph: int


class Model:
    """Everything that an interpreter reads of a file."""

    operator_codes: Sequence[OperatorCode]
    subgraphs: Sequence[SubGraph]
    buffers: Sequence[Buffer]
    metadata_buffers: tuple[int, ...]
    metadata: Sequence[Metadata]
    signatures: Sequence[Signature]


def _scalar(code: str) -> Read:
    number = struct.Struct("<" + code)
    return lambda reader, position: reader.unpack(number, position)


def _integers(reader: Reader, position: int) -> tuple[int, ...]:
    start, count = reader.vector(position)
    return struct.unpack_from(f"<{count}i", reader.content, start)


def _array(dtype: str) -> Read:
    return lambda reader, position: reader.array(position, dtype)


def _span(reader: Reader, position: int) -> slice:
    return reader.span(position)


def _text(reader: Reader, position: int) -> str:
    return reader.text(position)


def _union(reader: Reader, position: int) -> Table:
    return Table(reader, reader.indirect(position))


def _subtable(make: type, fields: Sequence[Field]) -> Read:
    table = _table_of(make, fields)
    return lambda reader, position: table(reader, reader.indirect(position))


def _subtables(make: type, fields: Sequence[Field]) -> Read:
    table = _table_of(make, fields)
    return lambda reader, position: [
        table(reader, place) for place in reader.tables(position)
    ]


def _table_of(make: type, fields: Sequence[Field]) -> Read:
    """Return what reads a table: `fields` are those that `make` names, in its order."""
    named = [
        (name, *field) for name, field in zip(make.__annotations__, fields, strict=True)
    ]

    def read(reader: Reader, position: int) -> Any:
        offsets = reader.table(position)
        known = len(offsets)
        made = make()
        values = made.__dict__
        for name, slot, read_field, default in named:
            if slot < known and offsets[slot]:
                values[name] = read_field(reader, position + offsets[slot])
            else:
                values[name] = default
        return made

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
    (8, _scalar("?"), False),
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
        ModelError, struct.error, LookupError, ValueError: It is no TFLite model, or an
            offset leads outside the file, or to what cannot be read.
    """
    start = root(content, MODEL_IDENTIFIER)
    model: Model = _MODEL(start.reader, start.start)
    codes = [max(code.old_code, code.code) for code in model.operator_codes]
    for graph in model.subgraphs:
        for operator in graph.operators:
            operator.code = codes[operator.code]
    return model
